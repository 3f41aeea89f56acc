"""What a streamed convolution keeps of its input: the last steps that nothing to come can change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from echostream.streaming import StreamState


@dataclass(frozen=True)
class Window:
    """Consecutive steps of one activation, with their place in the stream.

    Args:
        values: `[1, C, T]`.
        start: step of the stream that comes first.
    """

    values: Tensor
    start: int

    @property
    def stop(self) -> int:
        """Step of the stream after the last one."""
        return self.start + self.values.size(2)

    def cut(self, start: int, stop: int) -> Tensor:
        """Steps `start` to `stop - 1`; zeros after the end of the window, where the stream is not known yet.

        Raises:
            IndexError: if the window begins later.
        """
        if start < self.start:
            raise IndexError(f"step {start} is asked of a window that begins at step {self.start}")
        values = self.values[:, :, start - self.start : stop - self.start]
        return F.pad(values, (0, stop - self.stop)) if stop > self.stop else values

    def map(self, function: Callable[[Tensor], Tensor]) -> Window:
        """Apply an elementwise function."""
        return Window(function(self.values), self.start)


@dataclass
class StepCache(StreamState):
    """The last final steps of one activation; later ones were computed as if the stream ended, and are lost.

    Dimensions: C channels; H capacity.

    Args:
        steps: `[1, C, H]`, steps `num_final - H` to `num_final - 1`; zeros stand before the stream's start.
        num_final: steps of the stream that are final.
    """

    steps: Tensor
    num_final: int = 0

    @classmethod
    def create(cls, channels: int, capacity_steps: int, *, device: torch.device, dtype: torch.dtype) -> Self:
        """Return the cache of a stream that has not begun."""
        return cls(steps=torch.zeros(1, channels, capacity_steps, device=device, dtype=dtype))

    def first_missing(self, start: int) -> int:
        """Return the step from which on must be computed what is needed from `start` on."""
        return max(start, self.num_final)

    def extend(self, new: Window, num_final: int) -> Window:
        """Put the cached steps before new ones.

        Args:
            new: steps from :meth:`first_missing` on. If they begin after `num_final`, those between are never
                read.
            num_final: steps of the stream that are final now; those after the end of `new` do not count.
        Returns:
            the cached steps and `new` as one window; `new` alone if steps between them are missing.
        """
        capacity = self.steps.size(2)
        window = new
        if new.start == self.num_final:
            window = Window(torch.cat([self.steps, new.values], dim=2), new.start - capacity)
        self.num_final = max(self.num_final, min(num_final, new.stop))
        stop = max(0, self.num_final - window.start)
        kept = window.values[:, :, max(0, stop - capacity) : stop]
        # Always a copy, so that the cache does not keep the window alive.
        self.steps = F.pad(kept, (capacity - kept.size(2), 0))
        return window
