"""Transcripts of a fairseq wav2vec 2.0 CTC checkpoint."""

from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch.nn import functional

from echostream.compat import CheckpointError
from echostream.data.wav2vec2_ctc import Wav2Vec2Transcriber
from echostream.evaluation.asr_models import load_model
from tests.evaluation.tiny_wav2vec2 import LETTERS, write_checkpoint

NUM_SPECIAL = 4  # <s>, which is the blank, <pad>, </s>, <unk>


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of noise at 8 kHz, which the model hears at 16 kHz."""
    path = tmp_path_factory.mktemp("wav") / "noise.wav"
    soundfile.write(path, np.random.default_rng(1).uniform(-0.5, 0.5, 4000), 8000)
    return path


@pytest.mark.parametrize("normalize", [False, True])
def test_greedy_ctc(wav: Path, tmp_path: Path, normalize: bool) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny.pt", normalize=normalize)
    transcriber = Wav2Vec2Transcriber(checkpoint)
    frames = transcriber.log_probabilities(wav)
    assert frames.shape == (24, NUM_SPECIAL + len(LETTERS))
    torch.testing.assert_close(frames.exp().sum(dim=1), torch.ones(24))
    symbols = [symbol for symbol, _ in groupby(frames.argmax(dim=1).tolist())]
    letters = "".join(LETTERS[symbol - NUM_SPECIAL] for symbol in symbols if symbol >= NUM_SPECIAL)
    assert len(letters) > 5
    expected = " ".join(letters.replace("|", " ").split())
    assert transcriber.transcribe(wav) == expected
    assert load_model(f"fairseq:{checkpoint}", 5, "en").transcribe(wav) == expected
    assert transcriber.name == "fairseq tiny.pt, greedy CTC"


def test_repeats_blanks_and_special_symbols_go(
    wav: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transcriber = Wav2Vec2Transcriber(write_checkpoint(tmp_path / "tiny.pt"))
    letter = {symbol: NUM_SPECIAL + index for index, symbol in enumerate(LETTERS)}
    path = [
        *[letter["S"]] * 3,
        letter["E"],
        0,
        letter["E"],
        0,
        1,
        2,
        *[letter["|"]] * 2,
        0,
        letter["|"],
        letter["A"],
    ]
    frames = functional.one_hot(torch.tensor(path), NUM_SPECIAL + len(LETTERS)).float()
    monkeypatch.setattr(transcriber, "log_probabilities", lambda wav: frames)
    assert transcriber.transcribe(wav) == "SEE A"


def test_the_dictionary_may_be_beside_it(wav: Path, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "old.pt", with_dictionary=False)
    assert Wav2Vec2Transcriber(checkpoint).transcribe(wav)
    (tmp_path / "dict.ltr.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"dict\.ltr\.txt"):
        Wav2Vec2Transcriber(checkpoint)


def test_short_and_unfit_files(wav: Path, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny.pt")
    soundfile.write(tmp_path / "short.wav", np.zeros(100), 16000)
    assert Wav2Vec2Transcriber(checkpoint).transcribe(tmp_path / "short.wav") == ""
    torch.save({"model": {}}, tmp_path / "other.pt")
    (tmp_path / "text.pt").write_text("no checkpoint")
    for name in ("other.pt", "text.pt"):
        with pytest.raises(CheckpointError, match=name):
            Wav2Vec2Transcriber(tmp_path / name)
