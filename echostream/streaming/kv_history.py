"""Attention keys and values of every position of a stream, in a buffer that grows."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from echostream.streaming.state import StreamState

__all__ = ["KVHistory"]

INITIAL_CAPACITY = 32


@dataclass
class KVHistory(StreamState):
    """Projected keys and values of all positions so far; all streams of a batch have the same number of them.

    New positions are written into the free end of the buffers, which double when they are full, so that n
    positions cost O(n) copies however they arrive. Nothing that was read before is written, except after
    :meth:`truncate`: a view from before it may show the positions that took the place of the dropped ones.

    Dimensions: B streams; H heads; N positions; E dimension of a head.

    Args:
        key_buffer: ``[B, H, capacity, E]``; what lies beyond ``length`` has no meaning.
        value_buffer: ``[B, H, capacity, E]``.
        length: N, the number of positions.
    """

    key_buffer: Tensor
    value_buffer: Tensor
    length: int = 0

    @classmethod
    def create(
        cls,
        batch_size: int,
        num_heads: int,
        head_dim: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> Self:
        """Return an empty history."""
        shape = (batch_size, num_heads, INITIAL_CAPACITY, head_dim)
        return cls(
            key_buffer=torch.zeros(shape, device=device, dtype=dtype),
            value_buffer=torch.zeros(shape, device=device, dtype=dtype),
        )

    @property
    def capacity(self) -> int:
        """Positions that fit without a new buffer."""
        return self.key_buffer.size(2)

    @property
    def keys(self) -> Tensor:
        """The keys so far, a view ``[B, H, N, E]``."""
        return self.key_buffer[:, :, : self.length]

    @property
    def values(self) -> Tensor:
        """The values so far, a view ``[B, H, N, E]``."""
        return self.value_buffer[:, :, : self.length]

    def append(self, keys: Tensor, values: Tensor) -> None:
        """Add new positions after those that are there.

        Args:
            keys: ``[B, H, n, E]``, n >= 0 new positions.
            values: ``[B, H, n, E]``.
        Raises:
            ValueError: if a size other than n differs from the history's, or n differs between the two.
        """
        batch_size, num_heads, _, head_dim = self.key_buffer.shape
        num_new = keys.size(2)
        expected = (batch_size, num_heads, num_new, head_dim)
        if keys.shape != expected or values.shape != expected:
            raise ValueError(
                f"the history holds keys and values [{batch_size}, {num_heads}, n, {head_dim}], "
                f"got {list(keys.shape)} and {list(values.shape)}"
            )
        end = self.length + num_new
        if end > self.capacity:
            self._grow(max(2 * self.capacity, end))
        # A buffer made in inference mode may be written only there, and the next call may come from outside.
        with torch.inference_mode() if self.key_buffer.is_inference() else contextlib.nullcontext():
            self.key_buffer[:, :, self.length : end] = keys
            self.value_buffer[:, :, self.length : end] = values
        self.length = end

    def truncate(self, length: int) -> None:
        """Forget all positions from ``length`` on.

        Raises:
            ValueError: if there are fewer positions than that, or ``length`` is negative.
        """
        if not 0 <= length <= self.length:
            raise ValueError(f"a history of {self.length} positions cannot be cut to {length}")
        self.length = length

    def reset(self) -> None:
        """Forget every position, and give back the memory that the buffers grew by."""
        batch_size, num_heads, _, head_dim = self.key_buffer.shape
        shape = (batch_size, num_heads, INITIAL_CAPACITY, head_dim)
        self.key_buffer = self.key_buffer.new_zeros(shape)
        self.value_buffer = self.value_buffer.new_zeros(shape)
        super().reset()

    def _grow(self, capacity: int) -> None:
        self.key_buffer = _enlarged(self.keys, capacity)
        self.value_buffer = _enlarged(self.values, capacity)


def _enlarged(valid: Tensor, capacity: int) -> Tensor:
    batch_size, num_heads, length, head_dim = valid.shape
    # Zeros, since a saved state should not hold what happened to be in memory.
    buffer = valid.new_zeros(batch_size, num_heads, capacity, head_dim)
    buffer[:, :, :length] = valid
    return buffer
