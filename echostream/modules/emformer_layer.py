"""One Emformer layer: attention over memory, left context, segment and right context, then an FFN.

Between the two there may be a causal convolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from echostream.modules.emformer_blocks import SegmentBlocks
from echostream.modules.emformer_convolution import EmformerConvolution
from echostream.modules.emformer_positions import RelativePositionBias
from echostream.streaming import CausalConvState, KVCache, StreamState

__all__ = ["EmformerAttention", "EmformerEncoderLayer", "EmformerLayerState", "MemoryMode"]

MemoryMode = Literal["attention", "mean"]

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "swish": nn.SiLU,
}


@dataclass
class EmformerLayerState(StreamState):
    """Projected keys and values that a layer still attends to, and what it convolves; their size is fixed.

    Args:
        left_context: the last ``left_context_length`` frames.
        memory: the last ``memory_size`` memory vectors.
        convolution: the last frames that the convolution reads; None in a layer without one.
    """

    left_context: KVCache
    memory: KVCache
    convolution: CausalConvState | None = None

    def segment_mask(self, num_frames: int, *, has_summary: bool) -> Tensor:
        """Return who sees whom in the next segment: ``[B, 1, queries, M + L + num_frames]``, bool."""
        memory = self.memory.valid_mask()
        valid = torch.cat([memory, self.left_context.valid_mask()], dim=1)
        mask = functional.pad(valid, (0, num_frames), value=True).unsqueeze(1).unsqueeze(1)
        if not has_summary:
            return mask
        mask = mask.repeat(1, 1, num_frames + 1, 1)
        mask[:, :, -1, : memory.size(1)] = False
        return mask


class EmformerAttention(nn.Module):
    """Projections and scaled dot-product attention of an Emformer layer, with torchaudio's parameter names.

    Args:
        embed_dim: D, divisible by ``num_heads``.
        num_heads: H.
        dropout: dropout probability of the attention weights.
        weight_init_gain: gain of the Xavier initialisation of the query, key and value projections; None
            keeps the default of ``nn.Linear``.
        position_bias: bias by relative position; None is without.
    Raises:
        ValueError: if ``embed_dim`` is not a multiple of ``num_heads``.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        weight_init_gain: float | None = None,
        position_bias: RelativePositionBias | None = None,
    ) -> None:
        super().__init__()
        if num_heads < 1 or embed_dim % num_heads != 0:
            raise ValueError(f"embed_dim ({embed_dim}) is not a multiple of num_heads ({num_heads})")
        self.num_heads = num_heads
        self.dropout = dropout
        self.emb_to_key_value = nn.Linear(embed_dim, 2 * embed_dim)
        self.emb_to_query = nn.Linear(embed_dim, embed_dim)
        self.out_proj = nn.Linear(embed_dim, embed_dim)
        self.position_bias = position_bias
        if weight_init_gain is not None:
            nn.init.xavier_uniform_(self.emb_to_key_value.weight, gain=weight_init_gain)
            nn.init.xavier_uniform_(self.emb_to_query.weight, gain=weight_init_gain)

    def split_key_value_heads(self, key_value: Tensor) -> tuple[Tensor, Tensor]:
        """Split projections ``[B, K, 2 * D]`` into keys and values, each ``[B, H, K, D / H]``."""
        keys, values = key_value.unflatten(-1, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        return keys, values

    def forward(
        self,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        mask: Tensor,
        position_rows: Tensor | None = None,
    ) -> Tensor:
        """Attend.

        Args:
            queries: ``[B, Q, D]``, before their projection.
            keys: ``[B, H, K, D / H]``, projected.
            values: ``[B, H, K, D / H]``, projected.
            mask: broadcastable to ``[B, H, Q, K]``: bool, True where the query attends, or float, which is
                added to the scores; a position bias needs a float.
            position_rows: ``[Q, K]``, of ``relative_position_rows``; only a position bias needs it.
        Returns:
            ``[B, Q, D]``.
        Raises:
            ValueError: where a position bias lacks what it needs.
        """
        projected: Tensor = self.emb_to_query(queries)
        if self.position_bias is not None:
            if position_rows is None or mask.dtype == torch.bool:
                raise ValueError("attention with a position bias needs position_rows and a float mask")
            mask = (mask + self.position_bias(position_rows)).to(projected.dtype)
        attended = functional.scaled_dot_product_attention(
            projected.unflatten(-1, (self.num_heads, -1)).transpose(1, 2),
            keys,
            values,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
        )
        output: Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))
        return output


class EmformerEncoderLayer(nn.Module):
    """Emformer layer whose streaming step equals its block-parallel forward.

    Dimensions: B batch; N segments; S segment length, R right context, L left context, in frames; M memory
        size, in vectors; D ``embed_dim``; H heads.

    Args:
        embed_dim: D.
        num_heads: H.
        ffn_embed_dim: hidden dimension of the feed-forward network.
        left_context_length: L, in frames.
        memory_size: M, in memory vectors, one for each segment; 0 is without a memory.
        dropout: dropout probability, of attention weights, residual branches and inside the feed-forward
            network.
        activation: "relu", "gelu" or "silu" ("swish").
        memory_mode: "attention": memory is the previous layer's attention output of the summary query;
            "mean": the plain mean of the normalised segment.
        tanh_on_mem: squash memory vectors by tanh instead of clamping them ("attention" only).
        memory_clamp: largest absolute value of a memory vector's elements ("attention" only).
        weight_init_gain: see :class:`EmformerAttention`.
        relative_position_bias: bias attention by the distance between key and query.
        conv_kernel_size: taps of a causal depthwise convolution between attention and feed-forward network;
            0 is without one.
    Raises:
        ValueError: for an unknown activation or memory mode, ``tanh_on_mem`` without "attention", or a
            negative ``conv_kernel_size``.

    Reference: Shi et al., "Emformer" (arXiv 2010.10759), section 2; parameter names and the place of each
        normalisation follow ``torchaudio.models.Emformer``.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        ffn_embed_dim: int,
        left_context_length: int,
        memory_size: int = 0,
        dropout: float = 0.1,
        activation: str = "relu",
        memory_mode: MemoryMode = "attention",
        tanh_on_mem: bool = False,
        memory_clamp: float = 10.0,
        weight_init_gain: float | None = None,
        relative_position_bias: bool = False,
        conv_kernel_size: int = 0,
    ) -> None:
        super().__init__()
        if activation not in _ACTIVATIONS:
            raise ValueError(f"unknown activation {activation!r}; choose one of {', '.join(_ACTIVATIONS)}")
        if memory_mode not in get_args(MemoryMode):
            raise ValueError(f"unknown memory_mode {memory_mode!r}; choose 'attention' or 'mean'")
        if tanh_on_mem and memory_mode != "attention":
            raise ValueError("tanh_on_mem needs memory_mode='attention': a mean is not squashed")
        self.left_context_length = left_context_length
        self.memory_size = memory_size
        self.uses_mean_memory = memory_mode == "mean"
        self.has_summary = memory_size > 0 and not self.uses_mean_memory
        self.tanh_on_mem = tanh_on_mem
        self.memory_clamp = memory_clamp
        position_bias = RelativePositionBias(num_heads, memory_size) if relative_position_bias else None
        self.attention = EmformerAttention(embed_dim, num_heads, dropout, weight_init_gain, position_bias)
        self.convolution = (
            EmformerConvolution(embed_dim, conv_kernel_size, dropout) if conv_kernel_size else None
        )
        self.dropout = nn.Dropout(dropout)
        self.pos_ff = nn.Sequential(
            nn.LayerNorm(embed_dim),
            nn.Linear(embed_dim, ffn_embed_dim),
            _ACTIVATIONS[activation](),
            nn.Dropout(dropout),
            nn.Linear(ffn_embed_dim, embed_dim),
            nn.Dropout(dropout),
        )
        self.layer_norm_input = nn.LayerNorm(embed_dim)
        self.layer_norm_output = nn.LayerNorm(embed_dim)

    def forward(
        self,
        frames: Tensor,
        memory: Tensor | None,
        blocks: SegmentBlocks,
        mask: Tensor,
        position_rows: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Process all segments of an utterance at once.

        Args:
            frames: ``[B, N, R + S, D]``, from ``blocks.split``.
            memory: ``[B, N, D]``, the memory vector of each segment, from the layer below; None without a
                memory.
            blocks: the geometry.
            mask: ``blocks.attention_mask(lengths)``; as a float for a position bias.
            position_rows: ``relative_position_rows(blocks, …)``; only a position bias needs it.
        Returns:
            frames ``[B, N, R + S, D]`` and the memory for the layer above, ``[B, N, D]`` or None.
        """
        queries, key_value, memory_key_value = self._project(frames, memory, blocks.right_context_length)
        keys, values = self.attention.split_key_value_heads(
            blocks.block_keys(key_value, memory_key_value).flatten(0, 1)
        )
        queries = queries.unflatten(1, (blocks.num_blocks, -1)).flatten(2, 3).flatten(0, 1)
        attended: Tensor = self.attention(queries, keys, values, mask, position_rows)
        num_queries = frames.size(2) + int(self.has_summary)
        attended = attended.unflatten(1, (-1, num_queries)).view(*frames.shape[:2], num_queries, -1)
        frames, memory = self._add_attended(frames, attended)
        if self.convolution is not None:
            frames = frames + self.convolution(frames, blocks.right_context_length)
        return self._feed_forward(frames), memory

    def init_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> EmformerLayerState:
        """Return the state of ``batch_size`` streams at their start."""
        num_heads = self.attention.num_heads
        head_dim = self.attention.out_proj.in_features // num_heads

        def cache(capacity: int) -> KVCache:
            return KVCache.create(batch_size, num_heads, capacity, head_dim, device=device, dtype=dtype)

        state = EmformerLayerState(
            left_context=cache(self.left_context_length), memory=cache(self.memory_size)
        )
        if self.convolution is not None:
            state.convolution = self.convolution.init_state(batch_size, device=device, dtype=dtype)
        return state

    def step(
        self,
        frames: Tensor,
        memory: Tensor | None,
        state: EmformerLayerState,
        mask: Tensor,
        position_rows: Tensor | None = None,
        *,
        right_context_length: int,
    ) -> tuple[Tensor, Tensor | None]:
        """Process the next segment of each stream, and remember its keys and values.

        Args:
            frames: ``[B, 1, R + S, D]``, right context first.
            memory: ``[B, 1, D]``, this segment's memory vector from the layer below; None without a memory.
            state: changed in place.
            mask: ``state.segment_mask(R + S, …)``, of this or of any other layer of the same encoder; as a
                float for a position bias.
            position_rows: ``[Q, K]``, of a block of this one segment; only a position bias needs it.
            right_context_length: R of this segment, fewer at the end of the stream.
        Returns:
            frames ``[B, 1, R + S, D]`` and the memory for the layer above, ``[B, 1, D]`` or None.
        Raises:
            ValueError: if the state is of another kind of layer.
        """
        queries, key_value, memory_key_value = self._project(frames, memory, right_context_length)
        keys, values = self.attention.split_key_value_heads(key_value.squeeze(1))
        attended: Tensor = self.attention(
            queries.squeeze(1),
            torch.cat(
                [state.memory.keys.to(keys.dtype), state.left_context.keys.to(keys.dtype), keys], dim=2
            ),
            torch.cat(
                [state.memory.values.to(keys.dtype), state.left_context.values.to(keys.dtype), values], dim=2
            ),
            mask,
            position_rows,
        )
        state.left_context.append(keys[:, :, right_context_length:], values[:, :, right_context_length:])
        if memory_key_value is not None:
            state.memory.append(*self.attention.split_key_value_heads(memory_key_value))
        frames, memory = self._add_attended(frames, attended.unsqueeze(1))
        if self.convolution is not None:
            if state.convolution is None:
                raise ValueError("the state is of a layer without convolution; make it by init_state()")
            frames = frames + self.convolution.step(frames, state.convolution, right_context_length)
        return self._feed_forward(frames), memory

    def _project(
        self, frames: Tensor, memory: Tensor | None, right_context_length: int
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return unprojected queries, and the keys and values of the frames and of the memory if any."""
        normed: Tensor = self.layer_norm_input(frames)
        if self.memory_size == 0:
            return normed, self.attention.emb_to_key_value(normed), None
        summary = normed[:, :, right_context_length:].mean(dim=2, keepdim=True)
        queries = torch.cat([normed, summary], dim=2) if self.has_summary else normed
        source = summary if self.uses_mean_memory or memory is None else memory.unsqueeze(2)
        key_value: Tensor = self.attention.emb_to_key_value(
            torch.cat([source.to(normed.dtype), normed], dim=2)
        )
        return queries, key_value[:, :, 1:], key_value[:, :, 0]

    def _add_attended(self, frames: Tensor, attended: Tensor) -> tuple[Tensor, Tensor | None]:
        """Add the attention's output to the frames; take the memory out of it."""
        memory = None
        if self.has_summary:
            memory = attended[:, :, -1]
            if self.tanh_on_mem:
                memory = memory.tanh()
            else:
                memory = memory.clamp(min=-self.memory_clamp, max=self.memory_clamp)
        return self.dropout(attended[:, :, : frames.size(2)]) + frames, memory

    def _feed_forward(self, frames: Tensor) -> Tensor:
        output: Tensor = self.layer_norm_output(self.pos_ff(frames) + frames)
        return output
