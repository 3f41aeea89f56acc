"""Convolutions and 4x subsampling whose right context ends with the chunk: the baseline's chunk-aware front
end.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from echostream.streaming import StreamState


def padding_mask(lengths: Tensor, num_frames: int) -> Tensor:
    """Return True where a row is padded, bool [B, num_frames], for the lengths [B]."""
    frames = torch.arange(num_frames, device=lengths.device)
    return frames.unsqueeze(0) >= lengths.unsqueeze(1)


@dataclass
class ChunkConvState(StreamState):
    """What a chunk-aware convolution remembers of the chunks before.

    Args:
        past: the last ``kernel_size // 2`` inputs, [B, C, kernel_size // 2]; zeros before the start.
    """

    past: Tensor


class ChunkCausalConv1d(nn.Conv1d):
    """Centred convolution that sees all of the past but no frame beyond its own chunk; a "same" one without
    chunks.

    Frame t of chunk c is convolved with ``kernel_size // 2`` frames of left context, earlier chunks included,
    and with its right context inside chunk c; zeros stand beyond it. Chunks are counted at the resolution of
    the input.

    Args:
        in_channels: input channels.
        out_channels: output channels.
        kernel_size: an odd number of taps.
        stride: hop in input frames; a chunk must be a multiple of it.
        groups: channel groups.
        bias: whether to learn a bias.

    Raises:
        ValueError: for an even kernel size.

    Reference: StreamSpeech (Zhang et al., ACL 2024), section 3.1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        if kernel_size % 2 == 0:
            raise ValueError(f"a centred convolution needs an odd kernel size, got {kernel_size}")
        super().__init__(in_channels, out_channels, kernel_size, stride=stride, groups=groups, bias=bias)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Return the number of output frames for numbers of input frames, both [B]."""
        return torch.div(lengths - 1, self.stride[0], rounding_mode="floor") + 1

    def init_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> ChunkConvState:
        """Return the state of ``batch_size`` streams at their start."""
        shape = (batch_size, self.in_channels, self.kernel_size[0] // 2)
        return ChunkConvState(torch.zeros(shape, device=device, dtype=dtype))

    def check_chunk_size(self, chunk_size: int | None) -> None:
        """Check that the convolution can work in chunks of so many input frames.

        Raises:
            ValueError: when the chunk is not a multiple of the stride.
        """
        if chunk_size is not None and (chunk_size < 1 or chunk_size % self.stride[0]):
            raise ValueError(
                f"a convolution with stride {self.stride[0]} cannot work in chunks of {chunk_size} frames: "
                f"the chunk must be a multiple of {self.stride[0]}"
            )

    def forward(
        self, x: Tensor, chunk_size: int | None = None, state: ChunkConvState | None = None
    ) -> Tensor:
        """Convolve, [B, C, T] -> [B, C', T'], with chunks of ``chunk_size`` input frames (None: no chunks).

        With a state, x goes on where the stream stood: whole chunks, or the last ones of the stream.

        Raises:
            ValueError: when the chunk is not a multiple of the stride.
        """
        self.check_chunk_size(chunk_size)
        batch_size, channels, num_frames = x.shape
        context = self.kernel_size[0] // 2
        if state is None:
            signal = F.pad(x, (context, 0))
        else:
            signal = torch.cat([state.past, x], dim=2)
            # A copy, so that the state does not keep the whole input alive.
            state.past = signal.narrow(2, num_frames, context).clone()
        if chunk_size is None:
            return super().forward(F.pad(signal, (0, context)))
        num_chunks = -(-num_frames // chunk_size)
        padded = F.pad(signal, (0, num_chunks * chunk_size - num_frames))
        windows = F.pad(padded.unfold(2, context + chunk_size, chunk_size), (0, context))
        folded = windows.transpose(1, 2).reshape(batch_size * num_chunks, channels, -1)
        y = super().forward(folded).view(batch_size, num_chunks, self.out_channels, -1)
        num_outputs = (num_frames - 1) // self.stride[0] + 1
        return y.transpose(1, 2).reshape(batch_size, self.out_channels, -1)[:, :, :num_outputs]


class ChunkConv1dSubsampler(nn.Module):
    """Halves the frame rate once per layer: strided chunk-aware convolutions with gated linear units.

    A padded row gives the same frames as the row alone: padding is zeroed before every convolution.

    Args:
        in_channels: features of an input frame (mel bins).
        mid_channels: channels between layers, before the gate halves them.
        out_channels: features of an output frame.
        kernel_sizes: taps of each layer.
    """

    def __init__(
        self, in_channels: int, mid_channels: int, out_channels: int, kernel_sizes: Sequence[int]
    ) -> None:
        super().__init__()
        last = len(kernel_sizes) - 1
        self.conv_layers = nn.ModuleList(
            ChunkCausalConv1d(
                in_channels if index == 0 else mid_channels // 2,
                2 * out_channels if index == last else mid_channels,
                kernel_size,
                stride=2,
            )
            for index, kernel_size in enumerate(kernel_sizes)
        )

    @property
    def convolutions(self) -> list[ChunkCausalConv1d]:
        """The convolutions, first to last."""
        return [conv for conv in self.conv_layers if isinstance(conv, ChunkCausalConv1d)]

    @property
    def factor(self) -> int:
        """Input frames of one output frame."""
        return math.prod(conv.stride[0] for conv in self.convolutions)

    def check_chunk_size(self, chunk_size: int | None) -> None:
        """Check that all convolutions can work in such chunks; raises ValueError where one cannot."""
        for conv in self.convolutions:
            conv.check_chunk_size(chunk_size)

    def init_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> list[ChunkConvState]:
        """Return the states of the convolutions for ``batch_size`` streams at their start."""
        return [conv.init_state(batch_size, device=device, dtype=dtype) for conv in self.convolutions]

    def forward(
        self,
        x: Tensor,
        lengths: Tensor,
        chunk_size: int | None = None,
        states: Sequence[ChunkConvState] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Subsample, [B, T, C] and lengths [B] -> [B, T', C'] and lengths [B].

        Args:
            x: features.
            lengths: valid frames of each row.
            chunk_size: chunk in frames of *each layer's own input*; None for ordinary convolutions.
            states: of a stream that x continues, in whole chunks of every layer, or to its end.
        """
        x = x.transpose(1, 2)
        for index, conv in enumerate(self.convolutions):
            x = x.masked_fill(padding_mask(lengths, x.size(2)).unsqueeze(1), 0.0)
            x = F.glu(conv(x, chunk_size, None if states is None else states[index]), dim=1)
            lengths = conv.output_lengths(lengths)
        return x.transpose(1, 2), lengths


class Conv2dSubsampler(nn.Module):
    """4x subsampling by two strided 3x3 convolutions over time and frequency; it has no chunks and looks
    ahead.

    Args:
        num_mel_bins: features of an input frame.
        conv_channels: channels of both convolutions.
        out_channels: features of an output frame.
    """

    def __init__(self, num_mel_bins: int, conv_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(1, conv_channels, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(conv_channels, conv_channels, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        num_bands = (((num_mel_bins + 1) // 2) + 1) // 2
        self.out = nn.Linear(conv_channels * num_bands, out_channels)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Subsample, [B, T, C] and lengths [B] -> [B, T', C'] and lengths [B]."""
        x = x.unsqueeze(1)
        for layer in self.conv:
            if isinstance(layer, nn.Conv2d):
                x = x.masked_fill(padding_mask(lengths, x.size(2))[:, None, :, None], 0.0)
                lengths = torch.div(lengths + 1, 2, rounding_mode="floor")
            x = layer(x)
        batch_size, channels, num_frames, num_bands = x.shape
        return self.out(x.transpose(1, 2).reshape(batch_size, num_frames, channels * num_bands)), lengths
