"""Acoustic conditions of source speech: its level, background noise, and the time before and after it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from echostream.corpus.noise import make_noise
from echostream.corpus.synthesis import SAMPLE_RATE, Samples, Utterance, speak

CONDITION_COLUMNS = ("noise", "snr_db", "gain_db", "lead_ms", "tail_ms")
NO_NOISE = "none"
BABBLE = "babble"
# The loudest sample at a gain of 0 dB; the room above it keeps resampling from clipping.
PEAK_AMPLITUDE = 0.95
# Audible noise, else a quiet room, else exact zeros around the speech. Zeros stay rare: their log energies
# lie so far below all others that they would double the deviation that features are divided by.
NOISE_SHARE, ROOM_SHARE = 0.4, 0.5
ROOM = "pink"
ROOM_SNR_DB = (35.0, 55.0)
MIN_GAIN_DB = -12.0
LEAD_MS = (0, 300)
LONG_LEAD_MS = (600, 1500)
TAIL_MS = (100, 400)
MAX_TALKER_UTTERANCES = 24


@dataclass(frozen=True)
class ConditionRanges:
    """What the conditions of a split are drawn from.

    Attributes:
        noises: kinds of background noise, each as likely as the others.
        snr_db: lowest and highest signal-to-noise ratio.
        long_lead_share: share of utterances that start late, so that models learn to wait.
    """

    noises: tuple[str, ...]
    snr_db: tuple[float, float]
    long_lead_share: float = 0.0


SEEN_RANGES = ConditionRanges(("white", "pink", "brown", "hum", BABBLE), (10.0, 30.0))
TRAIN_RANGES = ConditionRanges(SEEN_RANGES.noises, SEEN_RANGES.snr_db, long_lead_share=0.1)
# Nothing of this is heard in training: gusts are of this split alone, and the babble is of its own voices.
HARD_RANGES = ConditionRanges(("gusts", BABBLE), (5.0, 20.0))


@dataclass(frozen=True)
class Conditions:
    """The conditions of one utterance; the default is bare speech.

    Attributes:
        noise: a kind of `echostream.corpus.noise`, or "none".
        snr_db: power of the speech between its first and last sound over that of the noise; None without
            noise.
        gain_db: level of the loudest sample of the mixture, relative to PEAK_AMPLITUDE.
        lead_ms, tail_ms: background alone before and after the speech.
    """

    noise: str = NO_NOISE
    snr_db: float | None = None
    gain_db: float = 0.0
    lead_ms: int = 0
    tail_ms: int = 0

    @classmethod
    def from_row(cls, row: Mapping[str, str]) -> Conditions:
        """Read CONDITION_COLUMNS of a table's row."""
        snr_db = float(row["snr_db"]) if row["snr_db"] else None
        return cls(row["noise"], snr_db, float(row["gain_db"]), int(row["lead_ms"]), int(row["tail_ms"]))

    def to_row(self) -> tuple[object, ...]:
        """Values of CONDITION_COLUMNS."""
        snr_db = "" if self.snr_db is None else self.snr_db
        return (self.noise, snr_db, self.gain_db, self.lead_ms, self.tail_ms)


def draw_conditions(rng: random.Random, ranges: ConditionRanges) -> Conditions:
    """Draw the conditions of one utterance, in steps of 0.1 dB and 1 ms."""
    background = rng.random()
    noise, snr_db = rng.choice(ranges.noises), rng.uniform(*ranges.snr_db)
    if background >= NOISE_SHARE + ROOM_SHARE:
        noise = NO_NOISE
    elif background >= NOISE_SHARE:
        noise, snr_db = ROOM, rng.uniform(*ROOM_SNR_DB)
    lead_ms = LONG_LEAD_MS if rng.random() < ranges.long_lead_share else LEAD_MS
    return Conditions(
        noise,
        None if noise == NO_NOISE else round(snr_db, 1),
        round(rng.uniform(MIN_GAIN_DB, 0.0), 1),
        rng.randint(*lead_ms),
        rng.randint(*TAIL_MS),
    )


def root_mean_square(samples: npt.NDArray[np.floating]) -> float:
    """The root of the mean power of samples."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def apply_conditions(
    speech: Samples, conditions: Conditions, rng: np.random.Generator, talkers: Sequence[Samples] = ()
) -> Samples:
    """Put speech into its conditions.

    Args:
        speech: [samples] at 16 kHz, without silence at its ends.
        conditions: what to do.
        rng: makes the noise.
        talkers: other utterances, for babble.
    Returns:
        [lead + samples + tail] whose loudest sample lies `gain_db` below PEAK_AMPLITUDE.
    Raises:
        ValueError: the kind of noise is unknown, or there are no talkers for babble.
    """
    lead_samples, tail_samples = (
        milliseconds * SAMPLE_RATE // 1000 for milliseconds in (conditions.lead_ms, conditions.tail_ms)
    )
    mixture = np.pad(speech.astype(np.float64), (lead_samples, tail_samples))
    if conditions.snr_db is not None:
        noise = make_noise(conditions.noise, mixture.size, rng, talkers)
        noise_level = root_mean_square(speech) * 10 ** (-conditions.snr_db / 20)
        mixture += noise * (noise_level / root_mean_square(noise))
    peak = PEAK_AMPLITUDE * 10 ** (conditions.gain_db / 20)
    return (mixture * (peak / np.abs(mixture).max())).astype(np.float32)


class SourceAcoustics:
    """Puts the utterances of one split into their conditions; the result does not depend on their order.

    Args:
        utterances: all of the split; babble is made of some of them.
        conditions: those of each utterance, by its file's name without suffix.
        seed: the noise follows from it and from that name.
    """

    def __init__(
        self, utterances: Sequence[Utterance], conditions: Mapping[str, Conditions], seed: int
    ) -> None:
        self._conditions = conditions
        self._seed = seed
        self._talkers: dict[Path, Samples] = {}
        if any(item.noise == BABBLE for item in conditions.values()):
            rng = random.Random(f"{seed}/talkers")
            talkers = rng.sample(utterances, min(MAX_TALKER_UTTERANCES, len(utterances)))
            self._talkers = {item.path: speak(item) for item in talkers}

    def __call__(self, utterance: Utterance, speech: Samples) -> Samples:
        """The speech of an utterance, [samples], in its conditions; see `apply_conditions`."""
        name = utterance.path.stem
        rng = np.random.default_rng(random.Random(f"{self._seed}/{name}/noise").getrandbits(64))
        # A split of one utterance has no other talker.
        others = [samples for path, samples in self._talkers.items() if path != utterance.path]
        return apply_conditions(speech, self._conditions[name], rng, others or list(self._talkers.values()))
