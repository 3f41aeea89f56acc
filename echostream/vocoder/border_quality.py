"""How well written pieces of speech fit together: a stream against one synthesis of the whole utterance.

A jump is the difference of two neighbouring samples. It is large at a border if it exceeds the 99th
percentile of the jumps within 50 ms of it in the whole synthesis: that is a click.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

NEAR_MS, WIDE_MS = 5, 50
FFT_SAMPLES, HOP_SAMPLES = 256, 64
JUMP_QUANTILE = 0.99


@dataclass(frozen=True)
class Border:
    """Measures of one border; energies are sums of squares over a window around it.

    Args:
        near_error, near_signal: within 5 ms: of the difference, and of the whole synthesis.
        wide_error, wide_signal: within 50 ms.
        spectral_distance_db: log-spectral distance within 50 ms.
        jump: in units of the 99th percentile of the whole synthesis' jumps around the border.
        whole_jump: the same of the whole synthesis.
    """

    near_error: float
    near_signal: float
    wide_error: float
    wide_signal: float
    spectral_distance_db: float
    jump: float
    whole_jump: float


@dataclass(frozen=True)
class BorderSummary:
    """Measures over many borders.

    Args:
        num_borders: how many.
        near_error_db, wide_error_db: energy of the difference relative to the signal's, within 5 and 50 ms.
        log_spectral_distance_db: mean.
        large_jumps, large_jumps_in_whole_synthesis: share of borders with a large jump.
        largest_jump: in units of what makes a jump large.
    """

    num_borders: int
    near_error_db: float
    wide_error_db: float
    log_spectral_distance_db: float
    large_jumps: float
    large_jumps_in_whole_synthesis: float
    largest_jump: float


def measure_border(streamed: Tensor, whole: Tensor, border: int, sample_rate: int) -> Border:
    """Compare a stream [S] with the whole synthesis [S] around one border, the first sample of a piece."""

    def around(samples: Tensor, milliseconds: int) -> Tensor:
        reach = sample_rate * milliseconds // 1000
        return samples[max(0, border - reach) : border + reach]

    def energy(samples: Tensor) -> float:
        return float(samples.double().square().sum())

    error = streamed - whole
    local, local_whole = around(streamed, WIDE_MS), around(whole, WIDE_MS)
    distance = (_log_spectrum(local) - _log_spectrum(local_whole)).square().mean(dim=0).sqrt().mean()
    usual = float(local_whole.diff().abs().quantile(JUMP_QUANTILE)) + 1e-9
    return Border(
        near_error=energy(around(error, NEAR_MS)),
        near_signal=energy(around(whole, NEAR_MS)),
        wide_error=energy(around(error, WIDE_MS)),
        wide_signal=energy(local_whole),
        spectral_distance_db=float(distance),
        jump=float((streamed[border] - streamed[border - 1]).abs()) / usual,
        whole_jump=float((whole[border] - whole[border - 1]).abs()) / usual,
    )


def summarise_borders(borders: Sequence[Border]) -> BorderSummary:
    """Put the measures of borders together.

    Raises:
        ValueError: without borders.
    """
    if not borders:
        raise ValueError("there are no borders: no utterance was written in more than one piece")
    return BorderSummary(
        num_borders=len(borders),
        near_error_db=_decibels((b.near_error for b in borders), (b.near_signal for b in borders)),
        wide_error_db=_decibels((b.wide_error for b in borders), (b.wide_signal for b in borders)),
        log_spectral_distance_db=sum(b.spectral_distance_db for b in borders) / len(borders),
        large_jumps=sum(b.jump > 1 for b in borders) / len(borders),
        large_jumps_in_whole_synthesis=sum(b.whole_jump > 1 for b in borders) / len(borders),
        largest_jump=max(b.jump for b in borders),
    )


def _log_spectrum(samples: Tensor) -> Tensor:
    """Spectrogram in dB, floored 80 dB below its maximum."""
    window = torch.hann_window(FFT_SAMPLES)
    spectrum = torch.stft(samples, FFT_SAMPLES, HOP_SAMPLES, window=window, return_complex=True).abs()
    return 20 * torch.log10(spectrum.clamp(min=float(spectrum.max()) * 1e-4 + 1e-12))


def _decibels(errors: Iterable[float], signals: Iterable[float]) -> float:
    """Energy of errors relative to the signals', in dB."""
    return float(10 * torch.log10(torch.tensor((sum(errors) + 1e-20) / (sum(signals) + 1e-20))))
