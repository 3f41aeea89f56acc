"""Spectral and adversarial losses of the vocoder's training."""

import math

import pytest
import torch
from torch import Tensor

from echostream.vocoder.discriminators import (
    Discriminators,
    adversarial_loss,
    discriminator_loss,
    feature_matching_loss,
)
from echostream.vocoder.mel import LOG_FLOOR, LogMel, MelDistance, mel_filters

RESOLUTIONS = ((512, 128, 40), (256, 64, 20))


def tone(frequency: float, num_samples: int = 8000, sample_rate: int = 16000) -> Tensor:
    return 0.5 * torch.sin(2 * math.pi * frequency * torch.arange(num_samples) / sample_rate).unsqueeze(0)


def test_filters_cover_the_band_and_peak_at_most_once() -> None:
    filters = mel_filters(16000, 1024, 40)
    assert filters.shape == (40, 513)
    assert (filters >= 0).all()
    assert (filters.max(1).values > 0.5).all()
    assert filters.max() <= 1
    peaks = filters.argmax(1)
    assert (peaks.diff() > 0).all()
    # Between the first and the last centre, neighbouring triangles add up to one.
    torch.testing.assert_close(
        filters.sum(0)[peaks[0] + 1 : peaks[-1]], torch.ones(int(peaks[-1] - peaks[0] - 1))
    )


def test_filters_narrower_than_a_bin_are_not_empty() -> None:
    assert (mel_filters(16000, 64, 40).sum(1) > 0).all()


@pytest.mark.parametrize("frequency", [200.0, 1000.0, 5000.0])
def test_a_tone_lands_in_its_mel_bin(frequency: float) -> None:
    log_mel = LogMel(16000, 1024, 256, 80)(tone(frequency))
    assert log_mel.shape == (1, 80, 8000 // 256 + 1)
    mel = 2595 * math.log10(1 + frequency / 700)
    expected = mel / (2595 * math.log10(1 + 8000 / 700)) * 81 - 1
    assert abs(int(log_mel[0, :, 16].argmax()) - expected) <= 1


def test_silence_is_at_the_floor() -> None:
    log_mel = LogMel(16000, 1024, 256, 80)(torch.zeros(1, 4000))
    torch.testing.assert_close(log_mel, torch.full_like(log_mel, math.log(LOG_FLOOR)))


def test_distance_orders_waveforms_and_has_a_gradient_at_silence() -> None:
    distance = MelDistance(16000, RESOLUTIONS)
    target = tone(440)
    assert distance(target, target) == 0
    assert 0 < distance(tone(440) * 0.9, target) < distance(tone(500), target) < distance(tone(3000), target)
    quiet = (1e-3 * torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))).requires_grad_()
    distance(quiet, target).backward()
    assert quiet.grad is not None
    assert torch.isfinite(quiet.grad).all()
    assert quiet.grad.abs().sum() > 0


def test_each_discriminator_returns_all_its_layers() -> None:
    outputs = Discriminators((2, 3), 2, channels=2)(torch.randn(2, 1, 1001))
    assert [len(layers) for layers in outputs] == [6, 6, 6, 6]
    # Periods see the waveform as columns, one for each phase.
    assert outputs[0][0].shape[:2] == (2, 2)
    assert outputs[0][0].size(3) == 2
    assert outputs[1][0].size(3) == 3
    # The second scale sees half of the samples.
    assert outputs[2][0].size(2) == 1001
    assert outputs[3][0].size(2) == 501


def test_least_squares_losses_at_known_scores() -> None:
    one, zero = torch.ones(2, 5), torch.zeros(2, 5)
    assert discriminator_loss([[one]], [[zero]]) == 0
    assert discriminator_loss([[zero]] * 3, [[one]] * 3) == 6
    assert adversarial_loss([[one], [zero]]) == 1
    # Only hidden layers are matched, not the scores.
    assert feature_matching_loss([[one, one]], [[one, zero]]) == 0
    assert feature_matching_loss([[one, one]], [[zero, one]]) == 1


def test_discriminators_learn_to_tell_tones_from_noise() -> None:
    torch.manual_seed(0)
    model = Discriminators((3,), 1, channels=2)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3, betas=(0.8, 0.99))
    real, losses = tone(300, 1200).unsqueeze(0), []
    for _ in range(25):
        loss = discriminator_loss(model(real), model(0.3 * torch.randn(1, 1, 1200)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.25 * losses[0]
