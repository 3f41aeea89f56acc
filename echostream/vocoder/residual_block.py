"""The residual block of HiFi-GAN, on whole sequences and in streaming."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from echostream.streaming import StreamState
from echostream.vocoder.step_cache import StepCache, Window
from echostream.vocoder.weight_norm import WeightNormConv1d

LEAKY_SLOPE = 0.1


@dataclass
class BlockState(StreamState):
    """State of one residual block.

    Args:
        inner: of each pair, the activated output of the dilated convolution.
        outputs: of each pair but the last, its output.
    """

    inner: list[StepCache]
    outputs: list[StepCache]


class ResidualBlock(nn.Module):
    """Three residual pairs of a dilated and a plain convolution, all of one kernel size.

    Reference: Kong et al., "HiFi-GAN", 2020, appendix A.1 (ResBlock type 1).
    """

    def __init__(self, channels: int, kernel_size: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.channels = channels
        self.convs1 = nn.ModuleList(WeightNormConv1d(channels, channels, kernel_size, d) for d in dilations)
        self.convs2 = nn.ModuleList(WeightNormConv1d(channels, channels, kernel_size) for _ in dilations)
        # Steps on each side that a pair reads; first that of its dilated convolution, then of the plain one.
        self._reaches_steps = [(kernel_size // 2 * dilation, kernel_size // 2) for dilation in dilations]

    @property
    def reach_steps(self) -> int:
        """Input steps on each side that an output step reads."""
        return sum(dilated + plain for dilated, plain in self._reaches_steps)

    def input_history_steps(self, stage_reach_steps: int) -> int:
        """Final input steps that the next output reads, in a stage that reaches `stage_reach_steps`."""
        dilated, plain = self._reaches_steps[0]
        return stage_reach_steps - self.reach_steps + dilated + max(dilated, plain)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, T] to [B, C, T]."""
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            inner = dilated(F.leaky_relu(x, LEAKY_SLOPE))
            x = x + plain(F.leaky_relu(inner, LEAKY_SLOPE))
        return x

    def init_state(self, device: torch.device, dtype: torch.dtype) -> BlockState:
        """Return the state of a stream that has not begun."""

        def cache(num_steps: int) -> StepCache:
            return StepCache.create(self.channels, num_steps, device=device, dtype=dtype)

        return BlockState(
            inner=[cache(2 * plain) for _, plain in self._reaches_steps],
            outputs=[cache(dilated + max(dilated, plain)) for dilated, plain in self._reaches_steps[1:]],
        )

    def stream_span(
        self, x: Window, activated: Window, state: BlockState, span: range, num_steps: int, num_final: int
    ) -> Tensor:
        """Compute the output steps `span`; [1, C, len(span)].

        Args:
            x: the inputs that they read and that the state does not replace; zeros are taken beyond its end.
            activated: x after the leaky ReLU.
            span: consecutive output steps.
            num_steps: length of the stream so far.
            num_final: output steps of the stream that are final, those of the stage with all its blocks.
        """
        reach = self.reach_steps
        convs1: list[Any] = list(self.convs1)
        convs2: list[Any] = list(self.convs2)
        for index, (dilated, plain) in enumerate(self._reaches_steps):
            reach -= dilated
            cache = state.inner[index]
            start, stop = cache.first_missing(span.start - reach), min(span.stop + reach, num_steps)
            inner = convs1[index].valid(activated.cut(start - dilated, stop + dilated))
            window = cache.extend(Window(F.leaky_relu_(inner, LEAKY_SLOPE), start), num_final + reach)
            reach -= plain
            is_last = index == len(state.outputs)
            start = span.start if is_last else state.outputs[index].first_missing(span.start - reach)
            stop = min(span.stop + reach, num_steps)
            output = convs2[index].valid(window.cut(start - plain, stop + plain))
            output += x.cut(start, stop)
            if not is_last:
                x = state.outputs[index].extend(Window(output, start), num_final + reach)
                activated = x.map(lambda values: F.leaky_relu(values, LEAKY_SLOPE))
        return output
