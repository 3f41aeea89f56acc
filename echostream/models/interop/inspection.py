"""What a checkpoint is, in words; only tensors and plain values of it are read."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from echostream.compat import CheckpointError
from echostream.models.checkpoint_fit import compare_weights, dictionary_sizes, encoder_kind
from echostream.models.interop.public_layout import public_weights
from echostream.models.interop.stored_arguments import model_arguments
from echostream.models.interop.stored_paths import stored_paths

ENCODER_ARGUMENTS = (
    "encoder_layers",
    "encoder_embed_dim",
    "encoder_ffn_embed_dim",
    "encoder_attention_heads",
    "conv_version",
    "chunk_size",
    "segment_lengths",
)
DECODER_ARGUMENTS = (
    "translation_decoder_layers",
    "synthesizer_encoder_layers",
    "decoder_layers",
    "decoder_embed_dim",
    "ctc_upsample_rate",
    "constant_unit_positions",
)
NOT_STORED = "not stored"


def model_weights(state: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    """Return the weights in a checkpoint.

    Raises:
        CheckpointError: when it is no fairseq checkpoint.
    """
    weights = state.get("model")
    if not isinstance(weights, dict) or not weights:
        raise CheckpointError(
            f"{path}: not a fairseq checkpoint: it holds {', '.join(map(str, state)) or 'nothing'}"
        )
    return weights


def describe_checkpoint(state: dict[str, Any], path: Path) -> str:
    """Return a description of a checkpoint: model, progress, weights, dictionaries, stored paths.

    Raises:
        CheckpointError: when it is no fairseq checkpoint.
    """
    weights = model_weights(state, path)
    arguments = model_arguments(state)
    lines = [f"{path}: {path.stat().st_size / 2**20:.1f} MiB, holds {', '.join(map(str, state))}"]
    lines += _model_lines(arguments, weights)
    lines += _progress_lines(state)
    lines += _weight_lines(weights)
    lines.append("paths stored in it (echostream-convert rewrite replaces them):")
    paths = stored_paths(state)
    lines += [
        f"  {path.where} = {path.value}{'' if path.exists else '  (not on this machine)'}" for path in paths
    ]
    if not paths:
        lines.append("  none that is absolute")
    return "\n".join(lines)


def _model_lines(arguments: Mapping[str, Any], weights: Mapping[str, Tensor]) -> list[str]:
    lines = [
        f"architecture: {arguments.get('arch', NOT_STORED)}, with a {encoder_kind(weights)}",
        f"task: {arguments.get('task', NOT_STORED)}, criterion: {arguments.get('criterion', NOT_STORED)}",
    ]
    for title, names in (("encoder", ENCODER_ARGUMENTS), ("decoders", DECODER_ARGUMENTS)):
        settings = ", ".join(f"{name} {arguments[name]}" for name in names if name in arguments)
        lines.append(f"{title}: {settings or NOT_STORED}")
    lines.append(
        f"configurations: {arguments.get('config_yaml', NOT_STORED)}, "
        f"{arguments.get('multitask_config_yaml', NOT_STORED)}"
    )
    return lines


def _progress_lines(state: Mapping[str, Any]) -> list[str]:
    history = state.get("optimizer_history") or [{}]
    updates = history[-1].get("num_updates", NOT_STORED)
    iterator = (state.get("extra_state") or {}).get("train_iterator") or {}
    optimizer = "with" if state.get("last_optimizer_state") else "without"
    return [
        f"updates: {updates}, epoch: {iterator.get('epoch', NOT_STORED)}, {optimizer} the optimizer's state"
    ]


def _weight_lines(weights: Mapping[str, Tensor]) -> list[str]:
    sizes: Counter[str] = Counter()
    distinct = {weight.data_ptr(): name for name, weight in reversed(list(weights.items()))}  # tied ones once
    for name in sorted(distinct.values()):
        sizes[name.split(".")[0]] += weights[name].numel()
    types = ", ".join(sorted({str(weight.dtype).removeprefix("torch.") for weight in weights.values()}))
    lines = [f"weights: {len(weights)} with {sum(sizes.values()):,} elements, tied ones once, {types}"]
    lines += [f"  {name}: {size:,}" for name, size in sizes.items()]
    lines.append("dictionaries, entries with the special symbols:")
    lines += [f"  {name}: {size}" for name, size in dictionary_sizes(weights).items()]
    public = public_weights()
    differences = compare_weights(public, weights)
    if differences:
        lines.append(f"against the {len(public)} names and shapes of public StreamSpeech:")
        lines.append(str(differences))
    else:
        lines.append(f"all {len(public)} names and shapes are those of public StreamSpeech")
    return lines
