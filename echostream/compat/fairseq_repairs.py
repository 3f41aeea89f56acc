"""Repairs of fairseq 0.12.x that only replacing a function can make."""

import argparse
import collections
import functools
import sys
import typing
from typing import Any

import torch
from fairseq import checkpoint_utils, options
from fairseq.distributed import utils as distributed_utils
from fairseq.file_io import PathManager
from omegaconf import DictConfig, ListConfig
from omegaconf.base import ContainerMetadata, Metadata
from omegaconf.nodes import AnyNode

from echostream.compat.checkpoints import READ_ERRORS, SAFE_GLOBALS, explain_read_error
from echostream.compat.marks import is_repaired, mark

# What rank 0 sends when training resumes: the checkpoint with its configuration as an omegaconf tree, and
# placeholders for the tensors, which travel apart.
BROADCAST_GLOBALS = (
    *SAFE_GLOBALS,
    DictConfig,
    ListConfig,
    ContainerMetadata,
    Metadata,
    AnyNode,
    distributed_utils._TensorPlaceholder,
    collections.defaultdict,
    typing.Any,
    dict,
    list,
    int,
)


def repair_checkpoint_loading() -> None:
    """Safe loading stays on and knows the one class that fairseq saves; errors name the file.

    For: fairseq 0.12.x with torch >= 2.6. Symptom: "Weights only load failed … argparse.Namespace".
    """
    torch.serialization.add_safe_globals(list(SAFE_GLOBALS))
    original = checkpoint_utils.load_checkpoint_to_cpu
    if is_repaired(original):
        return

    @functools.wraps(original)
    def load_checkpoint_to_cpu(path: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        try:
            return original(path, *args, **kwargs)
        except READ_ERRORS as error:
            raise explain_read_error(path, error) from error

    checkpoint_utils.load_checkpoint_to_cpu = mark(load_checkpoint_to_cpu)


def repair_bf16() -> None:
    """`--bf16` means bfloat16 on the device at hand; TPU mode needs `--tpu`.

    For: fairseq 0.12.x, `options.py`. Symptom: `--bf16` fails with "No module named 'torch_xla'".
    """
    original = options.parse_args_and_arch
    if is_repaired(original):
        return

    @functools.wraps(original)
    def parse_args_and_arch(
        parser: argparse.ArgumentParser, input_args: list[str] | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        result = original(parser, input_args, *args, **kwargs)
        namespace = result[0] if isinstance(result, tuple) else result
        asked_for = "--tpu" in (sys.argv[1:] if input_args is None else input_args)
        if getattr(namespace, "tpu", False) and not asked_for:
            namespace.tpu = False
        return result

    options.parse_args_and_arch = mark(parse_args_and_arch)


def repair_broadcast() -> None:
    """Ranks other than the first may read the configuration that rank 0 broadcasts on resuming.

    For: fairseq 0.12.x with torch >= 2.6. Symptom: "Weights only load failed … omegaconf" on resuming with
    several processes; the only way round was `--load-checkpoint-on-all-dp-ranks`.
    """
    original = distributed_utils._broadcast_object_slow
    if is_repaired(original):
        return

    @functools.wraps(original)
    def _broadcast_object_slow(*args: Any, **kwargs: Any) -> Any:
        allowed_before = torch.serialization.get_safe_globals()
        try:
            torch.serialization.add_safe_globals(list(BROADCAST_GLOBALS))
            return original(*args, **kwargs)
        finally:
            # Not torch's context manager: it would also take away what was allowed before it.
            torch.serialization.clear_safe_globals()
            torch.serialization.add_safe_globals(allowed_before)

    distributed_utils._broadcast_object_slow = mark(_broadcast_object_slow)


def repair_checkpoint_copy() -> None:
    """A checkpoint that is copied over an older one replaces it at once, so a killed run leaves either whole.

    For: fairseq 0.12.x. Symptom: a run that is killed while it saves leaves half a `checkpoint_last.pt`,
    and the next start fails; only the first name of a checkpoint is written by renaming.
    """
    original = PathManager.copy
    if is_repaired(original):
        return

    @functools.wraps(original)
    def copy(src_path: str, dst_path: str, overwrite: bool = False) -> Any:
        if not overwrite or not PathManager.supports_rename(dst_path):
            return original(src_path, dst_path, overwrite=overwrite)
        temporary = f"{dst_path}.tmp"
        copied = original(src_path, temporary, overwrite=True)
        PathManager.rename(temporary, dst_path)
        return copied

    PathManager.copy = staticmethod(mark(copy))


def apply() -> None:
    """Make every repair; a second call changes nothing."""
    repair_checkpoint_loading()
    repair_bf16()
    repair_broadcast()
    repair_checkpoint_copy()
