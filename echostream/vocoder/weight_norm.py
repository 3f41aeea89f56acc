"""Weight-normalised 1-d convolutions with the parameter names that public vocoder checkpoints use."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class WeightNormConv(nn.Module):
    """A convolution whose weight is `weight_g * weight_v / |weight_v|`, the norm taken over all but axis 0.

    `remove_weight_norm` freezes that product into one `weight`; outputs stay the same. torch's own hook of
    this kind is deprecated, and its successor renames the parameters: public checkpoints would not load.

    Reference: Salimans and Kingma, "Weight Normalization", 2016, section 2.
    """

    def __init__(self, weight_shape: tuple[int, int, int], out_channels: int, fan_in: int) -> None:
        super().__init__()
        bound = fan_in**-0.5
        self.bias = nn.Parameter(torch.empty(out_channels).uniform_(-bound, bound))
        direction = torch.empty(weight_shape).uniform_(-bound, bound)
        self.weight_g: nn.Parameter | None = nn.Parameter(_norm(direction))
        self.weight_v: nn.Parameter | None = nn.Parameter(direction)
        self.weight: nn.Parameter | None = None

    def effective_weight(self) -> Tensor:
        """The weight that the convolution uses, with or without weight norm."""
        if self.weight is not None:
            return self.weight
        if self.weight_g is None or self.weight_v is None:
            raise RuntimeError("convolution without weights")
        return self.weight_v * (self.weight_g / _norm(self.weight_v))

    def remove_weight_norm(self) -> None:
        """Replace `weight_g` and `weight_v` by the `weight` that they make."""
        self.weight = nn.Parameter(self.effective_weight().detach().clone())
        self.weight_g = None
        self.weight_v = None


class WeightNormConv1d(WeightNormConv):
    """Weight-normalised `Conv1d` with zero padding that keeps the length.

    Args:
        in_channels, out_channels: channels.
        kernel_size: odd number of taps.
        dilation: distance between taps, in steps of the input.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1) -> None:
        super().__init__((out_channels, in_channels, kernel_size), out_channels, in_channels * kernel_size)
        self.dilation = dilation
        self.padding = (kernel_size - 1) * dilation // 2

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, T] to [B, out_channels, T]."""
        return F.conv1d(x, self.effective_weight(), self.bias, padding=self.padding, dilation=self.dilation)

    def valid(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, T] to [B, out_channels, T - 2 * padding]: the outputs that read no padding."""
        return F.conv1d(x, self.effective_weight(), self.bias, dilation=self.dilation)


class WeightNormConvTranspose1d(WeightNormConv):
    """Weight-normalised `ConvTranspose1d` that multiplies the length by `stride`.

    Args:
        in_channels, out_channels: channels.
        kernel_size: number of taps; `kernel_size - stride` is even.
        stride: factor of the length.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int) -> None:
        fan_in = in_channels * kernel_size // stride
        super().__init__((in_channels, out_channels, kernel_size), out_channels, fan_in)
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = (kernel_size - stride) // 2

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, in_channels, T] to [B, out_channels, T * stride]."""
        weight = self.effective_weight()
        return F.conv_transpose1d(x, weight, self.bias, stride=self.stride, padding=self.padding)

    @property
    def input_history_steps(self) -> int:
        """Steps that the next output may read before the input step it comes from."""
        return -(-(self.kernel_size - 1) // self.stride)

    def inputs_of(self, start: int, stop: int) -> tuple[int, int]:
        """First input step, and the one after the last, that the output steps `start` to `stop - 1` read."""
        first = start + self.padding - self.kernel_size + 1
        return -(-first // self.stride), (stop - 1 + self.padding) // self.stride + 1

    def outputs_of(self, x: Tensor, x_start: int, start: int, stop: int) -> Tensor:
        """Output steps `start` to `stop - 1` [B, out_channels, stop - start].

        Args:
            x: inputs [B, in_channels, T], at least those of `inputs_of`; no others are taken to exist.
            x_start: their first step.
        """
        weight = self.effective_weight()
        spread = F.conv_transpose1d(x, weight, self.bias, stride=self.stride)
        first = start + self.padding - x_start * self.stride
        return spread.narrow(2, first, stop - start)


def _norm(weight: Tensor) -> Tensor:
    return torch.linalg.vector_norm(weight, dim=(1, 2), keepdim=True)
