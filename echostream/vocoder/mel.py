"""Log-mel spectrograms for training losses (the recogniser's features are in `echostream.data.fbank`).

Dimensions:
    B: batch, S: samples, M: mel bins, T: spectrogram frames, S // hop_samples + 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

LOG_FLOOR = 1e-4


def mel_filters(sample_rate: int, fft_samples: int, num_mels: int) -> Tensor:
    """Triangular filters, evenly spaced on the mel scale from 0 Hz to half the sample rate.

    Returns:
        [M, fft_samples // 2 + 1]; a filter peaks at 1, and one narrower than a bin keeps its nearest bin.

    Reference: O'Shaughnessy, "Speech Communication", 1987 (mel = 2595 log10(1 + f / 700)).
    """
    nyquist = sample_rate / 2
    top = 2595 * torch.log10(torch.tensor(1 + nyquist / 700, dtype=torch.float64))
    mels = torch.linspace(0, float(top), num_mels + 2, dtype=torch.float64)
    edges = 700 * (10 ** (mels / 2595) - 1)
    bins = torch.linspace(0, nyquist, fft_samples // 2 + 1, dtype=torch.float64)
    lower, centre, upper = (edges[i : i + num_mels, None] for i in range(3))
    filters = torch.minimum((bins - lower) / (centre - lower), (upper - bins) / (upper - centre)).clamp(min=0)
    nearest = (bins - centre).abs().argmin(1)
    empty = filters.sum(1) == 0
    filters[empty, nearest[empty]] = 1.0
    return filters.float()


class LogMel(nn.Module):
    """Natural log of the mel-filtered magnitude spectrum, floored at log(1e-4).

    Args:
        sample_rate: samples a second.
        fft_samples: window and transform length (Hann window, centred frames).
        hop_samples: samples between frames.
        num_mels: filters.
    """

    def __init__(self, sample_rate: int, fft_samples: int, hop_samples: int, num_mels: int) -> None:
        super().__init__()
        self.fft_samples = fft_samples
        self.hop_samples = hop_samples
        self.filters: Tensor
        self.window: Tensor
        self.register_buffer("filters", mel_filters(sample_rate, fft_samples, num_mels), persistent=False)
        self.register_buffer("window", torch.hann_window(fft_samples), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Map waveforms [B, S] to [B, M, T]; S must be more than half a window."""
        spectrum = torch.stft(
            waveform, self.fft_samples, self.hop_samples, window=self.window, return_complex=True
        )
        power = spectrum.real.square() + spectrum.imag.square()
        magnitude = torch.sqrt(power + 1e-12)
        return torch.log(torch.clamp(self.filters @ magnitude, min=LOG_FLOOR))


class MelDistance(nn.Module):
    """Mean absolute difference of log-mels, averaged over several resolutions; 0 only for equal spectra.

    Args:
        sample_rate: samples a second.
        resolutions: (fft_samples, hop_samples, num_mels) of each.

    Reference: Kong et al., "HiFi-GAN", 2020, section 2.4 (one resolution); Yamamoto et al.,
    "Parallel WaveGAN", 2020, section 2.2 (several).
    """

    def __init__(self, sample_rate: int, resolutions: tuple[tuple[int, int, int], ...]) -> None:
        super().__init__()
        self.transforms = nn.ModuleList(LogMel(sample_rate, *resolution) for resolution in resolutions)

    def forward(self, waveform: Tensor, target: Tensor) -> Tensor:
        """Compare waveforms [B, S] with targets [B, S]; a scalar."""
        distances = [(mel(waveform) - mel(target)).abs().mean() for mel in self.transforms]
        return torch.stack(distances).mean()
