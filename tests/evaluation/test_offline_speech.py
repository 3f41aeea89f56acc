"""ASR-BLEU of offline speech."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile

from echostream.evaluation.offline_speech import main

MANIFEST = "id\ttgt_text\na\tThe cat sleeps here, now.\nb\tnothing\n"
RECOGNISER = "sh -c 'basename {wav} | sed s/0_pred.wav/THE\\ cat\\ sleeps\\ here\\ now/'"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Speech of the first utterance, and an empty file for the second, for which no units were predicted."""
    (tmp_path / "test.tsv").write_text(MANIFEST)
    soundfile.write(tmp_path / "0_pred.wav", np.zeros(1600, dtype=np.float32), 16000)
    soundfile.write(tmp_path / "1_pred.wav", np.zeros(0, dtype=np.float32), 16000)
    return tmp_path


def score(folder: Path, *options: str) -> None:
    paths = [f"--manifest={folder / 'test.tsv'}", f"--wavs={folder}", f"--output={folder}"]
    main([*paths, *options])


def test_transcripts_in_the_manifests_order(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    score(folder, "--asr-command", RECOGNISER)
    assert (folder / "asr_transcripts.txt").read_text() == "the cat sleeps here now\n\n"
    report = json.loads((folder / "asr_bleu.json").read_text())
    assert report["recogniser"] == RECOGNISER
    assert 80 < report["score"] < 100  # five of six reference words, all in order
    assert f"ASR-BLEU {report['score']:.2f}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--asr-command 'PROGRAM {wav}' is needed"),
        (("--asr-command", shlex.join(["false", "{wav}"])), "failed with exit code 1"),
    ],
)
def test_what_cannot_be_scored_is_an_error(
    folder: Path, options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        score(folder, *options)
    assert message in capsys.readouterr().err
    assert not (folder / "asr_bleu.json").exists()


def test_a_missing_wav_file_is_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "0_pred.wav").unlink()
    with pytest.raises(SystemExit):
        score(folder, "--asr-command", RECOGNISER)
    assert "0_pred.wav: no such output" in capsys.readouterr().err
