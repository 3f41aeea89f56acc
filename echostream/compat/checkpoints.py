"""Reading checkpoints without running code from them."""

import argparse
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

# All that fairseq's speech-to-speech checkpoints (optimizer state too) hold beside tensors and plain values.
SAFE_GLOBALS = (argparse.Namespace,)

# What torch.load raises for files that it cannot or will not read.
READ_ERRORS = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    zipfile.BadZipFile,
    UnicodeDecodeError,
    KeyError,
)

_REFUSAL_MARKS = (
    "allowed global",
    "GLOBAL",
    "Trying to",
    "Can only build",
    "call reduce",
    "Unsupported class",
)


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message names the file and says what is wrong with it."""


def explain_read_error(path: str | os.PathLike[str], error: Exception) -> CheckpointError:
    """Turn an error of `torch.load` into one that names the file and the reason."""
    text = str(error)
    refused = isinstance(error, pickle.UnpicklingError) and any(mark in text for mark in _REFUSAL_MARKS)
    if not refused:
        reason = text.splitlines()[0][:200] if text else type(error).__name__
        return CheckpointError(
            f"{path}: corrupt or truncated, or not a checkpoint at all ({type(error).__name__}: {reason}); "
            "copy it again, or take an older checkpoint of the same run"
        )
    return CheckpointError(
        f"{path}: refused, because loading it would need Python objects that could run code: "
        f"{_unsafe_names(path)}. Only tensors, plain Python values and argparse.Namespace are read; "
        "get the file from its authors in that form"
    )


def _unsafe_names(path: str | os.PathLike[str]) -> str:
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (*READ_ERRORS, ValueError):
        return "unknown objects (file in the old format of torch < 1.6)"
    return ", ".join(sorted(set(names) - {"argparse.Namespace"})) or "calls of constructors with arguments"


def load_checkpoint(
    path: str | os.PathLike[str], *, map_location: str | torch.device = "cpu"
) -> dict[str, Any]:
    """Read a checkpoint; nothing that it holds is executed.

    Args:
        path: file written by fairseq or `torch.save`.
        map_location: where the tensors go.
    Returns:
        The dictionary that was saved.
    Raises:
        FileNotFoundError: when there is no such file.
        CheckpointError: when it is corrupt, truncated, no dictionary, or would need code to be run.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    # Added for good: torch's context manager would also take away what was allowed before it.
    torch.serialization.add_safe_globals(list(SAFE_GLOBALS))
    try:
        state = torch.load(path, map_location=map_location, weights_only=True)
    except READ_ERRORS as error:
        raise explain_read_error(path, error) from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path}: holds a {type(state).__name__}, not a dictionary as checkpoints do")
    return state
