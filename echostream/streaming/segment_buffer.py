"""Cuts an endless input into segments with right context, however the input is delivered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor

from echostream.streaming.state import StreamState

__all__ = ["SegmentBuffer"]


@dataclass
class SegmentBuffer(StreamState):
    """Frames that wait until their segment and its right context are complete.

    The length of a segment is fixed when its first frame arrives, so a new ``segment_length`` holds from the
    next segment on, and the segments do not depend on how the frames are split into calls.

    Dimensions: B streams; N waiting frames; D feature dimension.

    Args:
        frames: ``[B, N, D]``, frames whose segment was not delivered yet.
        segment_lengths: lengths of the segments that these frames belong to, in frames; the last may be
            incomplete.
    """

    frames: Tensor
    segment_lengths: list[int] = field(default_factory=list)

    @classmethod
    def create(
        cls,
        batch_size: int,
        dim: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> Self:
        """Return an empty buffer."""
        return cls(frames=torch.zeros(batch_size, 0, dim, device=device, dtype=dtype))

    def reset(self) -> None:
        """Forget every waiting frame."""
        super().reset()
        self.frames = self.frames.new_zeros(self.frames.size(0), 0, self.frames.size(2))

    def push(
        self, x: Tensor, *, segment_length: int, right_context_length: int, is_final: bool = False
    ) -> list[tuple[Tensor, Tensor]]:
        """Take new frames in and return the segments that they complete.

        Args:
            x: ``[B, t, D]``, t >= 0 new frames.
            segment_length: length in frames of the segments that start within x.
            right_context_length: number of frames after its end that a segment waits for.
            is_final: no frame follows: deliver the rest, the last segments with the right context that there
                is.
        Returns:
            pairs of segment ``[B, s, D]`` and right context ``[B, r, D]``, r <= ``right_context_length``.
        Raises:
            ValueError: if the batch size or the dimension differs from the buffer's.
            StreamFinishedError: if the stream is closed already.
        """
        expected = (self.frames.size(0), self.frames.size(2))
        if (x.size(0), x.size(2)) != expected:
            raise ValueError(
                f"the stream state is for batch size {expected[0]} and dimension {expected[1]}, "
                f"the input has {x.size(0)} and {x.size(2)}"
            )
        self.begin_step(is_final=is_final)
        frames = torch.cat([self.frames, x.to(self.frames.dtype)], dim=1)
        num_frames = frames.size(1)
        num_planned = sum(self.segment_lengths)
        while num_planned < num_frames:
            self.segment_lengths.append(segment_length)
            num_planned += segment_length

        segments, start = [], 0
        for length in self.segment_lengths:
            end = start + length
            if not is_final and end + right_context_length > num_frames:
                break
            segments.append((frames[:, start:end], frames[:, end : end + right_context_length]))
            start = min(end, num_frames)
        self.segment_lengths = self.segment_lengths[len(segments) :]
        # A copy, so that the buffer does not keep the delivered frames alive.
        self.frames = frames[:, start:].clone()
        return segments
