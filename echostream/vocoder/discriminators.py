"""Discriminators that tell synthesised from recorded waveforms, used in training only.

Dimensions:
    B: batch, S: samples.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

LEAKY_SLOPE = 0.1
_WIDEST = 32  # widest layer, in multiples of the first


class PeriodDiscriminator(nn.Module):
    """Looks at a waveform folded into rows of `period` samples; each column is one phase of the period.

    Reference: Kong et al., "HiFi-GAN", 2020, section 2.3.
    """

    def __init__(self, period: int, channels: int) -> None:
        super().__init__()
        self.period = period
        widths = [1, channels, 4 * channels, 16 * channels, _WIDEST * channels, _WIDEST * channels]
        strides = [3, 3, 3, 3, 1]
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(before, after, (5, 1), (stride, 1), padding=(2, 0)))
            for before, after, stride in zip(widths[:-1], widths[1:], strides, strict=True)
        )
        self.last = weight_norm(nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, waveform: Tensor) -> list[Tensor]:
        """Judge waveforms [B, 1, S]; the outputs of all layers, the last being the scores."""
        missing = -waveform.size(2) % self.period
        padded = F.pad(waveform, (0, missing), mode="reflect") if missing else waveform
        return _run(self.layers, self.last, padded.unflatten(2, (-1, self.period)))


class ScaleDiscriminator(nn.Module):
    """Looks at a waveform with strided, grouped convolutions.

    Reference: Kumar et al., "MelGAN", 2019, section 2.3.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = _WIDEST * channels
        # (in, out, kernel, stride, groups)
        shapes = [
            (1, 4 * channels, 15, 1, 1),
            (4 * channels, 8 * channels, 41, 4, 4),
            (8 * channels, 16 * channels, 41, 4, 8),
            (16 * channels, wide, 41, 4, 8),
            (wide, wide, 5, 1, 1),
        ]
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv1d(before, after, kernel, stride, padding=kernel // 2, groups=groups))
            for before, after, kernel, stride, groups in shapes
        )
        self.last = weight_norm(nn.Conv1d(wide, 1, 3, padding=1))

    def forward(self, waveform: Tensor) -> list[Tensor]:
        """Judge waveforms [B, 1, S]; the outputs of all layers, the last being the scores."""
        return _run(self.layers, self.last, waveform)


class Discriminators(nn.Module):
    """One discriminator for each period and each scale; scale i sees the waveform averaged down by 2 ** i.

    Args:
        periods: periods in samples.
        num_scales: number of scales, 0 for none.
        channels: channels of the first layer; the widest has 32 times as many (published models: 32).
    """

    def __init__(self, periods: tuple[int, ...], num_scales: int, channels: int) -> None:
        super().__init__()
        self.by_period = nn.ModuleList(PeriodDiscriminator(period, channels) for period in periods)
        self.by_scale = nn.ModuleList(ScaleDiscriminator(channels) for _ in range(num_scales))

    def forward(self, waveform: Tensor) -> list[list[Tensor]]:
        """Judge waveforms [B, 1, S]; for each discriminator the outputs of all layers, scores last."""
        outputs = [discriminator(waveform) for discriminator in self.by_period]
        for discriminator in self.by_scale:
            outputs.append(discriminator(waveform))
            waveform = F.avg_pool1d(waveform, 4, 2, padding=2)
        return outputs


def discriminator_loss(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """Least-squares loss that pulls the scores of recordings to 1 and of synthesis to 0.

    Reference: Mao et al., "Least Squares Generative Adversarial Networks", 2017.
    """
    terms = [(1 - r[-1]).square().mean() + f[-1].square().mean() for r, f in zip(real, fake, strict=True)]
    return torch.stack(terms).sum()


def adversarial_loss(fake: list[list[Tensor]]) -> Tensor:
    """Least-squares loss that pulls the scores of synthesis to 1."""
    return torch.stack([(1 - f[-1]).square().mean() for f in fake]).sum()


def feature_matching_loss(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """Mean absolute difference of the hidden layers, summed over layers and discriminators."""
    terms = [
        (before.detach() - after).abs().mean()
        for r, f in zip(real, fake, strict=True)
        for before, after in zip(r[:-1], f[:-1], strict=True)
    ]
    return torch.stack(terms).sum()


def _run(layers: nn.ModuleList, last: nn.Module, x: Tensor) -> list[Tensor]:
    outputs = []
    for layer in layers:
        x = F.leaky_relu(layer(x), LEAKY_SLOPE)
        outputs.append(x)
    outputs.append(last(x))
    return outputs
