"""Causal 4x subsampling of filterbank frames: 10 ms fbank frames in, 40 ms encoder frames out.

Both subsamplers follow one rule: T fbank frames give ``ceil(T / 4)`` encoder frames, and encoder frame j
reads fbank frames up to 4j and none after it. So a frame never waits, a stream has nothing to flush, and a
padded row gives what it would give alone. The rule fits snip-edge framing: the first n * 320 ms of audio hold
32n - 2 fbank frames (a window is 25 ms), hence exactly 8n encoder frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from echostream.streaming import CausalConv1d, CausalConv2d, CausalConvState, StreamState

__all__ = ["SUBSAMPLING_FACTOR", "CausalConv1dSubsampler", "CausalConv2dSubsampler", "SubsamplerState"]

SUBSAMPLING_FACTOR = 4


@dataclass
class SubsamplerState(StreamState):
    """State of a subsampler.

    Args:
        convolutions: one state for each convolution, first to last.
    """

    convolutions: list[CausalConvState]


class CausalConv1dSubsampler(nn.Module):
    """Two causal Conv1d with stride 2 and a gated linear unit each; streaming equals forward.

    Dimensions: B batch; T fbank frames (10 ms); T' = ceil(T / 4) encoder frames (40 ms); F features;
        D output.

    Args:
        input_dim: F, features of a fbank frame times input channels.
        conv_channels: channels of the first convolution before its gate, even.
        embed_dim: D.
        kernel_sizes: kernel sizes of the two convolutions, in their input frames.
    Raises:
        ValueError: if there are not two positive kernel sizes, or ``conv_channels`` is odd.

    Differs from fairseq's ``Conv1dSubsampler``: kernels look back only, instead of to both sides; parameter
        names and shapes are the same.
    """

    def __init__(
        self, input_dim: int, conv_channels: int, embed_dim: int, kernel_sizes: Sequence[int] = (5, 5)
    ) -> None:
        super().__init__()
        if len(kernel_sizes) != 2 or min(kernel_sizes) < 1:
            raise ValueError(
                f"4x subsampling needs two positive kernel sizes such as (5, 5), got {kernel_sizes!r}"
            )
        if conv_channels % 2 != 0:
            raise ValueError(f"conv_channels must be even, since a gate halves it, got {conv_channels}")
        self.input_dim = input_dim
        self.embed_dim = embed_dim
        first = CausalConv1d(input_dim, conv_channels, kernel_sizes[0], stride=2)
        second = CausalConv1d(conv_channels // 2, 2 * embed_dim, kernel_sizes[1], stride=2)
        self.conv_layers = nn.ModuleList([first, second])

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Subsample ``x [B, T, F]`` to ``[B, T', D]``, zero at padding, and give its lengths ``[B]``."""
        _check_features(x, self.input_dim)
        hidden = x.transpose(1, 2)
        for conv in self._convolutions():
            hidden = functional.glu(conv(hidden), dim=1)
        return _mask_padding(hidden.transpose(1, 2), lengths)

    def init_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> SubsamplerState:
        """Return the state of ``batch_size`` streams at their start."""
        return SubsamplerState(
            [conv.init_state(batch_size, device=device, dtype=dtype) for conv in self._convolutions()]
        )

    def streaming_forward(self, x: Tensor, state: SubsamplerState, *, is_final: bool = False) -> Tensor:
        """Subsample the next fbank frames ``[B, t, F]``, t >= 0, to ``[B, t', D]``, t' >= 0."""
        _check_features(x, self.input_dim)
        hidden = x.transpose(1, 2)
        for conv, conv_state in zip(self._convolutions(), state.convolutions, strict=True):
            hidden = functional.glu(conv.streaming_forward(hidden, conv_state, is_final=is_final), dim=1)
        state.begin_step(is_final=is_final)
        return hidden.transpose(1, 2)

    def _convolutions(self) -> list[CausalConv1d]:
        return [conv for conv in self.conv_layers if isinstance(conv, CausalConv1d)]


class CausalConv2dSubsampler(nn.Module):
    """Two 3x3 Conv2d with stride 2 and ReLU, causal in time, and a linear layer; streaming equals forward.

    Dimensions: B batch; T fbank frames (10 ms); T' = ceil(T / 4) encoder frames (40 ms); C input channels;
        F features of a channel; D output.

    Args:
        input_channels: C.
        input_feat_per_channel: F.
        conv_out_channels: channels of both convolutions.
        embed_dim: D.

    Differs from fairseq's ``Conv2dSubsampler``: kernels look back only in time, instead of to both sides;
        parameter names and shapes are the same.
    """

    def __init__(
        self, input_channels: int, input_feat_per_channel: int, conv_out_channels: int, embed_dim: int
    ) -> None:
        super().__init__()
        self.input_channels = input_channels
        self.input_dim = input_channels * input_feat_per_channel
        self.embed_dim = embed_dim
        first = CausalConv2d(input_channels, conv_out_channels, 3, stride=2)
        second = CausalConv2d(conv_out_channels, conv_out_channels, 3, stride=2)
        self.conv = nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
        num_bins = -(-input_feat_per_channel // SUBSAMPLING_FACTOR)
        self.out = nn.Linear(conv_out_channels * num_bins, embed_dim)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Subsample ``x [B, T, C * F]`` to ``[B, T', D]``, zero at padding, and give its lengths ``[B]``."""
        _check_features(x, self.input_dim)
        return _mask_padding(self._project(self.conv(self._image(x))), lengths)

    def init_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> SubsamplerState:
        """Return the state of ``batch_size`` streams at their start."""
        num_bins = self.input_dim // self.input_channels
        states = []
        for conv in self._convolutions():
            states.append(conv.init_state(batch_size, num_bins, device=device, dtype=dtype))
            num_bins = -(-num_bins // 2)
        return SubsamplerState(states)

    def streaming_forward(self, x: Tensor, state: SubsamplerState, *, is_final: bool = False) -> Tensor:
        """Subsample the next fbank frames ``[B, t, C * F]``, t >= 0, to ``[B, t', D]``, t' >= 0."""
        _check_features(x, self.input_dim)
        hidden = self._image(x)
        for conv, conv_state in zip(self._convolutions(), state.convolutions, strict=True):
            hidden = conv.streaming_forward(hidden, conv_state, is_final=is_final).relu()
        state.begin_step(is_final=is_final)
        return self._project(hidden)

    def _image(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.input_channels, -1)).transpose(1, 2)

    def _project(self, hidden: Tensor) -> Tensor:
        output: Tensor = self.out(hidden.transpose(1, 2).flatten(2))
        return output

    def _convolutions(self) -> list[CausalConv2d]:
        return [conv for conv in self.conv if isinstance(conv, CausalConv2d)]


def _check_features(x: Tensor, input_dim: int) -> None:
    if x.dim() != 3 or x.size(2) != input_dim:
        raise ValueError(f"expected filterbank frames [B, T, {input_dim}], got shape {tuple(x.shape)}")


def _mask_padding(y: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Return y with zeros beyond each row's ``ceil(length / 4)`` frames, and these lengths."""
    output_lengths = (lengths + SUBSAMPLING_FACTOR - 1) // SUBSAMPLING_FACTOR
    padding = torch.arange(y.size(1), device=y.device) >= output_lengths.to(y.device).unsqueeze(1)
    return y.masked_fill(padding.unsqueeze(2), 0.0), output_lengths
