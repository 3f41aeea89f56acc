"""Segments of an utterance, gathered into blocks that are attended in parallel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["SegmentBlocks"]

# A block of short segments shares one gathered window of keys. Eight segments keep the gather cheap; beyond
# 64 frames a block's masked scores cost more than they save.
_MAX_SEGMENTS_PER_BLOCK = 8
_MAX_FRAMES_PER_BLOCK = 64


@dataclass(frozen=True)
class SegmentBlocks:
    """How T frames are cut into segments and blocks, and who sees whom: time and memory are linear in T.

    Queries of a block: for each of its G segments R right-context frames, S frames and, with a summary, one
    summary vector. Keys of a block: memory ``[M + G - 1]``, left context ``[L]``, and for each segment R + S
    frames. The frame axis of a segment always holds its right context first, as in the numerical reference.

    Dimensions: B batch; T frames; D feature dimension; S, L, R, M see Args; G segments of a block;
        N segments, a multiple of G; K keys of a block; Q queries of a block.

    Args:
        num_frames: T, without right padding.
        segment_length: S, in frames.
        left_context_length: L, in frames.
        right_context_length: R, in frames.
        memory_size: M, in memory vectors, one for each segment.
        has_summary: whether each segment has a summary query.
    """

    num_frames: int
    segment_length: int
    left_context_length: int
    right_context_length: int
    memory_size: int
    has_summary: bool

    @property
    def segments_per_block(self) -> int:
        """G: 8 for short segments, fewer where a block would be long."""
        num_segments = -(-self.num_frames // self.segment_length)
        return max(
            1, min(_MAX_SEGMENTS_PER_BLOCK, _MAX_FRAMES_PER_BLOCK // self.segment_length, num_segments)
        )

    @property
    def num_segments(self) -> int:
        """N: number of segments, filled up to whole blocks."""
        block_length = self.segments_per_block * self.segment_length
        return -(-self.num_frames // block_length) * self.segments_per_block

    @property
    def num_blocks(self) -> int:
        """Number of blocks."""
        return self.num_segments // self.segments_per_block

    def split(self, x: Tensor) -> Tensor:
        """Cut ``x [B, T, D]`` into segments with copies of their right context: ``[B, N, R + S, D]``."""
        length, right = self.segment_length, self.right_context_length
        padded = functional.pad(x, (0, 0, 0, self.num_segments * length + right - x.size(1)))
        segments = padded[:, : self.num_segments * length].unflatten(1, (self.num_segments, length))
        if right == 0:
            return segments
        copies = padded[:, length:].unfold(1, right, length).transpose(2, 3)
        return torch.cat([copies, segments], dim=2)

    def join(self, frames: Tensor) -> Tensor:
        """Put the segments ``[B, N, R + S, D]`` together again, without right context: ``[B, T, D]``."""
        return frames[:, :, self.right_context_length :].flatten(1, 2)[:, : self.num_frames]

    def block_keys(self, keys: Tensor, memory_keys: Tensor | None) -> Tensor:
        """Gather what each block attends to.

        Args:
            keys: ``[B, N, R + S, D]``, projections of the frames.
            memory_keys: ``[B, N, D]``, projections of the memory vectors, or None without a memory.
        Returns:
            ``[B, blocks, K, D]``: memory, left context, frames.
        """
        group, left = self.segments_per_block, self.left_context_length
        parts = []
        if memory_keys is not None:
            # The last segment's memory has no segment after it.
            padded = functional.pad(memory_keys[:, :-1], (0, 0, self.memory_size, 0))
            parts.append(padded.unfold(1, self.memory_size + group - 1, group).transpose(2, 3))
        if left > 0:
            step = group * self.segment_length
            history = keys[:, :, self.right_context_length :].flatten(1, 2)[:, : (self.num_blocks - 1) * step]
            parts.append(functional.pad(history, (0, 0, left, 0)).unfold(1, left, step).transpose(2, 3))
        parts.append(keys.unflatten(1, (self.num_blocks, group)).flatten(2, 3))
        return torch.cat(parts, dim=2)

    def attention_mask(self, lengths: Tensor) -> Tensor:
        """Say which keys each query sees; a query that would see nothing (padding) sees all, never NaN.

        Args:
            lengths: ``[B]``, valid frames of each row.
        Returns:
            ``[B * blocks, 1, Q, K]``, bool, True where the query attends.
        """
        visible = self._visible(lengths.device) & self._valid_keys(lengths).unsqueeze(2)
        visible = visible | ~visible.any(dim=-1, keepdim=True)
        return visible.flatten(0, 1).unsqueeze(1)

    def _visible(self, device: torch.device) -> Tensor:
        """Return ``[Q, K]``: who sees whom within a block, were every position valid."""
        length, right, left = self.segment_length, self.right_context_length, self.left_context_length
        group = self.segments_per_block
        # Offsets from the start of the block: of segments for the memory, of frames for the rest.
        segment = torch.arange(group, device=device).view(group, 1, 1)
        offsets = torch.arange(-right, length, device=device)
        own_block = torch.arange(group * length, device=device).view(group, length)
        is_right_context = (offsets < 0).expand(group, right + length)
        position = functional.pad(own_block, (right, 0)).reshape(1, 1, -1)
        key_segment = torch.arange(group, device=device).repeat_interleave(right + length).view(1, 1, -1)

        is_left = (key_segment < segment) & (position >= segment * length - left)
        sees_frames = (key_segment == segment) | (is_left & ~is_right_context.reshape(1, 1, -1))
        sees_left = torch.arange(left, device=device).view(1, 1, -1) >= segment * length
        parts = [sees_left, sees_frames]
        num_queries = right + length + int(self.has_summary)
        if self.memory_size > 0:
            age = torch.arange(self.memory_size + group - 1, device=device).view(1, 1, -1) - segment
            sees_memory = (age >= 0) & (age < self.memory_size)
            parts = [sees_memory, *parts]
        visible = torch.cat(parts, dim=-1).repeat(1, num_queries, 1)
        if self.has_summary:
            # The summary describes its segment; it must not repeat what the memory says already.
            visible[:, -1, : self.memory_size + group - 1] = False
        return visible.flatten(0, 1)

    def _valid_keys(self, lengths: Tensor) -> Tensor:
        """Return ``[B, blocks, K]``: which keys exist, that is, lie within the utterance."""
        length, right, left = self.segment_length, self.right_context_length, self.left_context_length
        group, device = self.segments_per_block, lengths.device
        block = torch.arange(self.num_blocks, device=device).unsqueeze(1)
        start = torch.arange(self.num_segments, device=device).unsqueeze(1) * length
        right_context = start + length + torch.arange(right, device=device)
        segment = start + torch.arange(length, device=device)
        position = torch.cat([right_context, segment], dim=1).view(1, self.num_blocks, -1)
        frames = position < lengths.view(-1, 1, 1)

        history = [block * group * length - left + torch.arange(left, device=device)]
        if self.memory_size > 0:
            num_memories = self.memory_size + group - 1
            history.insert(0, block * group - self.memory_size + torch.arange(num_memories, device=device))
        exists = (torch.cat(history, dim=1) >= 0).unsqueeze(0).expand(lengths.size(0), -1, -1)
        return torch.cat([exists, frames], dim=2)
