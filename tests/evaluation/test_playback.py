"""The timeline of spoken output."""

import pytest

from echostream.evaluation.playback import play


def test_play() -> None:
    timeline = play([500, 600, 2000], [300, 700, 100])
    assert list(timeline.intervals) == [(500, 300), (800, 700), (2000, 100)]
    assert list(timeline.silences) == [500]
    assert timeline.end_ms == 2100


def test_nothing_and_mismatch() -> None:
    assert not play([], []).intervals
    with pytest.raises(ValueError, match="zip"):
        play([1], [])
