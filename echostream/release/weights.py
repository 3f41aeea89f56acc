"""Checkpoints with nothing in them but what inference loads, in half precision."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import torch
from torch import Tensor

from echostream.compat import CheckpointError, load_checkpoint
from echostream.vocoder.checkpoint import load_checkpoint_file

_OPTIMIZER_NOTES = ("criterion_name", "optimizer_name", "num_updates")


def half_precision(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights in float16, what is no floating-point number as it is; equal tensors are stored once.

    Tied weights are equal tensors, and averaging checkpoints makes them two.

    Raises:
        CheckpointError: for a weight that is not finite in float16.
    """
    stored: dict[tuple[torch.Size, torch.dtype, bytes], Tensor] = {}
    halved = {}
    for name, weight in weights.items():
        tensor = weight.half() if weight.is_floating_point() else weight
        if weight.is_floating_point() and not bool(tensor.isfinite().all()):
            raise CheckpointError(f"{name}: has values that half precision cannot hold")
        tensor = tensor.detach().clone(memory_format=torch.contiguous_format)
        content = tensor.flatten().view(torch.uint8).numpy().tobytes()
        halved[name] = stored.setdefault((tensor.shape, tensor.dtype, content), tensor)
    return halved


def pack_model(checkpoint: Path, config_yaml: str, multitask_config_yaml: str) -> dict[str, Any]:
    """A checkpoint of fairseq for inference: arguments and weights, no optimizer, no history, no paths.

    Args:
        checkpoint: written by fairseq-train, or averaged.
        config_yaml, multitask_config_yaml: names of the YAML files that will lie beside it.
    Raises:
        FileNotFoundError: when there is no such checkpoint.
        CheckpointError: for a corrupt one, one without arguments, or weights that half precision cannot hold.
    """
    state = load_checkpoint(checkpoint)
    cfg = state.get("cfg")
    if not isinstance(cfg, dict) or not isinstance(state.get("model"), dict):
        raise CheckpointError(
            f"{checkpoint}: holds no model with its configuration, as fairseq-train writes it"
        )
    names = {"data": ".", "config_yaml": config_yaml, "multitask_config_yaml": multitask_config_yaml}
    last = (state.get("optimizer_history") or [{}])[-1]
    notes = {name: last[name] for name in _OPTIMIZER_NOTES if name in last}
    return {
        "args": None,
        "cfg": {
            "task": Namespace(**(_portable(cfg["task"], checkpoint) | names)),
            "model": Namespace(**(_portable(cfg["model"], checkpoint) | names)),
        },
        "model": half_precision(state["model"]),
        # fairseq reads these two when it loads any checkpoint.
        "optimizer_history": [{"optimizer_name": "", "lr_scheduler_state": {}, **notes}],
        "extra_state": {"train_iterator": {"epoch": 1}},
    }


def _portable(arguments: object, checkpoint: Path) -> dict[str, Any]:
    """Arguments without those that name places on the machine of the training."""
    if not isinstance(arguments, Namespace):
        raise CheckpointError(f"{checkpoint}: its arguments are no namespace, as those of these models are")
    return {
        name: value
        for name, value in vars(arguments).items()
        if not (isinstance(value, str) and PurePath(value).is_absolute())
    }


def pack_vocoder(checkpoint: Path) -> dict[str, Any]:
    """A CodeHiFiGAN checkpoint in the public form: the generator with its weight norm.

    Raises:
        FileNotFoundError: when there is no such checkpoint.
        VocoderError: for a damaged one.
        CheckpointError: for one without a generator, or weights that half precision cannot hold.
    """
    weights = load_checkpoint_file(checkpoint).get("generator")
    if not isinstance(weights, Mapping):
        raise CheckpointError(f"{checkpoint}: holds no 'generator'; a vocoder checkpoint is expected")
    return {"generator": half_precision(weights)}
