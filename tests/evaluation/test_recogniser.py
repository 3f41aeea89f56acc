"""The light recogniser behind ASR-BLEU."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from echostream.evaluation.recogniser import PocketSphinxTranscriber, main

SENTENCE = "the train is late this morning"


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence of flite."""
    wav = tmp_path_factory.mktemp("speech") / "speech.wav"
    subprocess.run(["flite", "-voice", "slt", "-t", SENTENCE, "-o", str(wav)], check=True)
    return wav


def test_clear_speech_is_recognised(speech: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(speech)])
    assert len(set(capsys.readouterr().out.split()) & set(SENTENCE.split())) >= 3


def test_earlier_files_change_nothing(speech: Path, tmp_path: Path) -> None:
    """One decoder hears all files; what it heard before, loud noise for one, does not count."""
    noise = tmp_path / "noise.wav"
    random = np.random.default_rng(1)
    soundfile.write(noise, random.uniform(-1, 1, 8000), 16000)
    transcriber = PocketSphinxTranscriber()
    first = transcriber.transcribe(speech)
    transcriber.transcribe(noise)
    assert transcriber.transcribe(speech) == first
    assert transcriber.name.startswith("pocketsphinx 5")


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(tmp_path / "none.wav")])
    assert caught.value.code == 1
    assert "none.wav" in capsys.readouterr().err
