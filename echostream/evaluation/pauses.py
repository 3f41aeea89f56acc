"""Speech output in the pieces in which it was said, without the pauses in which it waited for the next."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Sample = TypeVar("Sample", bound=np.generic)


def cut_pieces(
    samples: npt.NDArray[Sample], sample_rate: int, intervals_ms: Sequence[Sequence[float]]
) -> tuple[list[npt.NDArray[Sample]], int]:
    """Cut an utterance into its pieces.

    Silence inside a piece, which is what the system said, stays.

    Args:
        samples: `[samples]` of the wav file that SimulEval writes: pieces, and zeros where one was awaited.
        sample_rate: in Hz.
        intervals_ms: start and duration of each piece in ms, as they stand in instances.log.
    Returns:
        `[samples]` of each piece, and how many samples pieces and pauses last; another number than that of
        `samples` says that the intervals are not theirs.
    """
    pieces, position, end_ms = [], 0, intervals_ms[0][0]
    for start_ms, duration_ms in intervals_ms:
        position += int(sample_rate * (start_ms - end_ms) / 1000)  # rounded as SimulEval does
        num_samples = round(sample_rate * duration_ms / 1000)
        pieces.append(samples[position : position + num_samples])
        position += num_samples
        end_ms = start_ms + duration_ms
    return pieces, position


def remove_pauses(
    samples: npt.NDArray[Sample], sample_rate: int, intervals_ms: Sequence[Sequence[float]]
) -> npt.NDArray[Sample]:
    """Put the pieces of an utterance, as `cut_pieces` takes it, end to end.

    Raises:
        ValueError: when the intervals do not add up to the samples.
    """
    pieces, num_samples = cut_pieces(samples, sample_rate, intervals_ms)
    if num_samples != len(samples):
        raise ValueError(
            f"the pieces and pauses last {num_samples} samples, but the speech lasts {len(samples)}"
        )
    return np.concatenate(pieces)
