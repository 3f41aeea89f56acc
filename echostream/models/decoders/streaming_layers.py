"""fairseq's Transformer layers, a few positions at a time: the same weights and numbers as their ``forward``
under a causal mask, with the keys and values of earlier positions kept instead of computed again.

Dimensions: B streams; n new positions; N positions so far, the new ones included; S positions that
cross-attention reads; C features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Self

import torch
import torch.nn.functional as F
from fairseq.modules.transformer_layer import TransformerDecoderLayerBase, TransformerEncoderLayerBase
from torch import Tensor, nn

from echostream.streaming import KVHistory, StreamState


@dataclass
class LayerStackState(StreamState):
    """Keys and values of all positions of a stack of causal layers.

    Args:
        self_attention: one history a layer, of the positions so far.
        cross_attention: one history a layer, of what the layers attend to; empty if they attend to nothing
            else.
    """

    self_attention: list[KVHistory]
    cross_attention: list[KVHistory] = field(default_factory=list)

    @classmethod
    def create(
        cls,
        layers: nn.ModuleList,
        batch_size: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> Self:
        """Return the state of ``batch_size`` streams at their start, by default on the layers' device and in
        their type.

        Raises:
            ValueError: if there are no layers, or layers of a kind that is not causal step by step.
        """
        check_streamable(layers)
        parameter = next(layers.parameters())
        device = parameter.device if device is None else device
        dtype = parameter.dtype if dtype is None else dtype

        def histories(attentions: Iterable[Any]) -> list[KVHistory]:
            return [
                KVHistory.create(
                    batch_size, attention.num_heads, attention.head_dim, device=device, dtype=dtype
                )
                for attention in attentions
                if attention is not None
            ]

        return cls(
            self_attention=histories(layer.self_attn for layer in layers),
            cross_attention=histories(getattr(layer, "encoder_attn", None) for layer in layers),
        )

    @property
    def batch_size(self) -> int:
        """Number of streams B."""
        return self.self_attention[0].key_buffer.size(0)

    @property
    def num_positions(self) -> int:
        """Number of positions so far N."""
        return self.self_attention[0].length

    def truncate_positions(self, num_positions: int) -> None:
        """Forget all positions from ``num_positions`` on, as if they had never been computed.

        Raises:
            ValueError: if there are fewer positions than that.
        """
        for history in self.self_attention:
            history.truncate(num_positions)


def check_streamable(layers: nn.ModuleList) -> None:
    """Refuse layers whose step by step computation would differ from their ``forward``.

    Raises:
        ValueError: if there are no layers, or layers of a kind that is not causal step by step.
    """
    if len(layers) == 0:
        raise ValueError("a stack without layers has nothing to stream; give it at least one layer")
    for layer in layers:
        is_known = isinstance(layer, (TransformerEncoderLayerBase, TransformerDecoderLayerBase))
        if not is_known or getattr(layer, "cross_self_attention", False):
            raise ValueError(
                f"a {type(layer).__name__} cannot stream here: leave cross_self_attention and base_layers "
                "out of the arguments, or use forward()"
            )


def check_causal(module: Any) -> None:
    """Refuse a module whose ``unidirectional`` is off.

    Raises:
        ValueError: if a position of the module reads later positions.
    """
    if not module.unidirectional:
        raise ValueError(
            f"this {type(module).__name__} reads its whole input in both directions and cannot stream: "
            "use forward(), or train a model with --uni-encoder"
        )


def check_evaluation_mode(module: nn.Module) -> None:
    """Refuse to stream with dropout.

    Raises:
        RuntimeError: in training mode, where streaming would differ from itself.
    """
    if module.training:
        raise RuntimeError("streaming needs evaluation mode; call eval() on the model first")


def check_features(x: Tensor, batch_size: int, dim: int) -> None:
    """Refuse features that do not fit the state or the layers.

    Raises:
        ValueError: if x is not ``[batch_size, n, dim]``.
    """
    if x.dim() != 3 or (x.size(0), x.size(2)) != (batch_size, dim):
        raise ValueError(
            f"the stream takes features [{batch_size}, n, {dim}] (batch first), got {list(x.shape)}"
        )


def remember_other(layers: nn.ModuleList, x: Tensor, state: LayerStackState) -> None:
    """Add positions ``[B, n, C]`` to those that cross-attention reads; each layer projects them once."""
    for index, history in enumerate(state.cross_attention):
        _remember(layers[index].encoder_attn, x, history)


def run_layers(
    layers: nn.ModuleList, x: Tensor, state: LayerStackState, visible_keys: Tensor | None = None
) -> Tensor:
    """Run new positions through the layers; each sees itself and all positions before it.

    Args:
        layers: of an encoder or a decoder of fairseq.
        x: new positions, ``[B, n, C]``, n >= 0.
        state: of these layers, changed in place.
        visible_keys: which positions cross-attention may read, bool ``[n, S]``; all when None.
    Returns:
        ``[B, n, C]``.
    """
    if x.size(1) == 0:
        return x
    visible_positions = _causal_mask(x.size(1), state.num_positions, x.device)
    for index, layer in enumerate(layers):
        x = _attend_to_self(layer, x, state.self_attention[index], visible_positions)
        if state.cross_attention:
            x = _attend_to_other(layer, x, state.cross_attention[index], visible_keys)
        x = _feed_forward(layer, x)
    return x


def _causal_mask(num_new: int, num_before: int, device: torch.device) -> Tensor | None:
    if num_new == 1:
        return None  # a single new position sees all there is
    visible = torch.ones(num_new, num_before + num_new, dtype=torch.bool, device=device)
    return visible.tril_(num_before)


def _split_heads(attention: Any, x: Tensor) -> Tensor:
    return x.unflatten(2, (attention.num_heads, attention.head_dim)).transpose(1, 2)


def _remember(attention: Any, x: Tensor, history: KVHistory) -> None:
    history.append(
        _split_heads(attention, attention.k_proj(x)),
        _split_heads(attention, attention.v_proj(x)),
    )


def _attend(attention: Any, x: Tensor, history: KVHistory, visible: Tensor | None) -> Tensor:
    queries = _split_heads(attention, attention.q_proj(x))
    y = F.scaled_dot_product_attention(queries, history.keys, history.values, attn_mask=visible)
    output: Tensor = attention.out_proj(y.transpose(1, 2).flatten(2))
    return output


def _attend_to_self(layer: Any, x: Tensor, history: KVHistory, visible: Tensor | None) -> Tensor:
    def attend(y: Tensor) -> Tensor:
        _remember(layer.self_attn, y, history)
        y = _attend(layer.self_attn, y, history, visible)
        if (head_scale := getattr(layer, "c_attn", None)) is not None:
            y = (_split_heads(layer.self_attn, y) * head_scale.view(-1, 1, 1)).transpose(1, 2).flatten(2)
        if (norm := getattr(layer, "attn_ln", None)) is not None:
            y = norm(y)
        return y

    return _with_residual(layer, layer.self_attn_layer_norm, attend, x, x)


def _attend_to_other(layer: Any, x: Tensor, history: KVHistory, visible: Tensor | None) -> Tensor:
    def attend(y: Tensor) -> Tensor:
        return _attend(layer.encoder_attn, y, history, visible)

    return _with_residual(layer, layer.encoder_attn_layer_norm, attend, x, x)


def _feed_forward(layer: Any, x: Tensor) -> Tensor:
    def feed_forward(y: Tensor) -> Tensor:
        y = layer.activation_fn(layer.fc1(y))
        if (norm := getattr(layer, "ffn_layernorm", None)) is not None:
            y = norm(y)
        output: Tensor = layer.fc2(y)
        return output

    scale = getattr(layer, "w_resid", None)
    residual = x if scale is None else scale * x
    return _with_residual(layer, layer.final_layer_norm, feed_forward, x, residual)


def _with_residual(
    layer: Any, norm: nn.Module, function: Callable[[Tensor], Tensor], x: Tensor, residual: Tensor
) -> Tensor:
    if layer.normalize_before:
        return residual + function(norm(x))
    output: Tensor = norm(residual + function(x))
    return output
