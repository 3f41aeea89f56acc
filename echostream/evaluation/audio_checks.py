"""Is the output speech sound? `python -m echostream.evaluation.audio_checks --results RUN… [options]`.

Level, clipping, silence, length, and clicks where written pieces meet, of the wav files of a run. Each RUN is
a folder with instances.log; what is found goes to audio_checks.json there, which the report shows.

With `--vocoder`, the pieces are compared with one synthesis of the whole utterance from the units that the
run wrote (unit.txt, steps.jsonl), with the durations that they had in the stream.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from echostream.evaluation.border_checks import compare_with_whole_synthesis
from echostream.evaluation.markdown import NOTHING, link, table
from echostream.evaluation.output_audio import OutputAudio, Samples, read_output, wav_path
from echostream.evaluation.results import ReportError, Run, read_log
from echostream.vocoder.border_quality import BorderSummary
from echostream.vocoder.code_hifigan import CodeHiFiGANVocoder
from echostream.vocoder.config import read_config_file
from echostream.vocoder.errors import VocoderError

RESULT = "audio_checks.json"
CLIPPED = 0.999
SILENCE_DBFS = -50
FRAME_MS = 20


@dataclass(frozen=True)
class AudioChecks:
    """Measures of the speech of a run; pauses in which the listener waits are left out.

    Args:
        log_digest: of the instances.log that it belongs to.
        num_utterances: with output.
        num_silent: utterances without output.
        rms_dbfs: level of all speech, root mean square.
        peak_dbfs: greatest level of a sample.
        clipped: share of samples at 0.999 of full scale or more.
        silence: share of frames of 20 ms below -50 dBFS.
        seconds: of all speech.
        length_ratio: the same over the length of the references; None without them.
        num_compared: utterances whose borders were compared with a whole synthesis.
        borders: of those utterances; None without a vocoder, or when there are none.
    """

    log_digest: str
    num_utterances: int
    num_silent: int
    rms_dbfs: float
    peak_dbfs: float
    clipped: float
    silence: float
    seconds: float
    length_ratio: float | None = None
    num_compared: int = 0
    borders: BorderSummary | None = None


def check_audio(
    folder: Path,
    *,
    vocoder: CodeHiFiGANVocoder | None = None,
    dur_prediction: bool = False,
    references_seconds: Sequence[float] | None = None,
) -> AudioChecks:
    """Measure the speech of a run.

    Args:
        folder: of the run.
        vocoder: that made it, for the comparison at borders.
        dur_prediction: whether it predicted durations.
        references_seconds: length of the reference speech of each utterance, by its index in the test set.
    Raises:
        ReportError: when files are missing or do not fit, or nothing was written at all.
    """
    log = read_log(folder)
    spoken = [place for place, entry in enumerate(log) if entry["durations"]]
    if not spoken:
        raise ReportError(f"{folder}: the system wrote no speech at all")
    by_place = {
        place: read_output(folder, log[place])
        for place in tqdm(spoken, desc=f"reading {folder}", unit="wav", disable=None)
    }
    outputs = list(by_place.values())
    speech = np.concatenate([output.speech for output in outputs])
    seconds = sum(output.speech.size / output.sample_rate for output in outputs)
    ratio = None
    if references_seconds is not None:
        indices = [log[place]["index"] for place in spoken]
        ratio = seconds / _total_seconds(folder, indices, references_seconds)
    borders, num_compared = None, 0
    if vocoder is not None:
        borders, num_compared = compare_with_whole_synthesis(folder, by_place, vocoder, dur_prediction)
    return AudioChecks(
        log_digest=_digest(folder),
        num_utterances=len(spoken),
        num_silent=len(log) - len(spoken),
        rms_dbfs=_dbfs(float(np.sqrt(np.square(speech, dtype=np.float64).mean()))),
        peak_dbfs=_dbfs(float(np.abs(speech).max())),
        clipped=float((np.abs(speech) >= CLIPPED).mean()),
        silence=_silence(outputs),
        seconds=seconds,
        length_ratio=ratio,
        num_compared=num_compared,
        borders=borders,
    )


def _total_seconds(folder: Path, indices: Sequence[int], references_seconds: Sequence[float]) -> float:
    if max(indices) >= len(references_seconds):
        raise ReportError(
            f"{folder}: utterance {max(indices)} has no reference: --references lists "
            f"{len(references_seconds)} files; it must be of the whole test set, in its order"
        )
    return sum(references_seconds[index] for index in indices)


def _silence(outputs: Sequence[OutputAudio]) -> float:
    levels = [_frame_levels(output.speech, output.sample_rate) for output in outputs]
    return float((np.concatenate(levels) < 10 ** (SILENCE_DBFS / 20)).mean())


def _frame_levels(samples: Samples, sample_rate: int) -> Samples:
    """Root mean square of whole frames, [F]."""
    length = sample_rate * FRAME_MS // 1000
    frames = samples[: samples.size // length * length].reshape(-1, length)
    levels: Samples = np.sqrt(np.square(frames).mean(axis=1))
    return levels


def _dbfs(level: float) -> float:
    return float(20 * np.log10(max(level, 1e-9)))


def _digest(folder: Path) -> str:
    return hashlib.sha256((folder / "instances.log").read_bytes()).hexdigest()


def write_checks(folder: Path, checks: AudioChecks) -> Path:
    """Keep what was found in the run's folder."""
    path = folder / RESULT
    path.write_text(json.dumps(asdict(checks), indent=1) + "\n", encoding="utf-8")
    return path


def checks_of(folder: Path) -> AudioChecks | None:
    """What is known of a run's speech: what was kept, or else what its wav files say; None without these.

    Raises:
        ReportError: when what was kept is of an earlier run, or some of the files are missing.
    """
    path = folder / RESULT
    if not path.is_file():
        log = read_log(folder)
        has_wavs = any(wav_path(folder, entry).is_file() for entry in log if entry.get("durations"))
        return check_audio(folder) if has_wavs else None
    kept = json.loads(path.read_text(encoding="utf-8"))
    if kept["borders"] is not None:
        kept["borders"] = BorderSummary(**kept["borders"])
    checks = AudioChecks(**kept)
    if checks.log_digest != _digest(folder):
        raise ReportError(
            f"{path}: is of an earlier run than instances.log; run python -m "
            "echostream.evaluation.audio_checks again, or remove it"
        )
    return checks


def audio_section(runs: Sequence[Run], output: Path) -> list[str]:
    """The section of a report on the speech of runs of one task; nothing without wav files."""
    found, missing = [], []
    for run in runs:
        checks = checks_of(run.folder)
        if checks is None:
            missing.append(f"{run.label} ({run.chunk_ms} ms)")
        else:
            found.append((run, checks))
    if not found:
        return []
    note = ["", f"Not checked, since their wav files are not there: {', '.join(missing)}."] if missing else []
    header = ["system", "chunk (ms)", "wavs", "silent", "level (dBFS)", "peak (dBFS)", "clipped (%)"]
    header += ["silence (%)", "length / reference", "borders", "clicks (%)", "error ±5 ms (dB)", "from"]
    rows = [[run.label, str(run.chunk_ms), *_cells(checks, run, output)] for run, checks in found]
    return [
        "### Output audio",
        "",
        "Of the speech without the pauses of the playback. Clipped: samples at "
        f"{CLIPPED} of full scale or more; silence: frames of {FRAME_MS} ms below {SILENCE_DBFS} dBFS. "
        "Borders are those between written pieces, clicks those whose jump exceeds 99 % of the jumps around "
        "it in one synthesis of the whole utterance, error is the energy of the difference from that.",
        "",
        *table(header, rows),
        *note,
    ]


def _cells(checks: AudioChecks, run: Run, output: Path) -> list[str]:
    borders = [NOTHING] * 3
    if checks.borders is not None:
        found = checks.borders
        share = f"{100 * found.large_jumps:.1f}"
        borders = [str(found.num_borders), share, f"{found.near_error_db:.1f}"]
    source = run.folder / RESULT
    return [
        str(checks.num_utterances),
        str(checks.num_silent),
        f"{checks.rms_dbfs:.1f}",
        f"{checks.peak_dbfs:.1f}",
        f"{100 * checks.clipped:.3f}",
        f"{100 * checks.silence:.1f}",
        NOTHING if checks.length_ratio is None else f"{checks.length_ratio:.3f}",
        *borders,
        link(source if source.is_file() else run.folder / "instances.log", output),
    ]


def read_lengths(path: Path) -> list[float]:
    """Seconds of the audio files that a file lists, one a line; relative paths are from its folder.

    Raises:
        ReportError: for a missing file.
    """
    if not path.is_file():
        raise ReportError(f"{path}: no such list of reference files")
    files = [path.parent / line for line in path.read_text(encoding="utf-8").splitlines() if line]
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise ReportError(f"{path}: {len(missing)} of its files are missing, first {missing[0]}")
    return [soundfile.info(file).duration for file in files]


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m echostream.evaluation.audio_checks", description=__doc__)
    parser.add_argument("--results", nargs="+", required=True, type=Path, help="folders of runs")
    parser.add_argument("--references", type=Path, help="list of reference wav files, of the whole test set")
    parser.add_argument("--vocoder", type=Path, help="CodeHiFiGAN checkpoint that made the speech")
    parser.add_argument("--vocoder-cfg", type=Path, help="its JSON configuration")
    parser.add_argument("--dur-prediction", action="store_true", help="the run had this flag")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Raises:
        SystemExit: with the reason, for speech that cannot be checked.
    """
    parser = build_parser()
    args = parser.parse_args(arguments)
    if (args.vocoder is None) != (args.vocoder_cfg is None):
        parser.error("--vocoder and --vocoder-cfg go together")
    try:
        vocoder = None
        if args.vocoder is not None:
            vocoder = CodeHiFiGANVocoder(args.vocoder, read_config_file(args.vocoder_cfg))
        lengths = None if args.references is None else read_lengths(args.references)
        for folder in args.results:
            checks = check_audio(
                folder, vocoder=vocoder, dur_prediction=args.dur_prediction, references_seconds=lengths
            )
            print(write_checks(folder, checks))
    except (ReportError, VocoderError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
