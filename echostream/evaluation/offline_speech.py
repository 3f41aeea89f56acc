"""ASR-BLEU of speech in a folder: `python -m echostream.evaluation.offline_speech --help`.

With `--vocoder` the speech is made first, of the manifest's own units: the score is then the ceiling that
units and vocoder set to any system that predicts these units.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile

from echostream.data.manifest import read_tsv
from echostream.evaluation.asr_bleu import ASR_BLEU, write_asr_bleu
from echostream.evaluation.asr_models import add_asr_args, transcriber_of
from echostream.evaluation.quality_files import quality_file
from echostream.evaluation.transcription import Transcriber, TranscriptionError, transcribe_all
from echostream.vocoder.code_hifigan import CodeHiFiGANVocoder
from echostream.vocoder.config import read_config_file
from echostream.vocoder.synthesis import synthesise

WAV_NAMES = "{index}_pred.wav"


@dataclass(frozen=True)
class Utterance:
    """What should be heard in a file.

    Args:
        wav: the file.
        reference: the text.
        units: target units of the manifest, separated by spaces; empty where it has none.
    """

    wav: Path
    reference: str
    units: str = ""


def read_utterances(texts: Path, wavs: Path, names: str = WAV_NAMES) -> list[Utterance]:
    """Read the references and find the file of each.

    Args:
        texts: a manifest (`.tsv`) with id and tgt_text, or a file of one reference a line.
        wavs: folder of the wav files.
        names: their names; `{index}` counts from 0, `{id}` is the manifest's.
    Raises:
        ManifestError: for a missing manifest, or one without the columns.
        FileNotFoundError: when there is no such file.
        ValueError: for names that are the same for all utterances.
    """
    if texts.suffix == ".tsv":
        rows = [row for _, row in read_tsv(texts, ("id", "tgt_text"))]
    elif texts.is_file():
        rows = [{"tgt_text": line} for line in texts.read_text(encoding="utf-8").splitlines()]
    else:
        raise FileNotFoundError(f"{texts}: no such file of references")
    try:
        paths = [wavs / names.format(index=index, **row) for index, row in enumerate(rows)]
    except (KeyError, IndexError) as error:
        raise ValueError(f"--wav-names {names}: {error} is neither index nor a column of {texts}") from error
    if len(set(paths)) < len(paths):
        raise ValueError(f"--wav-names {names}: several utterances have one name; use {{index}} or {{id}}")
    return [
        Utterance(path, row["tgt_text"], row.get("tgt_audio", ""))
        for path, row in zip(paths, rows, strict=True)
    ]


def speak_units(
    utterances: Sequence[Utterance], folder: Path, vocoder: CodeHiFiGANVocoder, *, dur_prediction: bool
) -> None:
    """Write the speech of the manifest's units, named as `WAV_NAMES`.

    Raises:
        ValueError: for an utterance without units.
    """
    without = [utterance.wav.name for utterance in utterances if not utterance.units]
    if without:
        raise ValueError(f"--vocoder speaks the manifest's tgt_audio, which {without[0]} does not have")
    units = [[int(unit) for unit in utterance.units.split()] for utterance in utterances]
    synthesise(vocoder, units, folder, dur_prediction=dur_prediction)


def score_speech(utterances: Sequence[Utterance], output: Path, transcriber: Transcriber) -> float:
    """Transcribe the files and compare them with the references.

    Returns:
        The corpus score, which is kept in `output` with its signature, the error rate and the transcripts.

    Raises:
        TranscriptionError: when a wav file is missing or the recogniser fails.
    """
    transcripts = transcribe_all(transcriber, [_speech(utterance.wav) for utterance in utterances])
    output.mkdir(parents=True, exist_ok=True)
    references = [utterance.reference for utterance in utterances]
    return write_asr_bleu(output, transcripts, references, recogniser=transcriber.name)


def _speech(wav: Path) -> Path | None:
    """Return the wav file; None for one that is empty, since no units were predicted."""
    return None if wav.is_file() and soundfile.info(wav).frames == 0 else wav


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m echostream.evaluation.offline_speech",
        description="ASR-BLEU and WER of speech in a folder.",
    )
    paths: dict[str, Any] = {"type": Path, "required": True}
    parser.add_argument("--manifest", help="TSV with id and tgt_text, or a file of one text a line", **paths)
    parser.add_argument("--wavs", help="folder of the speech", **paths)
    parser.add_argument("--output", help="folder for the score and the transcripts", **paths)
    parser.add_argument(
        "--wav-names",
        default=WAV_NAMES,
        help="names of the files; also {id}.wav (default: %(default)s)",
    )
    parser.add_argument("--limit", type=_positive, help="take the first so many utterances only")
    parser.add_argument("--target-speech-lang", default="en", help="language of the speech (default: en)")
    parser.add_argument("--vocoder", help="CodeHiFiGAN that speaks the manifest's units to --wavs first")
    parser.add_argument("--vocoder-cfg", help="its JSON configuration")
    parser.add_argument("--dur-prediction", action="store_true", help="the units come without repeats")
    parser.add_argument("--device", default="cpu", help="torch device of the vocoder (default: cpu)")
    add_asr_args(parser)
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"at least 1 is expected, not {text}")
    return number


def _run(args: argparse.Namespace) -> None:
    if (args.vocoder is None) != (args.vocoder_cfg is None):
        raise ValueError("--vocoder and --vocoder-cfg belong together: give both, or neither")
    if args.vocoder is not None and args.wav_names != WAV_NAMES:
        raise ValueError(f"--vocoder writes {WAV_NAMES}: leave --wav-names out")
    transcriber = transcriber_of(args, args.target_speech_lang)
    utterances = read_utterances(args.manifest, args.wavs, args.wav_names)[: args.limit]
    if args.vocoder is not None:
        vocoder = CodeHiFiGANVocoder(args.vocoder, read_config_file(args.vocoder_cfg)).to(args.device)
        speak_units(utterances, args.wavs, vocoder, dur_prediction=args.dur_prediction)
    begin_s = time.perf_counter()
    score = score_speech(utterances, args.output, transcriber)
    seconds = (time.perf_counter() - begin_s) / len(utterances)
    wer = json.loads(quality_file(args.output, ASR_BLEU).read_text(encoding="utf-8"))["wer"]
    print(f"ASR-BLEU {score:.2f}  WER {wer:.2f}  {len(utterances)} utterances, {seconds:.2f} s each")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = _parser()
    try:
        _run(parser.parse_args(argv))
    except (FileNotFoundError, ValueError, TranscriptionError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
