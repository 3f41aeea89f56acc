"""Reading and writing vocoder checkpoints; only tensors and plain containers are ever unpickled."""

from __future__ import annotations

import os
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from echostream.vocoder.config import GeneratorConfig
from echostream.vocoder.errors import VocoderError
from echostream.vocoder.generator import CodeGenerator

_SHOWN = 3
# What torch's reader raises on bytes that are no torch file, or only half of one.
_DAMAGE = (
    RuntimeError,
    EOFError,
    OSError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    MemoryError,
    struct.error,
    zipfile.BadZipFile,
)


def load_checkpoint_file(path: str | Path) -> dict[str, Any]:
    """Read a torch file that holds a dictionary of tensors and plain values, on the CPU.

    Raises:
        FileNotFoundError: if there is no such file.
        VocoderError: if the file is damaged, holds pickled code, or is not a dictionary.
    """
    checkpoint = Path(path)
    if not checkpoint.is_file():
        raise FileNotFoundError(f"vocoder checkpoint not found: {checkpoint}")
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise VocoderError(
            f"vocoder checkpoint {checkpoint} was refused: it is no torch file, or it holds pickled objects "
            f"other than tensors and plain containers ({_first_line(error)})"
        ) from error
    except _DAMAGE as error:
        raise VocoderError(
            f"vocoder checkpoint {checkpoint} is damaged or no torch file ({_first_line(error)}); "
            "fetch it again"
        ) from error
    if not isinstance(content, dict):
        raise VocoderError(
            f"vocoder checkpoint {checkpoint} holds a {type(content).__name__}, not a dictionary"
        )
    return content


def load_generator(path: str | Path, model_cfg: Mapping[str, Any]) -> CodeGenerator:
    """Build the generator of `model_cfg` with the weights of a public checkpoint `{"generator": state dict}`.

    The generator keeps its weight norm and is in evaluation mode.

    Raises:
        FileNotFoundError: if there is no such file.
        VocoderError: if the config or the file is bad, or if they do not match (the message names the keys).
    """
    config = GeneratorConfig.from_dict(model_cfg)
    content = load_checkpoint_file(path)
    weights = content.get("generator")
    if not isinstance(weights, Mapping):
        raise VocoderError(
            f"vocoder checkpoint {path} has no 'generator' (it has: {sorted(map(str, content))}); "
            "a vocoder checkpoint is {'generator': state dict}"
        )
    generator = CodeGenerator(config)
    mismatches = compare_state_dict(generator.state_dict(), weights)
    if mismatches:
        more = f"; and {len(mismatches) - _SHOWN} more" if len(mismatches) > _SHOWN else ""
        raise VocoderError(
            f"vocoder checkpoint {path} does not match the config: {'; '.join(mismatches[:_SHOWN])}{more}"
        )
    generator.load_state_dict(dict(weights))
    return generator.eval()


def compare_state_dict(expected: Mapping[str, Tensor], found: Mapping[str, object]) -> list[str]:
    """Say, one line for each key, how `found` differs from `expected` in names and shapes."""
    mismatches = []
    for key, tensor in expected.items():
        other = found.get(key)
        if key not in found:
            mismatches.append(f"{key} {list(tensor.shape)} is missing from the checkpoint")
        elif not isinstance(other, Tensor):
            mismatches.append(f"{key} is a {type(other).__name__} in the checkpoint, not a tensor")
        elif other.shape != tensor.shape:
            shapes = f"{list(tensor.shape)} by the config but {list(other.shape)} in the checkpoint"
            mismatches.append(f"{key} is {shapes}")
    mismatches += [
        f"{key} of the checkpoint has no place in the config" for key in found if key not in expected
    ]
    return mismatches


def save_checkpoint_file(content: Mapping[str, Any], path: str | Path) -> None:
    """Write a torch file so that a reader never sees half of it."""
    target = Path(path)
    partial = target.with_name(f"{target.name}.partial")
    torch.save(dict(content), partial)
    os.replace(partial, target)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
