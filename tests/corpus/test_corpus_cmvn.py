"""Global statistics equal those of all frames together, whatever the number of jobs."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from echostream.corpus import cmvn
from echostream.data.audio import read_audio
from echostream.data.fbank import GlobalCMVN, extract_fbank


@pytest.fixture
def wavs(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{name}.wav" for name in "abc"]
    for path, samples in zip(paths, (16000, 9000, 23456), strict=True):
        soundfile.write(path, rng.normal(size=samples) * 0.1, 16000, subtype="PCM_16")
    return paths


def test_statistics_of_all_frames(wavs: list[Path], tmp_path: Path) -> None:
    cmvn.write_statistics(wavs, tmp_path / "gcmvn.npz", num_jobs=2)
    features = torch.cat([extract_fbank(read_audio(path)) for path in wavs]).double()
    with np.load(tmp_path / "gcmvn.npz", allow_pickle=False) as data:
        assert data["mean"].dtype == data["std"].dtype == np.float32
        np.testing.assert_allclose(data["mean"], features.mean(dim=0).numpy(), atol=2e-5)
        np.testing.assert_allclose(data["std"], features.std(dim=0, correction=0).numpy(), atol=2e-5)
    normalized = GlobalCMVN.from_npz(tmp_path / "gcmvn.npz")(features.float())
    assert normalized.mean(dim=0).abs().max() < 1e-4
    assert (normalized.std(dim=0, correction=0) - 1).abs().max() < 1e-3


def test_jobs_do_not_change_the_bytes(wavs: list[Path], tmp_path: Path) -> None:
    for jobs in (1, 3):
        cmvn.write_statistics(wavs, tmp_path / f"{jobs}.npz", num_jobs=jobs)
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "3.npz").read_bytes()


def test_silence_can_still_be_normalized(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "zero.wav", np.zeros(8000), 16000, subtype="PCM_16")
    cmvn.write_statistics([tmp_path / "zero.wav"], tmp_path / "gcmvn.npz")
    with np.load(tmp_path / "gcmvn.npz") as data:
        assert (data["std"] > 0).all()


def test_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no audio"):
        cmvn.write_statistics([], tmp_path / "gcmvn.npz")
    listing = tmp_path / "wavs.txt"
    assert cmvn.main(["--wavs", str(listing), "--output", str(tmp_path / "g.npz")]) == 1
    listing.write_text(f"{tmp_path}/missing.wav\n")
    assert cmvn.main(["--wavs", str(listing), "--output", str(tmp_path / "g.npz")]) == 1
    assert "missing.wav" in capsys.readouterr().err
    assert not (tmp_path / "g.npz").exists()
