"""How much unit context a sample of the vocoder depends on, computed from the configuration."""

from __future__ import annotations

from dataclasses import dataclass

from echostream.vocoder.config import GeneratorConfig
from echostream.vocoder.generator import OUTER_KERNEL, PREDICTOR_REACH_UNITS


@dataclass(frozen=True)
class ReceptiveField:
    """Unit frames on each side, besides the own frame, that the samples of one frame depend on."""

    left_frames: int
    right_frames: int


def generator_receptive_field(config: GeneratorConfig) -> ReceptiveField:
    """Unit frames before and after a frame that can change any of its samples: the exact bound, never less.

    The span of one frame's samples is followed back through the layers; a transposed convolution of stride s,
    kernel k and padding p makes output o from the inputs ceil((o + p - k + 1) / s) to floor((o + p) / s).
    """
    outer = (OUTER_KERNEL - 1) // 2
    residual = max(
        sum((kernel - 1) // 2 * (dilation + 1) for dilation in dilations)
        for kernel, dilations in zip(
            config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True
        )
    )
    first, last = -outer, config.code_hop_samples - 1 + outer
    for rate, kernel in zip(
        reversed(config.upsample_rates), reversed(config.upsample_kernel_sizes), strict=True
    ):
        padding = (kernel - rate) // 2
        first = -((kernel - 1 - padding - (first - residual)) // rate)
        last = (last + residual + padding) // rate
    return ReceptiveField(left_frames=outer - first, right_frames=last + outer)


def duration_receptive_field_units() -> int:
    """Units on each side that the duration of one unit depends on."""
    return PREDICTOR_REACH_UNITS
