"""Where a key stands relative to its query: a learned bias of each head's attention scores."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from echostream.modules.emformer_blocks import SegmentBlocks

__all__ = ["MAX_DISTANCE_FRAMES", "RelativePositionBias", "relative_position_rows"]

MAX_DISTANCE_FRAMES = 64
"""Largest distance that is told apart, 2.56 s: 30 frames of left context and a segment of 32 reach less."""


class RelativePositionBias(nn.Module):
    """Bias of the attention scores by the distance between key and query, one for each head.

    Distances of more than :data:`MAX_DISTANCE_FRAMES` count as that, so that any segment length can be used.
    A memory vector has a bias by its age, in segments. All begin as zero: without a bias.

    Dimensions: H heads; M memory vectors; Q queries; K keys.

    Args:
        num_heads: H.
        memory_size: M, in memory vectors, one for each segment.

    Reference: Raffel et al., "T5" (JMLR 2020), section 2.1; Shaw et al. (NAACL 2018) for the clipped
        distance.
    Differs from T5: each layer has its own table, and each distance up to the largest its own entry.
    """

    def __init__(self, num_heads: int, memory_size: int) -> None:
        super().__init__()
        num_rows = memory_size + 2 * MAX_DISTANCE_FRAMES + 1
        self.table = nn.Parameter(torch.zeros(num_rows, num_heads))

    def forward(self, rows: Tensor) -> Tensor:
        """Return what is added to the scores, ``[H, Q, K]``, for ``rows [Q, K]`` of
        :func:`relative_position_rows`.
        """
        return functional.embedding(rows, self.table).permute(2, 0, 1)


def relative_position_rows(blocks: SegmentBlocks, device: torch.device) -> Tensor:
    """Return the table row of each query and key of a block; a segment of a stream is a block of one.

    Rows: M memory vectors, the newest first, then distances (key minus query) from the smallest to the
    largest. A copy of right context stands where the frame does that it copies.

    Returns:
        ``[Q, K]``, int64, in the order of the block's queries and keys.
    """
    group, length = blocks.segments_per_block, blocks.segment_length
    right, left, memory_size = blocks.right_context_length, blocks.left_context_length, blocks.memory_size
    segment = torch.arange(group, device=device).view(group, 1, 1)
    in_segment = torch.arange(length + right, device=device).roll(right)  # right context first
    position = segment * length + in_segment.view(1, -1, 1)
    keys = torch.cat([torch.arange(-left, 0, device=device), position.flatten()])
    distance = (keys - position).clamp(min=-MAX_DISTANCE_FRAMES, max=MAX_DISTANCE_FRAMES)
    same_position = memory_size + MAX_DISTANCE_FRAMES
    rows = same_position + distance
    if memory_size > 0:
        age = memory_size - 1 + segment - torch.arange(memory_size + group - 1, device=device)
        memory_rows = age.clamp(min=0, max=memory_size - 1).expand(-1, right + length, -1)
        rows = torch.cat([memory_rows, rows], dim=2)
    if blocks.has_summary:
        # A summary has no position: the same bias for all keys is none.
        rows = functional.pad(rows, (0, 0, 0, 1), value=same_position)
    return rows.flatten(0, 1)
