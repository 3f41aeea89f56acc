"""Speech without the pauses between its pieces."""

import numpy as np
import pytest

from echostream.evaluation.pauses import remove_pauses

RATE = 16000


def test_only_pauses_between_pieces_go() -> None:
    first = np.r_[np.ones(160), np.zeros(80), np.ones(80)].astype(np.int16)  # 20 ms, with silence of its own
    second = np.full(321, 2, dtype=np.int16)
    third = np.full(7, 3, dtype=np.int16)
    durations = [1000 * len(piece) / RATE for piece in (first, second, third)]
    starts = [500.0, 500.0 + durations[0] + 10.04, 500.0 + durations[0] + 10.04 + durations[1]]
    pause = np.zeros(160, dtype=np.int16)  # 10.04 ms are 160.64 samples, of which SimulEval writes 160
    intervals = [list(pair) for pair in zip(starts, durations, strict=True)]
    speech = remove_pauses(np.concatenate([first, pause, second, third]), RATE, intervals)
    np.testing.assert_array_equal(speech, np.concatenate([first, second, third]))


def test_another_file_is_an_error() -> None:
    with pytest.raises(ValueError, match="last 160 samples, but the speech lasts 161"):
        remove_pauses(np.zeros(161, dtype=np.int16), RATE, [[0.0, 10.0]])
