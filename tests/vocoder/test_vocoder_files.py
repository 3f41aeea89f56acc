"""Checkpoint files of the unit vocoder: damaged, foreign, harmful and old ones."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from echostream.vocoder.checkpoint import load_generator
from echostream.vocoder.code_hifigan import CodeHiFiGANVocoder
from echostream.vocoder.errors import VocoderError
from tests.vocoder.small_vocoder import SMALL, random_state, save


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return save(random_state(SMALL), tmp_path / "g_00000001")


def test_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="g_00000009"):
        CodeHiFiGANVocoder(tmp_path / "g_00000009", SMALL)


@pytest.mark.parametrize("kept_bytes", [0, 4, 200, 5000, -30])
def test_truncated_checkpoint_is_refused(checkpoint: Path, kept_bytes: int) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[:kept_bytes])
    with pytest.raises(VocoderError, match=checkpoint.name):
        CodeHiFiGANVocoder(checkpoint, SMALL)


@pytest.mark.parametrize(
    "content", [b"not a checkpoint at all", b"\x00" * 4096, b"<html>404</html>", b"\x80\x02}."]
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "g"
    path.write_bytes(content)
    with pytest.raises(VocoderError, match="vocoder checkpoint"):
        CodeHiFiGANVocoder(path, SMALL)


@pytest.mark.parametrize("content", [{"model": {}}, {"generator": 3}, [1, 2]])
def test_checkpoint_of_another_kind_is_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "g"
    torch.save(content, path)
    with pytest.raises(VocoderError, match=r"no 'generator'|not a dictionary"):
        CodeHiFiGANVocoder(path, SMALL)


class _Intruder:
    """Pickles into a call that creates a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.target), "w"))


@pytest.mark.parametrize("legacy", [False, True])
def test_pickled_code_is_refused_and_never_run(tmp_path: Path, legacy: bool) -> None:
    target, path = tmp_path / "created", tmp_path / "g"
    content = {"generator": random_state(SMALL), "extra": _Intruder(target)}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(VocoderError, match="was refused"):
        CodeHiFiGANVocoder(path, SMALL)
    path.write_bytes(pickle.dumps(content["extra"], protocol=2))
    with pytest.raises(VocoderError, match="was refused"):
        CodeHiFiGANVocoder(path, SMALL)
    assert not target.exists()


def test_legacy_torch_files_load(tmp_path: Path) -> None:
    state = random_state(SMALL)
    path = tmp_path / "g"
    torch.save({"generator": state}, path, _use_new_zipfile_serialization=False)
    loaded = load_generator(path, SMALL).state_dict()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in state.items())


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("legacy", [False, True])
def test_flipped_bytes_never_escape_as_another_error(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "g"
    torch.save({"generator": {"a": torch.ones(3)}}, path, _use_new_zipfile_serialization=not legacy)
    intact = path.read_bytes()
    random = torch.Generator().manual_seed(0)
    for _ in range(150):
        damaged = bytearray(intact)
        for position in torch.randint(min(len(intact), 600), (4,), generator=random).tolist():
            damaged[position] = int(torch.randint(256, (), generator=random))
        path.write_bytes(bytes(damaged))
        with pytest.raises(VocoderError):
            CodeHiFiGANVocoder(path, SMALL)
