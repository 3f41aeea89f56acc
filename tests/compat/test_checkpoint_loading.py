"""Checkpoints are read without running code from them, and bad ones are named."""

import argparse
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from echostream.compat import CheckpointError, load_checkpoint


class RunsCode:
    """A pickle of this calls a function when it is loaded."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.witness,)


@pytest.fixture
def state() -> dict[str, Any]:
    return {"model": {"w": torch.arange(3.0)}, "args": argparse.Namespace(lr=[0.1], arch="echostream")}


def test_reads_what_fairseq_saves(tmp_path: Path, state: dict[str, Any]) -> None:
    path = tmp_path / "good.pt"
    torch.save(state, path)
    loaded = load_checkpoint(path)
    assert torch.equal(loaded["model"]["w"], torch.arange(3.0))
    assert loaded["args"] == state["args"]


def test_upstream_still_refuses_namespaces(tmp_path: Path, state: dict[str, Any]) -> None:
    """When this fails, torch or fairseq allows Namespace itself, and the allow-list can go."""
    path = tmp_path / "good.pt"
    torch.save(state, path)
    assert torch.serialization.get_unsafe_globals_in_checkpoint(path) in ([], ["argparse.Namespace"])
    previous = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    try:
        with pytest.raises(pickle.UnpicklingError, match=r"argparse\.Namespace"):
            torch.load(path)
    finally:
        torch.serialization.add_safe_globals(previous)


@pytest.mark.parametrize("new_format", [True, False])
def test_refuses_code(tmp_path: Path, state: dict[str, Any], new_format: bool) -> None:
    witness, path = tmp_path / "witness", tmp_path / "evil.pt"
    torch.save({**state, "extra": RunsCode(witness)}, path, _use_new_zipfile_serialization=new_format)
    with pytest.raises(CheckpointError, match=r"evil\.pt: refused") as caught:
        load_checkpoint(path)
    assert not witness.exists()
    if new_format:
        assert "Path.touch" in str(caught.value) or "pathlib" in str(caught.value)


@pytest.mark.parametrize("kept", [0, 10, 300])
def test_truncated_file_is_named(tmp_path: Path, state: dict[str, Any], kept: int) -> None:
    path = tmp_path / "short.pt"
    torch.save(state, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"short\.pt: corrupt or truncated"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "content", [b"hello world, this is no checkpoint", b"\x00" * 2000, b"PK\x03\x04 broken"]
)
def test_other_files_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"other\.pt: corrupt or truncated"):
        load_checkpoint(path)


def test_missing_and_not_a_dictionary(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.pt: no such checkpoint"):
        load_checkpoint(tmp_path / "none.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match=r"list\.pt: holds a list"):
        load_checkpoint(tmp_path / "list.pt")


def test_what_was_allowed_before_stays_allowed(tmp_path: Path, state: dict[str, Any]) -> None:
    path = tmp_path / "good.pt"
    torch.save(state, path)
    load_checkpoint(path)
    assert isinstance(torch.load(path)["args"], argparse.Namespace)
