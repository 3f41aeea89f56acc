"""Starting an EchoStream model with the weights of a StreamSpeech checkpoint."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from echostream.models.checkpoint_fit import CheckpointMismatchError, check_fits, encoder_kind
from echostream.models.interop.conformer_to_emformer import (
    FRONT_END,
    SOURCE_LAYERS,
    TARGET_LAYERS,
    Transfer,
    count_layers,
    front_end_transfers,
    layer_transfers,
    plan_layers,
    same_names,
    subsampler_delay_frames,
)
from echostream.models.interop.stored_arguments import model_arguments
from echostream.models.weight_names import group_names, number_ranges

ENCODER = "encoder."
MS_PER_FBANK_FRAME = 10


@dataclass(frozen=True)
class WarmStart:
    """What was taken of a checkpoint; as text, the map that training prints.

    Args:
        path: the checkpoint.
        transfers: the weights that were set.
        random: names of the model's weights that stay as they were initialised.
        unused: names of the checkpoint's weights that were not used.
        layer_plan: source layer of each encoder layer; None for a layer that is put in.
        notes: what the user should know or decide.
    """

    path: str
    transfers: Sequence[Transfer]
    random: Sequence[str]
    unused: Sequence[str]
    layer_plan: Sequence[int | None]
    notes: Sequence[str]

    def __str__(self) -> str:
        targets = [item.target for item in self.transfers]
        used = [name for item in self.transfers for name in item.sources]
        taken = sum(bool(item.sources) for item in self.transfers)
        text = [
            f"warm start from {self.path}: {taken} of {len(targets) + len(self.random)} weights are taken"
        ]
        text += _lines_of_same_names(self.transfers, targets + list(self.random))
        text += _lines_of_layers(self.transfers, self.layer_plan)
        for title, names, rest in (
            ("stays random", self.random, targets),
            ("not used of the checkpoint", self.unused, used),
        ):
            groups = group_names(names, [*names, *rest])
            text += [f"  {title}: {line} ({count})" for line, count in groups.items()]
        return "\n".join([*text, *(f"  note: {note}" for note in self.notes)])


def _lines_of_same_names(transfers: Iterable[Transfer], universe: Iterable[str]) -> list[str]:
    same = [item.target for item in transfers if item.sources == (item.target,)]
    return [f"  as it is: {line} ({count})" for line, count in group_names(same, universe).items()]


def _lines_of_layers(transfers: Iterable[Transfer], plan: Sequence[int | None]) -> list[str]:
    """Return which layer comes from which, and what each part of a layer is made of."""
    pairs = (f"{own} put in" if origin is None else f"{own} <- {origin}" for own, origin in enumerate(plan))
    text = [f"  encoder layers: {', '.join(pairs)}"]
    parts: defaultdict[str, list[int]] = defaultdict(list)
    for item in transfers:
        if item.target.startswith(TARGET_LAYERS):
            layer, part = item.target.removeprefix(TARGET_LAYERS).split(".", 1)
            names = [name.removeprefix(SOURCE_LAYERS).split(".", 1)[1] for name in item.sources]
            change = f" ({item.change})" if item.sources and item.change else item.change
            parts[f"{part} <- {', '.join(names)}{change}"].append(int(layer))
    text += [f"    {line}, in layers {number_ranges(layers)}" for line, layers in parts.items()]
    return text


def warm_start(model: Any, state: Mapping[str, Any], path: str) -> WarmStart:
    """Set the weights of an EchoStream model that a StreamSpeech checkpoint has; the others stay as they are.

    All decoders and heads are taken, and of the encoder what
    :mod:`~echostream.models.interop.conformer_to_emformer` says.

    Args:
        model: a new `echostream` model, changed in place.
        state: the checkpoint.
        path: its name, for messages.

    Raises:
        CheckpointMismatchError: when the checkpoint has another encoder than StreamSpeech's, or its decoders
            do not fit; the message lists all that differs.
    """
    source: Mapping[str, Tensor] = state["model"]
    own = model.state_dict()
    if count_layers(source, SOURCE_LAYERS) == 0:
        raise CheckpointMismatchError(
            f"{path} is no StreamSpeech model: it has: {encoder_kind(source)}. To go on from an echostream "
            "model use --finetune-from-model"
        )
    decoders = {name: value for name, value in own.items() if not name.startswith(ENCODER)}
    check_fits(decoders, {name: value for name, value in source.items() if not name.startswith(ENCODER)})
    transfers = [
        *same_names(source, decoders),
        *front_end_transfers(source, own),
        *layer_transfers(source, own),
    ]
    with torch.no_grad():
        for item in transfers:
            own[item.target].copy_(item.value)
    targets = {item.target for item in transfers}
    used = {name for item in transfers for name in item.sources}
    return WarmStart(
        path=path,
        transfers=transfers,
        random=[name for name in own if name not in targets],
        unused=[name for name in source if name not in used],
        layer_plan=plan_layers(count_layers(source, SOURCE_LAYERS), count_layers(own, TARGET_LAYERS)),
        notes=_notes(model, model_arguments(dict(state)), targets),
    )


def _notes(model: Any, arguments: Mapping[str, Any], targets: Iterable[str]) -> list[str]:
    notes = []
    if any(name.startswith(FRONT_END[0]) for name in targets):
        kernels = [weight.size(2) for weight in model.encoder.subsample.parameters() if weight.dim() > 2]
        delay_ms = MS_PER_FBANK_FRAME * subsampler_delay_frames(kernels)
        notes.append(
            f"the subsampler looks back only: its features lag {delay_ms} ms behind the checkpoint's"
        )
    else:
        notes.append(
            "the subsampler is of another kind or size and stays random; the checkpoint's is "
            f"--conv-version {arguments.get('conv_version', 's2t_transformer')}"
        )
    if not any(name.startswith(FRONT_END[1]) for name in targets):
        notes.append(
            "the checkpoint's linear layer behind the subsampler is not taken, though the layers know their "
            "input through it; --input-projection gives it a place"
        )
    trained_constant = arguments.get("constant_unit_positions")
    if trained_constant is None:
        trained_constant = True  # public checkpoints do not know the setting
    if trained_constant and not model.decoder.constant_unit_positions:
        notes.append(
            "the checkpoint's unit decoder was trained with one position for all units, a defect of public "
            "StreamSpeech; here each unit has its own, which it must learn. --constant-unit-positions keeps "
            "its function as it was"
        )
    return notes
