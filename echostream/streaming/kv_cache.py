"""Attention keys and values of the most recent positions, in a window of fixed size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from echostream.streaming.state import StreamState

__all__ = ["KVCache"]


@dataclass
class KVCache(StreamState):
    """Projected keys and values of the last ``capacity`` positions; the newest is always at the right end.

    The shape never changes: what is not filled yet is hidden by the mask that ``num_valid`` gives for each
    stream, so that streams of one batch may have different histories.

    Dimensions: B streams; H heads; W window size (capacity); E dimension of a head.

    Args:
        keys: ``[B, H, W, E]``.
        values: ``[B, H, W, E]``.
        num_valid: ``[B]``, int64, number of filled positions of each stream, counted from the right end.
    """

    keys: Tensor
    values: Tensor
    num_valid: Tensor

    @classmethod
    def create(
        cls,
        batch_size: int,
        num_heads: int,
        capacity: int,
        head_dim: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> Self:
        """Return an empty cache; ``capacity`` may be 0."""
        shape = (batch_size, num_heads, capacity, head_dim)
        return cls(
            keys=torch.zeros(shape, device=device, dtype=dtype),
            values=torch.zeros(shape, device=device, dtype=dtype),
            num_valid=torch.zeros(batch_size, device=device, dtype=torch.int64),
        )

    @property
    def capacity(self) -> int:
        """Window size W, in positions."""
        return self.keys.size(2)

    def valid_mask(self) -> Tensor:
        """Return ``[B, W]``, bool, True at filled positions."""
        first_valid = self.capacity - self.num_valid
        return torch.arange(self.capacity, device=self.keys.device) >= first_valid.unsqueeze(1)

    def append(self, keys: Tensor, values: Tensor) -> None:
        """Push new positions in at the right end; the oldest ones leave at the left.

        Args:
            keys: ``[B, H, N, E]``, N new positions, more than the window holds if need be.
            values: ``[B, H, N, E]``.
        """
        num_new = keys.size(2)
        self.keys = _shift_in(self.keys, keys)
        self.values = _shift_in(self.values, values)
        self.num_valid = (self.num_valid + num_new).clamp(max=self.capacity)


def _shift_in(window: Tensor, new: Tensor) -> Tensor:
    capacity, num_new = window.size(2), new.size(2)
    new = new.to(window.dtype)
    if num_new >= capacity:
        # A copy, so that the cache does not keep the whole projection alive.
        return new[:, :, num_new - capacity :].clone()
    return torch.cat([window[:, :, num_new:], new], dim=2)
