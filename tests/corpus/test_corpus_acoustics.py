"""Noise and the conditions of source speech: levels, spectra, ranges, and that nothing depends on order."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from echostream.corpus import acoustics, noise, synthesis
from echostream.corpus.acoustics import (
    HARD_RANGES,
    PEAK_AMPLITUDE,
    SEEN_RANGES,
    TRAIN_RANGES,
    ConditionRanges,
    Conditions,
    SourceAcoustics,
    apply_conditions,
    draw_conditions,
    root_mean_square,
)
from echostream.corpus.synthesis import SAMPLE_RATE, Samples, Utterance

KINDS = sorted({*SEEN_RANGES.noises, *HARD_RANGES.noises})


def tone(frequency_hz: float, num_samples: int = SAMPLE_RATE) -> Samples:
    time = np.arange(num_samples) / SAMPLE_RATE
    return (0.2 * np.sin(2 * np.pi * frequency_hz * time)).astype(np.float32)


TALKERS = [tone(300), tone(500, 9000), tone(700, 20000)]


def band_power(samples: npt.NDArray[np.floating], low_hz: float, high_hz: float) -> float:
    """Mean power a bin in a band of frequencies."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    frequencies_hz = np.fft.rfftfreq(samples.size, 1 / SAMPLE_RATE)
    return float(power[(frequencies_hz >= low_hz) & (frequencies_hz < high_hz)].mean())


@pytest.mark.parametrize(("kind", "decibels"), [("white", 0.0), ("pink", -10.0), ("brown", -20.0)])
def test_coloured_noise_falls_by_its_slope_a_decade(kind: str, decibels: float) -> None:
    sound = noise.make_noise(kind, 20 * SAMPLE_RATE, np.random.default_rng(1))
    fall = 10 * np.log10(band_power(sound, 3000, 3300) / band_power(sound, 300, 330))
    assert fall == pytest.approx(decibels, abs=1.0)


def test_hum_is_mains_and_its_harmonics() -> None:
    sound = noise.make_noise("hum", 4 * SAMPLE_RATE, np.random.default_rng(1))
    between = max(band_power(sound, 50 * step + 20, 50 * step + 30) for step in range(1, 10))
    assert all(
        band_power(sound, 50 * step - 3, 50 * step + 3) > 100 * between
        for step in range(1, noise.NUM_HUM_HARMONICS + 1)
    )


def test_gusts_swell_and_white_noise_does_not() -> None:
    def spread_db(kind: str) -> float:
        sound = noise.make_noise(kind, 20 * SAMPLE_RATE, np.random.default_rng(1))
        return float(np.std(20 * np.log10([root_mean_square(part) for part in np.split(sound, 100)])))

    assert spread_db("gusts") > 4.0
    assert spread_db("white") < 1.0


def test_babble_is_made_of_the_talkers_alone() -> None:
    sound = noise.make_noise("babble", 5 * SAMPLE_RATE, np.random.default_rng(1), TALKERS)
    for frequency_hz in (300, 500, 700):
        assert band_power(sound, frequency_hz - 5, frequency_hz + 5) > 1000 * band_power(sound, 2000, 8000)
    with pytest.raises(ValueError, match="needs utterances of other talkers"):
        noise.make_noise("babble", 100, np.random.default_rng(1))


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind of noise 'purple'"):
        noise.make_noise("purple", 100, np.random.default_rng(1))


@pytest.mark.parametrize("kind", KINDS)
def test_mixtures_have_the_level_ratio_and_times_asked_for(kind: str) -> None:
    speech = tone(1000, 12345)
    conditions = Conditions(kind, snr_db=12.0, gain_db=-6.0, lead_ms=400, tail_ms=300)
    mixture = apply_conditions(speech, conditions, np.random.default_rng(3), TALKERS)
    assert mixture.dtype == np.float32
    assert mixture.size == 6400 + speech.size + 4800
    assert np.abs(mixture).max() == pytest.approx(PEAK_AMPLITUDE * 10 ** (-6 / 20), rel=1e-5)
    # Subtracting the speech, at the scale that fits best, leaves the noise.
    clean = np.pad(speech, (6400, 4800)).astype(np.float64)
    scale = float(mixture @ clean / (clean @ clean))
    ratio = root_mean_square(speech) * scale / root_mean_square(mixture - scale * clean)
    assert 20 * np.log10(ratio) == pytest.approx(12.0, abs=0.3)
    assert root_mean_square(mixture[:6400]) > 0


def test_bare_speech_is_only_scaled() -> None:
    speech = tone(1000)
    bare = apply_conditions(speech, Conditions(), np.random.default_rng(1))
    np.testing.assert_allclose(bare, speech * (PEAK_AMPLITUDE / np.abs(speech).max()), rtol=1e-6)


@pytest.mark.parametrize("ranges", [TRAIN_RANGES, SEEN_RANGES, HARD_RANGES])
def test_draws_follow_the_ranges(ranges: ConditionRanges) -> None:
    rng = random.Random(5)
    drawn = [draw_conditions(rng, ranges) for _ in range(4000)]
    low, high = ranges.snr_db
    noisy = [item for item in drawn if item.snr_db is not None and item.snr_db <= high]
    assert len(noisy) / len(drawn) == pytest.approx(acoustics.NOISE_SHARE, abs=0.03)
    assert min(item.snr_db for item in noisy if item.snr_db is not None) >= low
    counts = Counter(item.noise for item in noisy)
    assert set(counts) == set(ranges.noises)
    assert min(counts.values()) > 0.8 * len(noisy) / len(ranges.noises)
    silent = [item for item in drawn if item.snr_db is None]
    assert {item.noise for item in silent} == {acoustics.NO_NOISE}
    assert len(silent) / len(drawn) == pytest.approx(0.1, abs=0.02)
    least_ms, most_ms = acoustics.TAIL_MS
    assert all(-12 <= item.gain_db <= 0 and least_ms <= item.tail_ms <= most_ms for item in drawn)
    late = sum(item.lead_ms > acoustics.LEAD_MS[1] for item in drawn) / len(drawn)
    assert late == pytest.approx(ranges.long_lead_share, abs=0.02)
    assert max(item.lead_ms for item in drawn) <= (1500 if ranges.long_lead_share else acoustics.LEAD_MS[1])


def test_the_hard_split_has_noise_that_train_lacks() -> None:
    assert set(HARD_RANGES.noises) - set(TRAIN_RANGES.noises) == {"gusts"}


def test_conditions_survive_a_table() -> None:
    for conditions in (Conditions(), Conditions("hum", 8.5, -3.2, 120, 640)):
        row = dict(zip(acoustics.CONDITION_COLUMNS, map(str, conditions.to_row()), strict=True))
        assert Conditions.from_row(row) == conditions


def test_babble_holds_other_utterances_of_the_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each utterance is a tone of its own here, so that one sees which of them the babble holds."""
    tones_hz = {f"u{number}": 400.0 * (number + 1) for number in range(4)}
    monkeypatch.setattr(acoustics, "speak", lambda item: tone(tones_hz[item.path.stem]))
    utterances = [Utterance("oui", tmp_path / f"{name}.wav", "espeak-ng", "fr") for name in tones_hz]
    loud = Conditions("babble", snr_db=0.0)
    split = SourceAcoustics(utterances, dict.fromkeys(tones_hz, loud), seed=1)
    speech = tone(7000)
    forward = [split(item, speech) for item in utterances]
    backward = [split(item, speech) for item in reversed(utterances)]
    for mixture, again, item in zip(forward, reversed(backward), utterances, strict=True):
        np.testing.assert_array_equal(mixture, again)
        powers = {name: band_power(mixture, hz - 5, hz + 5) for name, hz in tones_hz.items()}
        own = powers.pop(item.path.stem)
        assert own < 0.001 * min(powers.values())
    other_seed = SourceAcoustics(utterances, dict.fromkeys(tones_hz, loud), seed=2)
    assert not np.array_equal(other_seed(utterances[0], speech), forward[0])


def test_a_split_of_one_utterance_babbles_with_itself(tmp_path: Path) -> None:
    utterance = Utterance("bonjour à tous", tmp_path / "u.wav", "espeak-ng", synthesis.TRAIN_VOICES[0])
    split = SourceAcoustics([utterance], {"u": Conditions("babble", snr_db=10.0)}, seed=1)
    assert split(utterance, tone(1000)).size == SAMPLE_RATE
