"""Paired bootstrap over utterances: how sure a score, and the difference of two systems, is.

The utterances of a test set are drawn again with replacement, many times, and a score is computed of each
draw. All systems get the same draws, so that what makes a draw easy or hard cancels in their differences.

Dimensions:
    N: utterances, R: draws, K: sufficient statistics of a score, C: runs of one system (chunk sizes),
    L: latencies.

Reference: Koehn, "Statistical Significance Tests for Machine Translation Evaluation", EMNLP 2004.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

NUM_DRAWS = 2000
SEED = 1
CONFIDENCE = 0.95
NUM_LATENCIES = 64
"""At how many latencies two curves are compared over a range."""


@dataclass(frozen=True)
class Interval:
    """A figure with the interval that holds it with the confidence of `CONFIDENCE`."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero is outside."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Drawn:
    """A figure of the corpus, and what it is in each draw, [R]; nan where it is undefined."""

    value: float
    draws: Array

    def __sub__(self, other: "Drawn") -> "Drawn":
        return Drawn(self.value - other.value, self.draws - other.draws)

    def interval(self) -> Interval:
        """The percentile interval; draws in which the figure is undefined are left out.

        Raises:
            ValueError: when more than one draw in twenty is undefined.
        """
        known = self.draws[~np.isnan(self.draws)]
        if known.size < CONFIDENCE * self.draws.size:
            raise ValueError(
                f"the figure is undefined in {self.draws.size - known.size} of {self.draws.size} draws: "
                "too few utterances have a value"
            )
        tail = 50 * (1 - CONFIDENCE)
        low, high = np.percentile(known, [tail, 100 - tail])
        return Interval(self.value, float(low), float(high))


@dataclass(frozen=True)
class Measure:
    """A score of a corpus that depends on sums over its utterances only.

    Args:
        statistics: sufficient statistics of each utterance, [N, K].
        score: gives the score of sums of statistics, [R, K] to [R].
    """

    statistics: Array
    score: Callable[[Array], Array]

    @property
    def value(self) -> float:
        """The score of the corpus."""
        return float(self.score(self.statistics.sum(axis=0, keepdims=True))[0])

    def drawn(self, counts: Array) -> Drawn:
        """The score of the corpus and of each draw.

        Args:
            counts: how often each utterance is in each draw, [R, N].
        Raises:
            ValueError: for counts of another number of utterances.
        """
        if counts.shape[1] != len(self.statistics):
            raise ValueError(
                f"draws of {counts.shape[1]} utterances do not fit {len(self.statistics)} utterances"
            )
        return Drawn(self.value, self.score(counts @ self.statistics))


def mean_measure(values: Array) -> Measure:
    """The mean of one value [N] an utterance; utterances without a value (nan) do not count."""
    known = ~np.isnan(values)
    return Measure(np.stack([np.where(known, values, 0.0), known], axis=1), _ratio)


def ratio_measure(numerators: Array, denominators: Array, scale: float = 1.0) -> Measure:
    """The ratio of two sums over utterances, [N] each, times `scale`."""
    return Measure(np.stack([scale * numerators, denominators], axis=1), _ratio)


def _ratio(sums: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        quotients: Array = sums[:, 0] / sums[:, 1]
    return quotients


def draw_counts(num_utterances: int, num_draws: int = NUM_DRAWS, seed: int = SEED) -> Array:
    """How often each utterance is in each draw, [R, N]; the same for the same arguments.

    Raises:
        ValueError: without utterances.
    """
    if num_utterances < 1:
        raise ValueError("there are no utterances to draw from")
    generator = np.random.default_rng(seed)
    shares = np.full(num_utterances, 1.0 / num_utterances)
    return generator.multinomial(num_utterances, shares, size=num_draws).astype(np.float64)


def mean_of(figures: Sequence[Drawn]) -> Drawn:
    """The mean of figures, as of several runs of one system."""
    value = float(np.mean([figure.value for figure in figures]))
    return Drawn(value, np.mean([figure.draws for figure in figures], axis=0))


@dataclass(frozen=True)
class QualityCurve:
    """Quality over latency of one system: its runs, C of them, in any order."""

    latencies: Sequence[Drawn]
    qualities: Sequence[Drawn]

    def quality_at(self, latency: Drawn) -> Drawn:
        """Quality at a latency, on straight lines between the runs; flat beyond the first and the last."""
        return _as_drawn(self._read(_stacked([latency])))

    def mean_quality(self, low: float, high: float) -> Drawn:
        """Quality on average over the latencies from `low` to `high`, read off the lines."""
        num_rows = self.latencies[0].draws.size + 1
        return _as_drawn(self._read(np.tile(np.linspace(low, high, NUM_LATENCIES), (num_rows, 1))))

    def _read(self, latencies: Array) -> Array:
        """Qualities at latencies [R + 1, L]; the first row is of the corpus, the others of the draws."""
        found = np.empty_like(latencies)
        own, qualities = _stacked(self.latencies), _stacked(self.qualities)
        for row, order in enumerate(np.argsort(own, axis=1)):
            found[row] = np.interp(latencies[row], own[row, order], qualities[row, order])
        return found


def _stacked(figures: Sequence[Drawn]) -> Array:
    """[R + 1, C]: the corpus, then each draw."""
    return np.stack([np.concatenate([[figure.value], figure.draws]) for figure in figures], axis=1)


def _as_drawn(rows: Array) -> Drawn:
    """The mean of each row of [R + 1, L]."""
    means = rows.mean(axis=1)
    return Drawn(float(means[0]), means[1:])
