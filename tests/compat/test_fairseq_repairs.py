"""Each repair of fairseq works, and its fault is still there without it."""

import argparse
import importlib
import io
import logging
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq import checkpoint_utils, options
from fairseq.data import data_utils
from fairseq.distributed import utils as distributed_utils
from fairseq.file_io import PathManager
from omegaconf import DictConfig, OmegaConf

from echostream import compat
from echostream.compat import fairseq_repairs
from echostream.compat.marks import is_repaired


@pytest.fixture(autouse=True)
def _repaired() -> None:
    compat.apply()


def test_a_second_call_changes_nothing() -> None:
    before = (
        checkpoint_utils.load_checkpoint_to_cpu,
        options.parse_args_and_arch,
        distributed_utils._broadcast_object_slow,
        distributed_utils.call_main,
        PathManager.copy,
    )
    compat.apply()
    after = (
        checkpoint_utils.load_checkpoint_to_cpu,
        options.parse_args_and_arch,
        distributed_utils._broadcast_object_slow,
        distributed_utils.call_main,
        PathManager.copy,
    )
    assert before == after
    assert all(is_repaired(function) for function in after)
    assert not any(is_repaired(function.__wrapped__) for function in after)


def test_logging_is_left_to_the_user() -> None:
    """In processes of their own, since only the first import of fairseq's models sets it up."""
    show = "import logging; root = logging.getLogger(); print(root.level, root.handlers)"
    printed = [
        subprocess.run(
            [sys.executable, "-c", f"import {name}; {show}"], check=True, capture_output=True, text=True
        )
        for name in ("echostream", "fairseq.models")
    ]
    assert printed[0].stdout == f"{logging.WARNING} []\n"
    assert printed[1].stdout.startswith(f"{logging.DEBUG} "), "fairseq was repaired: the repair can go"


def test_bad_checkpoints_are_named(tmp_path: Path) -> None:
    path = tmp_path / "short.pt"
    torch.save({"model": {}}, path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(compat.CheckpointError, match=r"short\.pt: corrupt"):
        checkpoint_utils.load_checkpoint_to_cpu(str(path))
    with pytest.raises((RuntimeError, EOFError, pickle.UnpicklingError)) as caught:
        checkpoint_utils.load_checkpoint_to_cpu.__wrapped__(str(path))
    assert "short.pt" not in str(caught.value)


def parse(function: Any, arguments: list[str]) -> argparse.Namespace:
    parser = options.get_training_parser()
    namespace: argparse.Namespace = function(parser, input_args=["data", "--task", "translation", *arguments])
    return namespace


def test_bf16_is_not_tpu() -> None:
    arguments = ["--arch", "transformer", "--bf16"]
    repaired = parse(options.parse_args_and_arch, arguments)
    assert repaired.bf16
    assert not repaired.tpu
    assert parse(options.parse_args_and_arch, [*arguments, "--tpu"]).tpu
    assert parse(options.parse_args_and_arch.__wrapped__, arguments).tpu, (
        "fairseq is repaired: the repair can go"
    )


def broadcast_state() -> Any:
    config = OmegaConf.create(
        {"model": argparse.Namespace(arch="echostream"), "list": [1, {"a": None}], "name": "x", "rate": 0.5},
        flags={"allow_objects": True},
    )
    OmegaConf.set_struct(config, True)
    return {"cfg": config, "model": {"w": torch.ones(2)}, "extra_state": {"epoch": 1}}


def test_broadcast_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ranks in one process: what rank 0 sends is kept, and given to rank 1."""
    sent: list[torch.Tensor] = []
    monkeypatch.setattr(distributed_utils, "broadcast", lambda tensor, **_: sent.append(tensor.clone()))
    monkeypatch.setattr(distributed_utils, "get_rank", lambda _: 0)
    tensors: list[torch.Tensor] = []
    state = distributed_utils._split_tensors_from_obj(broadcast_state(), tensors)
    distributed_utils._broadcast_object_slow(state, 0, None, torch.device("cpu"))
    monkeypatch.setattr(distributed_utils, "get_rank", lambda _: 1)

    def receive(function: Any) -> Any:
        queue = list(sent)
        monkeypatch.setattr(distributed_utils, "broadcast", lambda tensor, **_: tensor.copy_(queue.pop(0)))
        return function(None, 0, None, torch.device("cpu"))

    received = receive(distributed_utils._broadcast_object_slow)
    assert isinstance(received["cfg"], DictConfig)
    assert received["cfg"] == state["cfg"]
    assert received["cfg"].model.arch == "echostream"
    with pytest.raises(pickle.UnpicklingError, match="omegaconf"):
        receive(distributed_utils._broadcast_object_slow.__wrapped__)


def test_broadcast_allows_nothing_else() -> None:
    buffer = io.BytesIO()
    torch.save({"path": Path("x")}, buffer)
    buffer.seek(0)
    with (
        torch.serialization.safe_globals(list(fairseq_repairs.BROADCAST_GLOBALS)),
        pytest.raises(pickle.UnpicklingError),
    ):
        torch.load(buffer)


def test_a_killed_copy_leaves_the_older_checkpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source, last = tmp_path / "checkpoint1.pt", tmp_path / "checkpoint_last.pt"

    def killed(source_path: str, target_path: str) -> None:
        Path(target_path).write_text("ne")
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copyfile", killed)
    for copy, left in ((PathManager.copy, "old"), (PathManager.copy.__wrapped__, "ne")):
        source.write_text("new")
        last.write_text("old")
        with pytest.raises(KeyboardInterrupt):
            copy(str(source), str(last), overwrite=True)
        assert last.read_text() == left, "fairseq is repaired: the repair can go"
    monkeypatch.undo()
    assert PathManager.copy(str(source), str(last), overwrite=True)
    assert last.read_text() == "new"


def test_fairseq_still_drops_the_last_batch() -> None:
    """When this fails, the task's `get_batch_iterator` can go."""
    batches = data_utils.batch_by_size(
        list(range(10)), num_tokens_fn=lambda _: 1, max_sentences=8, required_batch_size_multiple=8
    )
    assert sum(len(batch) for batch in batches) == 8


def test_fairseq_still_cannot_build_its_generator() -> None:
    """When this fails, fairseq's own two-pass generator can be imported."""
    with pytest.raises(ModuleNotFoundError, match="examples"):
        importlib.import_module("examples.speech_to_speech.unity.sequence_generator_multi_decoder")
