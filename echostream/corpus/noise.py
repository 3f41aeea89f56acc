"""Background noise at 16 kHz: coloured noise, mains hum, gusts, and the babble of other talkers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from echostream.corpus.synthesis import SAMPLE_RATE, Samples

Noise = npt.NDArray[np.float64]

# Power falls with frequency to this exponent. Below the corner it is flat: what nobody hears shall not count
# in a signal-to-noise ratio.
COLOUR_EXPONENTS = {"white": 0.0, "pink": 1.0, "brown": 2.0}
COLOUR_CORNER_HZ = 50.0
MAINS_HZ = 50.0
NUM_HUM_HARMONICS = 10
GUST_SECONDS = 0.3
GUST_SPREAD_DB = 8.0
MIN_TALKERS, MAX_TALKERS = 4, 6


def coloured_noise(num_samples: int, exponent: float, rng: np.random.Generator) -> Noise:
    """Gaussian noise whose power falls with frequency to `exponent`: [samples]."""
    # A power of two keeps the transform fast whatever the length.
    spectrum = np.fft.rfft(rng.standard_normal(1 << (num_samples - 1).bit_length()))
    frequencies_hz = np.linspace(0.0, SAMPLE_RATE / 2, spectrum.size)
    spectrum *= np.maximum(frequencies_hz, COLOUR_CORNER_HZ) ** (-exponent / 2)
    return np.fft.irfft(spectrum, n=2 * (spectrum.size - 1))[:num_samples]


def hum(num_samples: int, rng: np.random.Generator) -> Noise:
    """Mains hum, 50 Hz within 0.2 Hz and its harmonics at random levels and phases: [samples]."""
    fundamental_hz = MAINS_HZ + rng.uniform(-0.2, 0.2)
    angle = 2 * np.pi * fundamental_hz / SAMPLE_RATE * np.arange(num_samples)
    sound = np.zeros(num_samples)
    for harmonic in range(1, NUM_HUM_HARMONICS + 1):
        amplitude, phase = rng.uniform(0.3, 1.0) / harmonic, rng.uniform(0.0, 2 * np.pi)
        sound += amplitude * np.sin(harmonic * angle + phase)
    return sound


def gusts(num_samples: int, rng: np.random.Generator) -> Noise:
    """Pink noise whose level swells and falls within tenths of a second, as wind does: [samples]."""
    gust_samples = int(GUST_SECONDS * SAMPLE_RATE)
    levels_db = GUST_SPREAD_DB * rng.standard_normal(num_samples // gust_samples + 2)
    time = np.arange(num_samples) / gust_samples
    envelope = 10 ** (np.interp(time, np.arange(levels_db.size), levels_db) / 20)
    return envelope * coloured_noise(num_samples, COLOUR_EXPONENTS["pink"], rng)


def babble(num_samples: int, rng: np.random.Generator, talkers: Sequence[Samples]) -> Noise:
    """Several talkers at once, each at the same level and on and on: [samples].

    Args:
        num_samples: length.
        rng: chooses talkers and where they start.
        talkers: utterances to mix, [samples] each.
    Raises:
        ValueError: there are no talkers.
    """
    if not talkers:
        raise ValueError("babble needs utterances of other talkers: give at least one")
    mixture = np.zeros(num_samples)
    for _ in range(rng.integers(MIN_TALKERS, MAX_TALKERS + 1)):
        speech = np.concatenate([talkers[index] for index in rng.permutation(len(talkers))[:3]])
        start = rng.integers(speech.size)
        looped = np.take(speech, np.arange(start, start + num_samples), mode="wrap").astype(np.float64)
        mixture += looped / np.sqrt(np.mean(np.square(speech, dtype=np.float64)))
    return mixture


def make_noise(
    kind: str, num_samples: int, rng: np.random.Generator, talkers: Sequence[Samples] = ()
) -> Noise:
    """Background noise of a kind, at no level in particular.

    Args:
        kind: white, pink, brown, hum, gusts or babble.
        num_samples: length at 16 kHz.
        rng: everything random follows from it.
        talkers: utterances that babble is made of.
    Returns:
        [samples].
    Raises:
        ValueError: the kind is unknown, or there are no talkers for babble.
    """
    if kind in COLOUR_EXPONENTS:
        return coloured_noise(num_samples, COLOUR_EXPONENTS[kind], rng)
    if kind == "hum":
        return hum(num_samples, rng)
    if kind == "gusts":
        return gusts(num_samples, rng)
    if kind == "babble":
        return babble(num_samples, rng, talkers)
    raise ValueError(
        f"unknown kind of noise {kind!r}: choose one of {', '.join(COLOUR_EXPONENTS)}, hum, gusts, babble"
    )
