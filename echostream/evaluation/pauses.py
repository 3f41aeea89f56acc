"""Speech output without the pauses in which it waited for its next piece."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def remove_pauses(
    samples: npt.NDArray[np.int16], sample_rate: int, intervals_ms: Sequence[Sequence[float]]
) -> npt.NDArray[np.int16]:
    """Put the pieces of an utterance end to end.

    Silence inside a piece, which is what the system said, stays.

    Args:
        samples: `[samples]` of the wav file that SimulEval writes: pieces, and zeros where one was awaited.
        sample_rate: in Hz.
        intervals_ms: start and duration of each piece in ms, as they stand in instances.log.
    Returns:
        `[samples]` of the pieces alone.
    Raises:
        ValueError: when the intervals do not add up to the samples.
    """
    pieces, position, end_ms = [], 0, intervals_ms[0][0]
    for start_ms, duration_ms in intervals_ms:
        position += int(sample_rate * (start_ms - end_ms) / 1000)  # rounded as SimulEval does
        num_samples = round(sample_rate * duration_ms / 1000)
        pieces.append(samples[position : position + num_samples])
        position += num_samples
        end_ms = start_ms + duration_ms
    if position != len(samples):
        raise ValueError(
            f"the pieces and pauses last {position} samples, but the speech lasts {len(samples)}"
        )
    return np.concatenate(pieces)
