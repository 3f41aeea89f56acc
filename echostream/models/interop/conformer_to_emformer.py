"""Which weights of a chunk Conformer mean the same in an Emformer, and how they are carried over.

A Conformer layer is half feed-forward, self-attention, convolution, half feed-forward, norm; an Emformer
layer is self-attention, feed-forward, norm. Both normalise in front of each part and once at the end, so
these agree:

| Emformer | Conformer | carried over |
|---|---|---|
| `layer_norm_input` | `self_attn_layer_norm` | as it is |
| `emb_to_query` | `linear_q`, `pos_bias_u` | u is added to the bias: the same content score (Wx + b + u) k |
| `emb_to_key_value` | `linear_k`, `linear_v` | one below the other |
| `out_proj` | `linear_out` | as it is |
| `pos_ff` | `ffn2`, which follows the attention as well | its last linear is halved: it is a half step |
| `layer_norm_output` | `final_layer_norm` | as it is |
| `subsample` | `subsample`, of the same kind | as it is |
| `linear`, with `--input-projection` | `linear` | as it is |

Without a counterpart: `ffn1`, the convolution module and the position scores (`linear_pos`, `pos_bias_v`).
What an Emformer layer may have more begins without effect: its convolution's output projection is zero, as
its position bias is in every new model.

The subsampler's kernels are centred in a Conformer and look back only in an Emformer. The same kernels then
give the same features of the signal as it was some frames earlier (:func:`subsampler_delay_frames`).

Layers that the Emformer has more are spread among the others and begin as the identity: their two output
projections are zero, the norm of the layer before becomes a plain one, and its scale and shift move to the
layer that was put in, so that the stack computes the same as without it, but for the memory, which such a
layer hands up as zero.

Reference: Conformer (Gulati et al., Interspeech 2020); Emformer (Shi et al., ICASSP 2021); for layers that
begin as the identity, LLaMA Pro (Wu et al., ACL 2024).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SOURCE_LAYERS = "encoder.conformer_layers."
TARGET_LAYERS = "encoder.emformer.emformer_layers."
FRONT_END = ("encoder.subsample.", "encoder.linear.")
KINDS = ("weight", "bias")
ESPNET_NAMES = ("linear_q", "linear_k", "linear_v", "linear_out")
FAIRSEQ_NAMES = ("q_proj", "k_proj", "v_proj", "out_proj")


@dataclass(frozen=True)
class Transfer:
    """One weight that is carried over.

    Args:
        target: its name in the model.
        sources: the weights of the checkpoint that it is made of; none for a layer that is put in.
        value: its value.
        change: what is done to them, in a word or two; empty when they are taken as they are.
    """

    target: str
    sources: tuple[str, ...]
    value: Tensor
    change: str = ""


def plan_layers(num_source: int, num_target: int) -> list[int | None]:
    """Return the source layer of each target layer; None for a layer that is put in.

    Layers that are too many in the target are spread evenly, each behind the layers that it follows; with
    fewer layers than the source, evenly spaced ones are taken, the first and the last among them.
    """
    if num_target <= num_source:
        if num_target == 1:
            return [num_source - 1]
        return [round(index * (num_source - 1) / (num_target - 1)) for index in range(num_target)]
    num_new = num_target - num_source
    plan: list[int | None] = []
    for index in range(num_source):
        plan.append(index)
        new_until_here = (index + 1) * num_new // num_source
        plan.extend([None] * (new_until_here - index * num_new // num_source))
    return plan


def subsampler_delay_frames(kernel_sizes: Sequence[int], stride: int = 2) -> int:
    """Return by how many fbank frames (10 ms) kernels that look back only lag behind centred ones.

    Such a kernel reads the same taps ``kernel // 2`` of its input frames earlier; each layer's input frames
    are ``stride`` times as long as those of the layer before.
    """
    return sum(kernel // 2 * stride**layer for layer, kernel in enumerate(kernel_sizes))


def count_layers(weights: Mapping[str, Tensor], prefix: str) -> int:
    """Return the number of layers whose weights have this prefix."""
    return len({name.removeprefix(prefix).split(".")[0] for name in weights if name.startswith(prefix)})


def same_names(source: Mapping[str, Tensor], names: Iterable[str]) -> list[Transfer]:
    """Return the weights that are taken as they are, under the same names."""
    return [Transfer(name, (name,), source[name]) for name in sorted(names)]


def front_end_transfers(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> list[Transfer]:
    """Return the subsampler and the linear layer behind it, each where both encoders have the same."""
    transfers: list[Transfer] = []
    for part in FRONT_END:
        own = {name for name in target if name.startswith(part)}
        theirs = {name for name in source if name.startswith(part)}
        if own == theirs and all(source[name].shape == target[name].shape for name in own):
            transfers += same_names(source, own)
    return transfers


def layer_transfers(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> list[Transfer]:
    """Return what agrees of the layers; a part whose size differs is left out.

    Args:
        source: a state dict with a Conformer encoder.
        target: a state dict with an Emformer encoder.
    """
    plan = plan_layers(count_layers(source, SOURCE_LAYERS), count_layers(target, TARGET_LAYERS))
    transfers: list[Transfer] = []
    origin = 0
    for index, copied in enumerate(plan):
        into = f"{TARGET_LAYERS}{index}."
        if copied is not None:
            origin = copied
            transfers += _copied_layer(source, f"{SOURCE_LAYERS}{origin}.", into)
        else:
            transfers += _identity_layer(target, into)
        transfers += _zeros(target, f"{into}convolution.pointwise_out")
        if index + 1 < len(plan) and plan[index + 1] is None:
            transfers += _plain_norm(target, f"{into}layer_norm_output.")
        else:
            norm = f"{SOURCE_LAYERS}{origin}.final_layer_norm."
            transfers += [
                Transfer(f"{into}layer_norm_output.{kind}", (norm + kind,), source[norm + kind])
                for kind in KINDS
            ]
    return [item for item in transfers if item.value.shape == target[item.target].shape]


def _plain_norm(target: Mapping[str, Tensor], norm: str) -> list[Transfer]:
    return [
        Transfer(norm + "weight", (), torch.ones_like(target[norm + "weight"]), "1"),
        Transfer(norm + "bias", (), torch.zeros_like(target[norm + "bias"]), "0"),
    ]


def _identity_layer(target: Mapping[str, Tensor], into: str) -> list[Transfer]:
    """Return zeros for the two projections through which a layer adds to its input."""
    return _zeros(target, f"{into}attention.out_proj") + _zeros(target, f"{into}pos_ff.4")


def _zeros(target: Mapping[str, Tensor], part: str) -> list[Transfer]:
    """Return zeros for a projection, none where the model has no such part."""
    names = [f"{part}.{kind}" for kind in KINDS if f"{part}.{kind}" in target]
    return [Transfer(name, (), torch.zeros_like(target[name]), "0") for name in names]


def _copied_layer(source: Mapping[str, Tensor], origin: str, into: str) -> list[Transfer]:
    """Return an Emformer layer's weights, all but the last norm, made of a Conformer layer's."""
    attention = f"{origin}self_attn."
    is_espnet = f"{attention}linear_q.weight" in source
    query, key, value, out = ESPNET_NAMES if is_espnet else FAIRSEQ_NAMES
    transfers = []
    for kind in KINDS:
        renamed = {
            "attention.out_proj": f"{attention}{out}",
            "layer_norm_input": f"{origin}self_attn_layer_norm",
            "pos_ff.0": f"{origin}ffn2.layer_norm",
            "pos_ff.1": f"{origin}ffn2.w_1",
        }
        transfers += [
            Transfer(f"{into}{own}.{kind}", (f"{theirs}.{kind}",), source[f"{theirs}.{kind}"])
            for own, theirs in renamed.items()
        ]
        halved = f"{origin}ffn2.w_2.{kind}"
        transfers.append(Transfer(f"{into}pos_ff.4.{kind}", (halved,), 0.5 * source[halved], "halved"))
        stacked = (f"{attention}{key}.{kind}", f"{attention}{value}.{kind}")
        keys_and_values = torch.cat([source[name] for name in stacked])
        transfers.append(Transfer(f"{into}attention.emb_to_key_value.{kind}", stacked, keys_and_values))
    weight, bias, content_bias = f"{query}.weight", f"{query}.bias", "pos_bias_u"
    summed = tuple(attention + name for name in (bias, content_bias) if attention + name in source)
    total = torch.stack([source[name].flatten() for name in summed]).sum(dim=0)
    projection = f"{into}attention.emb_to_query."
    return [
        *transfers,
        Transfer(f"{projection}weight", (attention + weight,), source[attention + weight]),
        Transfer(f"{projection}bias", summed, total, "sum" if len(summed) > 1 else ""),
    ]
