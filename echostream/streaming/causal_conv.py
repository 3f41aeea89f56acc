"""Convolutions that are causal in time: one module for training on whole sequences and for streaming."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from echostream.streaming.state import StreamState

__all__ = ["CausalConv1d", "CausalConv2d", "CausalConvState"]


@dataclass
class CausalConvState(StreamState):
    """What a causal convolution remembers: the inputs that its next outputs still read.

    Args:
        history: the last ``kernel_size - 1`` inputs, time in dimension 2; zeros before the start of the
            stream.
        num_skip: number of coming inputs to pass over until the next output (0 … stride - 1).
    """

    history: Tensor
    num_skip: int = 0


class CausalConv1d(nn.Conv1d):
    """Conv1d whose output ``i`` reads inputs up to ``i * stride`` and none after it: a frame never waits.

    T inputs give ``ceil(T / stride)`` outputs, however they are split into calls; there is nothing to flush.

    Dimensions: B streams; C channels; T input frames.

    Args:
        in_channels: number of input channels.
        out_channels: number of output channels.
        kernel_size: number of frames that one output reads.
        stride: number of input frames for each output.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride=stride)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve whole sequences ``[B, C, T]`` to ``[B, C', ceil(T / stride)]``."""
        if input.size(2) == 0:
            return _empty_output(self, input)
        return super().forward(functional.pad(input, (self.kernel_size[0] - 1, 0)))

    def init_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> CausalConvState:
        """Return the state of ``batch_size`` streams that have heard nothing yet."""
        shape = (batch_size, self.in_channels, self.kernel_size[0] - 1)
        return CausalConvState(torch.zeros(shape, device=device, dtype=dtype))

    def streaming_forward(self, x: Tensor, state: CausalConvState, *, is_final: bool = False) -> Tensor:
        """Convolve the next inputs ``[B, C, t]``, t >= 0, to the complete outputs ``[B, C', t']``."""
        window = _advance(x, state, self.stride[0], is_final=is_final)
        return _empty_output(self, x) if window is None else super().forward(window)


class CausalConv2d(nn.Conv2d):
    """Conv2d that is causal in time (dimension 2) and centred in frequency (dimension 3).

    T frames give ``ceil(T / stride)`` frames and F frequency bins give ``ceil(F / stride)`` bins, for odd
    kernels.

    Dimensions: B streams; C channels; T input frames; F frequency bins.

    Args:
        in_channels: number of input channels.
        out_channels: number of output channels.
        kernel_size: size of the square kernel, odd.
        stride: stride in time and in frequency.
    Raises:
        ValueError: if ``kernel_size`` is even.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> None:
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd to be centred in frequency, got {kernel_size}")
        super().__init__(in_channels, out_channels, kernel_size, stride=stride, padding=(0, kernel_size // 2))

    def forward(self, input: Tensor) -> Tensor:
        """Convolve whole sequences ``[B, C, T, F]`` to ``[B, C', ceil(T / stride), ceil(F / stride)]``."""
        if input.size(2) == 0:
            return _empty_output(self, input)
        return super().forward(functional.pad(input, (0, 0, self.kernel_size[0] - 1, 0)))

    def init_state(
        self,
        batch_size: int,
        num_bins: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> CausalConvState:
        """Return the state of ``batch_size`` streams of ``num_bins`` bins that have heard nothing yet."""
        shape = (batch_size, self.in_channels, self.kernel_size[0] - 1, num_bins)
        return CausalConvState(torch.zeros(shape, device=device, dtype=dtype))

    def streaming_forward(self, x: Tensor, state: CausalConvState, *, is_final: bool = False) -> Tensor:
        """Convolve the next inputs ``[B, C, t, F]``, t >= 0, to the complete outputs ``[B, C', t', F']``."""
        window = _advance(x, state, self.stride[0], is_final=is_final)
        return _empty_output(self, x) if window is None else super().forward(window)


def _advance(x: Tensor, state: CausalConvState, stride: int, *, is_final: bool) -> Tensor | None:
    """Move the state past the inputs x; return what the convolution reads now, or None."""
    if x.size(0) != state.history.size(0):
        raise ValueError(f"the state is for {state.history.size(0)} streams, the input has {x.size(0)}")
    state.begin_step(is_final=is_final)
    num_new, num_skip, num_kept = x.size(2), state.num_skip, state.history.size(2)
    window = torch.cat([state.history, x.to(state.history.dtype)], dim=2)
    # A copy, so that the state does not keep a long input alive.
    state.history = window.narrow(2, window.size(2) - num_kept, num_kept).clone()
    state.num_skip = (num_skip - num_new) % stride
    return window.narrow(2, num_skip, window.size(2) - num_skip) if num_new > num_skip else None


def _empty_output(conv: nn.Conv1d | nn.Conv2d, x: Tensor) -> Tensor:
    shape = [x.size(0), conv.out_channels, 0]
    if x.dim() == 4:
        shape.append(-(-x.size(3) // conv.stride[-1]))
    return x.new_zeros(shape)
