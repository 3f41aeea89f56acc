"""When the listener hears what: pieces of speech play one after the other, none before it is there."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Playback:
    """The timeline of one utterance's output.

    Args:
        intervals: start and duration of each piece in ms.
        silences: pauses in ms where the next piece was not there yet; the wait before the first is not one.
    """

    intervals: tuple[tuple[float, float], ...]
    silences: tuple[float, ...]

    @property
    def end_ms(self) -> float:
        """When the last piece ends."""
        start, duration = self.intervals[-1]
        return start + duration


def play(available_ms: Sequence[float], durations_ms: Sequence[float]) -> Playback:
    """Play pieces as early as possible.

    Args:
        available_ms: when each piece is there, in order: delays (ideal) or elapsed times (computation-aware).
        durations_ms: how long each lasts.
    Raises:
        ValueError: for different numbers of times and durations.
    """
    intervals: list[tuple[float, float]] = []
    silences: list[float] = []
    end = available_ms[0] if available_ms else 0.0
    for available, duration in zip(available_ms, durations_ms, strict=True):
        if available > end:
            silences.append(available - end)
        start = max(end, available)
        intervals.append((start, duration))
        end = start + duration
    return Playback(tuple(intervals), tuple(silences))
