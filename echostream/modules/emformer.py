"""Emformer encoder: block-parallel in training, segment by segment with a bounded cache in streaming."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from echostream.modules.emformer_blocks import SegmentBlocks
from echostream.modules.emformer_layer import EmformerEncoderLayer, EmformerLayerState, MemoryMode
from echostream.modules.emformer_positions import relative_position_rows
from echostream.streaming import SegmentBuffer, StreamState

__all__ = ["EmformerEncoder", "EmformerState"]


@dataclass
class EmformerState(StreamState):
    """State of :class:`EmformerEncoder`; its size does not depend on how long the stream has run.

    Args:
        buffer: frames whose segment or right context is not complete, fewer than segment + right context.
        layers: one state for each layer.
    """

    buffer: SegmentBuffer
    layers: list[EmformerLayerState]


class EmformerEncoder(nn.Module):
    """Stack of Emformer layers whose streaming output equals its forward, however the input is split.

    A frame sees its own segment, R frames after the segment, L frames before it, and M memory vectors of the
    segments before it. At the end of an utterance the last segment and its right context are as short as the
    frames that are left. Unless ``relative_position_bias`` or a convolution says more, order is known only
    from what is segment, left context and memory.

    Dimensions: B batch; T frames (40 ms in EchoStream); D ``embed_dim``; S, L, R frames; M memory vectors.

    Args:
        embed_dim: D.
        num_heads: number of attention heads.
        ffn_embed_dim: hidden dimension of the feed-forward networks.
        num_layers: number of layers.
        segment_length: S, the default where a call gives none.
        left_context_length: L.
        right_context_length: R.
        memory_size: M; 0 is without a memory.
        dropout: dropout probability.
        activation: "relu", "gelu" or "silu".
        memory_mode: "attention" (memory of layer n is the summary query's attention output in layer n - 1) or
            "mean" (the plain mean of the segment).
        tanh_on_mem: squash memory by tanh instead of clamping it.
        memory_clamp: largest absolute value of a memory element.
        weight_init_scale_strategy: gain of the query, key and value initialisation: "depthwise"
            (1 / sqrt(depth)), "constant" (1 / sqrt(2)), or None (the default of ``nn.Linear``).
        relative_position_bias: bias the attention of each head by the distance between key and query; see
            :class:`~echostream.modules.emformer_positions.RelativePositionBias`.
        conv_kernel_size: taps, in frames, of a causal depthwise convolution in each layer; 0 is without one.
    Raises:
        ValueError: for a size out of range or an unknown option.

    Reference: Shi et al., "Emformer" (arXiv 2010.10759). ``torchaudio.models.Emformer`` has the same
        parameter names and, where it does not attend to padding, the same numbers.
    Differs from ``torchaudio.models.Emformer``: ``forward`` takes T frames and encodes them all, where that
        one takes T + R and drops R; rows of any length give what each gives alone; memory and time are linear
        in T.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        ffn_embed_dim: int,
        num_layers: int,
        segment_length: int,
        left_context_length: int,
        right_context_length: int = 0,
        memory_size: int = 0,
        dropout: float = 0.1,
        activation: str = "relu",
        memory_mode: MemoryMode = "attention",
        tanh_on_mem: bool = False,
        memory_clamp: float = 10.0,
        weight_init_scale_strategy: str | None = "depthwise",
        relative_position_bias: bool = False,
        conv_kernel_size: int = 0,
    ) -> None:
        super().__init__()
        _check_at_least(1, num_layers=num_layers, segment_length=segment_length)
        _check_at_least(
            0,
            left_context_length=left_context_length,
            right_context_length=right_context_length,
            memory_size=memory_size,
            conv_kernel_size=conv_kernel_size,
        )
        self.embed_dim = embed_dim
        self.segment_length = segment_length
        self.left_context_length = left_context_length
        self.right_context_length = right_context_length
        self.memory_size = memory_size
        self.relative_position_bias = relative_position_bias
        self.emformer_layers = nn.ModuleList(
            EmformerEncoderLayer(
                embed_dim,
                num_heads,
                ffn_embed_dim,
                left_context_length,
                memory_size=memory_size,
                dropout=dropout,
                activation=activation,
                memory_mode=memory_mode,
                tanh_on_mem=tanh_on_mem,
                memory_clamp=memory_clamp,
                weight_init_gain=_weight_init_gain(weight_init_scale_strategy, index),
                relative_position_bias=relative_position_bias,
                conv_kernel_size=conv_kernel_size,
            )
            for index in range(num_layers)
        )
        self.has_summary = self.layers[0].has_summary

    @property
    def layers(self) -> list[EmformerEncoderLayer]:
        """The layers, first to last."""
        return [layer for layer in self.emformer_layers if isinstance(layer, EmformerEncoderLayer)]

    def forward(
        self, x: Tensor, lengths: Tensor, *, segment_length: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Encode whole utterances; each row gives what it would give alone.

        Args:
            x: ``[B, T, D]``.
            lengths: ``[B]``, valid frames of each row, 0 … T.
            segment_length: S of this call; None is the configured one.
        Returns:
            ``[B, T, D]``, zero at padding, and ``lengths`` unchanged.
        Raises:
            ValueError: if shapes, ``lengths`` or ``segment_length`` do not fit.
        """
        # A queue of one: no more than one layer's output is kept.
        last = deque(self._layer_outputs(x, lengths, segment_length), maxlen=1)
        return last.pop(), lengths

    def forward_layers(
        self, x: Tensor, lengths: Tensor, *, segment_length: int | None = None
    ) -> tuple[list[Tensor], Tensor]:
        """Encode like :meth:`forward`, and return the output ``[B, T, D]`` of every layer."""
        return list(self._layer_outputs(x, lengths, segment_length)), lengths

    def init_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> EmformerState:
        """Return the state of ``batch_size`` streams at their start."""
        return EmformerState(
            buffer=SegmentBuffer.create(batch_size, self.embed_dim, device=device, dtype=dtype),
            layers=[layer.init_state(batch_size, device=device, dtype=dtype) for layer in self.layers],
        )

    def streaming_forward(
        self, x: Tensor, state: EmformerState, *, is_final: bool = False, segment_length: int | None = None
    ) -> Tensor:
        """Encode the next frames; a segment comes out when it and its right context are complete.

        Args:
            x: ``[B, t, D]``, t >= 0.
            state: from :meth:`init_state`, changed in place.
            is_final: no frame follows: encode what is left too.
            segment_length: length of the segments that start within x; None is the configured one. A segment
                that has begun keeps its length.
        Returns:
            ``[B, t', D]``, t' >= 0.
        Raises:
            ValueError: if shape or ``segment_length`` do not fit.
            StreamFinishedError: if the stream was closed already.
        """
        if x.dim() != 3:
            raise ValueError(f"expected input [B, t, D], got shape {tuple(x.shape)}")
        segments = state.buffer.push(
            x,
            segment_length=self.resolve_segment_length(segment_length),
            right_context_length=self.right_context_length,
            is_final=is_final,
        )
        state.begin_step(is_final=is_final)
        outputs = [self._encode_segment(*segment, state.layers) for segment in segments]
        return torch.cat(outputs, dim=1) if outputs else x.new_zeros(x.size(0), 0, self.embed_dim)

    def _layer_outputs(self, x: Tensor, lengths: Tensor, segment_length: int | None) -> Iterator[Tensor]:
        self._check_input(x, lengths)
        length = self.resolve_segment_length(segment_length)
        if x.size(1) == 0:
            yield from [x] * len(self.emformer_layers)
            return
        blocks = self._blocks(x.size(1), length, self.right_context_length)
        lengths = lengths.to(x.device)
        padding = (torch.arange(x.size(1), device=x.device) >= lengths.unsqueeze(1)).unsqueeze(2)
        mask = blocks.attention_mask(lengths)
        # What padding holds, even NaN, must not reach any sum.
        frames = blocks.split(x.masked_fill(padding, 0.0))
        memory = frames[:, :, self.right_context_length :].mean(dim=2) if self.has_summary else None
        mask, rows = self._with_positions(mask, blocks, x.dtype)
        for layer in self.layers:
            frames, memory = layer(frames, memory, blocks, mask, rows)
            yield blocks.join(frames).masked_fill(padding, 0.0)

    def _encode_segment(
        self, segment: Tensor, right_context: Tensor, states: list[EmformerLayerState]
    ) -> Tensor:
        num_right = right_context.size(1)
        frames = torch.cat([right_context, segment], dim=1).unsqueeze(1)
        memory: Tensor | None = segment.mean(dim=1, keepdim=True) if self.has_summary else None
        # Every layer has the same history, so that one mask serves all.
        mask = states[0].segment_mask(frames.size(2), has_summary=self.has_summary)
        length = segment.size(1)
        mask, rows = self._with_positions(mask, self._blocks(length, length, num_right), segment.dtype)
        for layer, state in zip(self.layers, states, strict=True):
            frames, memory = layer.step(frames, memory, state, mask, rows, right_context_length=num_right)
        return frames[:, 0, num_right:]

    def _blocks(self, num_frames: int, segment_length: int, right_context_length: int) -> SegmentBlocks:
        return SegmentBlocks(
            num_frames=num_frames,
            segment_length=segment_length,
            left_context_length=self.left_context_length,
            right_context_length=right_context_length,
            memory_size=self.memory_size,
            has_summary=self.has_summary,
        )

    def _with_positions(
        self, mask: Tensor, blocks: SegmentBlocks, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor | None]:
        """Return the mask in the form that the layers need, and the positions if they have a bias."""
        if not self.relative_position_bias:
            return mask, None
        # What is added to the scores, made once: each layer adds its own bias to it.
        added = torch.zeros(mask.shape, device=mask.device, dtype=dtype).masked_fill(~mask, float("-inf"))
        return added, relative_position_rows(blocks, mask.device)

    def resolve_segment_length(self, segment_length: int | None) -> int:
        """Return the segment length of a call, in frames; None is the configured one.

        Raises:
            ValueError: if it is less than 1.
        """
        if segment_length is None:
            return self.segment_length
        _check_at_least(1, segment_length=segment_length)
        return segment_length

    def _check_input(self, x: Tensor, lengths: Tensor) -> None:
        if x.dim() != 3 or x.size(2) != self.embed_dim:
            raise ValueError(f"expected input [B, T, {self.embed_dim}], got shape {tuple(x.shape)}")
        if lengths.shape != (x.size(0),):
            raise ValueError(f"expected lengths of shape ({x.size(0)},), got {tuple(lengths.shape)}")
        wrong = [length for length in lengths.tolist() if not 0 <= length <= x.size(1)]
        if wrong:
            raise ValueError(f"lengths must lie in 0 … {x.size(1)}, the number of frames, got {wrong[0]}")


def _check_at_least(minimum: int, **sizes: int) -> None:
    for name, size in sizes.items():
        if size < minimum:
            raise ValueError(f"{name} must be at least {minimum}, got {size}")


def _weight_init_gain(strategy: str | None, index: int) -> float | None:
    if strategy is None:
        return None
    if strategy == "depthwise":
        return 1.0 / math.sqrt(index + 1)
    if strategy == "constant":
        return 1.0 / math.sqrt(2.0)
    raise ValueError(
        f"unknown weight_init_scale_strategy {strategy!r}; choose 'depthwise', 'constant' or None"
    )
