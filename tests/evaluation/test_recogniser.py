"""The light recogniser behind ASR-BLEU."""

import subprocess
from pathlib import Path

import pytest

from echostream.evaluation.recogniser import main


def test_clear_speech_is_recognised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wav = tmp_path / "speech.wav"
    subprocess.run(
        ["flite", "-voice", "slt", "-t", "the train is late this morning", "-o", str(wav)], check=True
    )
    main([str(wav)])
    words = capsys.readouterr().out.split()
    assert len(set(words) & {"the", "train", "is", "late", "this", "morning"}) >= 3


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(tmp_path / "none.wav")])
    assert caught.value.code == 1
    assert "none.wav" in capsys.readouterr().err
