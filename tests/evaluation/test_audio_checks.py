"""Checks of output speech: level, clipping, silence, length, and clicks at borders."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from echostream.evaluation import audio_checks
from echostream.evaluation.audio_checks import audio_section, check_audio, checks_of
from echostream.evaluation.results import ReportError, read_results
from echostream.vocoder.code_hifigan import CodeHiFiGANVocoder
from echostream.vocoder.config import read_config_file
from tests.evaluation.result_folders import step_record
from tests.inference.tiny_checkpoint import NUM_UNITS, write_vocoder

RATE = 16000


def write_speech(folder: Path, index: int, pieces: list[np.ndarray[Any, Any]], pause_ms: int = 100) -> None:
    """Output of an utterance: pieces with pauses between them, as SimulEval writes it."""
    (folder / "wavs").mkdir(parents=True, exist_ok=True)
    durations = [1000 * piece.size / RATE for piece in pieces]
    begins = [500.0 + sum(durations[:place]) + pause_ms * place for place in range(len(pieces))]
    pause = np.zeros(RATE * pause_ms // 1000)
    joined = [part for piece in pieces for part in (piece, pause)][:-1]
    entry = {
        "index": index,
        "prediction": f"{folder.absolute()}/wavs/{index}_pred.wav",
        "delays": begins,
        "durations": durations,
        "intervals": [list(pair) for pair in zip(begins, durations, strict=True)],
    }
    if pieces:
        soundfile.write(folder / "wavs" / f"{index}_pred.wav", np.concatenate(joined), RATE, subtype="FLOAT")
    with (folder / "instances.log").open("a") as log:
        log.write(f"{json.dumps(entry)}\n")


def test_level_clipping_silence_and_length(tmp_path: Path) -> None:
    loud = np.full(RATE, 0.5)
    loud[:160] = 1.0
    write_speech(tmp_path, 0, [loud[: RATE // 2], loud[RATE // 2 :]])
    write_speech(tmp_path, 1, [np.zeros(RATE)])
    write_speech(tmp_path, 2, [])
    checks = check_audio(tmp_path, references_seconds=[2.0, 2.0, 5.0])
    assert (checks.num_utterances, checks.num_silent, checks.seconds) == (2, 1, 2.0)
    assert checks.clipped == pytest.approx(160 / (2 * RATE))
    assert checks.silence == pytest.approx(0.5)  # the pause of the playback is none of it
    assert checks.peak_dbfs == pytest.approx(0, abs=1e-6)
    power = (160 * 1.0 + (RATE - 160) * 0.25) / (2 * RATE)
    assert checks.rms_dbfs == pytest.approx(10 * np.log10(power), abs=1e-4)
    assert checks.length_ratio == pytest.approx(0.5)
    assert checks.borders is None


def streamed_run(folder: Path, vocoder: CodeHiFiGANVocoder, hold_back_frames: int) -> None:
    """A run whose speech is streamed from random units in pieces of 8, durations predicted."""
    generator = torch.Generator().manual_seed(1)
    records, lines = [], []
    for index in range(3):
        units = torch.randint(NUM_UNITS, (1, 32), generator=generator)
        state = vocoder.init_state()
        pieces = []
        for place, part in enumerate(units.split(8, dim=1)):
            samples, _ = vocoder.streaming_forward(
                part, state, is_final=place == 3, dur_prediction=True, hold_back_frames=hold_back_frames
            )
            pieces.append(samples.numpy())
        write_speech(folder, index, [piece for piece in pieces if piece.size])
        records.append({**step_record([1.0] * 5), "num_units": [8, 8, 0, 8, 8]})
        lines.append(" ".join(map(str, units[0].tolist())))
    (folder / "steps.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    (folder / "unit.txt").write_text("".join(f"{line}\n" for line in lines))


def test_borders_against_whole_synthesis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint, config = write_vocoder(tmp_path)
    vocoder = CodeHiFiGANVocoder(checkpoint, read_config_file(config))
    reach = vocoder.receptive_field.right_frames
    for name, hold_back in (("whole", reach), ("torn", 0)):
        streamed_run(tmp_path / name, vocoder, hold_back)
    options = ["--vocoder", str(checkpoint), "--vocoder-cfg", str(config), "--dur-prediction"]
    audio_checks.main(["--results", str(tmp_path / "whole"), str(tmp_path / "torn"), *options])
    whole, torn = checks_of(tmp_path / "whole"), checks_of(tmp_path / "torn")
    assert whole is not None
    assert torn is not None
    assert whole.borders is not None
    assert torn.borders is not None
    assert whole.num_compared == torn.num_compared == 3
    assert torn.borders.num_borders == 9
    assert whole.borders.near_error_db < -90
    assert whole.borders.large_jumps == whole.borders.large_jumps_in_whole_synthesis
    assert torn.borders.near_error_db > whole.borders.near_error_db + 60
    with pytest.raises(SystemExit, match="0 of 3 utterances have as many samples as their units give"):
        audio_checks.main(["--results", str(tmp_path / "torn"), *options[:-1]])  # each unit one frame
    with (tmp_path / "torn" / "instances.log").open("a") as log:
        log.write("\n")
    with pytest.raises(ReportError, match=r"of an earlier run than instances\.log"):
        checks_of(tmp_path / "torn")


def test_without_wavs_there_is_nothing_to_check(tmp_path: Path) -> None:
    write_speech(tmp_path, 0, [np.full(RATE, 0.5)])
    write_speech(tmp_path, 1, [np.full(RATE, 0.5)])
    found = checks_of(tmp_path)
    assert found is not None
    assert found.num_utterances == 2
    (tmp_path / "wavs" / "0_pred.wav").unlink()
    with pytest.raises(ReportError, match=r"0_pred\.wav: no such output"):
        checks_of(tmp_path)
    (tmp_path / "wavs" / "1_pred.wav").unlink()
    assert checks_of(tmp_path) is None


def test_the_section_of_a_report(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        folder = tmp_path / name / "chunk_size=320"
        write_speech(folder, 0, [np.full(RATE, 0.5)])
        (folder / "scores.tsv").write_text("ASR_BLEU\n5\n")
        (folder / "config.yaml").write_text("{source_type: speech, target_type: speech}\n")
    (tmp_path / "theirs" / "chunk_size=320" / "wavs" / "0_pred.wav").unlink()
    runs, _ = read_results([tmp_path / "ours", tmp_path / "theirs"])
    [row] = [line for line in audio_section(runs, tmp_path) if line.startswith("| ours")]
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[:8] == ["ours", "320", "1", "0", "-6.0", "-6.0", "0.000", "0.0"]
    assert cells[8:12] == ["–"] * 4
    assert "wav files are not there: theirs (320 ms)." in audio_section(runs, tmp_path)[-1]
    assert audio_section(runs[1:], tmp_path) == []


def test_references_must_be_of_the_whole_test_set(tmp_path: Path) -> None:
    write_speech(tmp_path, 4, [np.full(RATE, 0.5)])
    soundfile.write(tmp_path / "reference.wav", np.zeros(RATE // 2), RATE)
    (tmp_path / "list.txt").write_text("reference.wav\n")
    with pytest.raises(SystemExit, match="utterance 4 has no reference: --references lists 1 files"):
        audio_checks.main(["--results", str(tmp_path), "--references", str(tmp_path / "list.txt")])
    (tmp_path / "list.txt").write_text("reference.wav\n" * 5)
    audio_checks.main(["--results", str(tmp_path), "--references", str(tmp_path / "list.txt")])
    kept = checks_of(tmp_path)
    assert kept is not None
    assert kept.length_ratio == pytest.approx(2.0)
