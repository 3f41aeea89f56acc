"""READ/WRITE decisions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echostream.policy.read_write import (
    Action,
    CTCPolicy,
    Decision,
    PolicyState,
    allowed_subwords,
    count_complete,
    required_target_tokens,
    writes_whole_words,
)

READ = Decision(Action.READ)
lags = st.integers(0, 5)
strides = st.integers(1, 4)


@given(st.integers(0, 40), st.integers(0, 40), lags, strides)
def test_allowed_and_required_are_inverse(index: int, known: int, lag: int, stride: int) -> None:
    may_write = required_target_tokens(index, lag, stride) <= known
    assert may_write == (index < allowed_subwords(known, lag, stride))


def test_both_heads_must_have_grown() -> None:
    policy = CTCPolicy(stride_n=2)
    state = PolicyState(source_tokens=4, target_tokens=3, written_subwords=2)
    assert policy.decide(state, 5, 9) == READ
    assert policy.decide(state, 9, 4) == READ
    assert policy.decide(state, 6, 5) == Decision(Action.WRITE, 4)


def test_lag_holds_back() -> None:
    policy = CTCPolicy(lagging_k=3)
    assert policy.decide(PolicyState(), 3, 3) == READ
    assert policy.decide(PolicyState(), 4, 5) == Decision(Action.WRITE, 2)


def test_a_read_does_not_use_up_the_growth() -> None:
    policy = CTCPolicy(lagging_k=1, stride_n=2)
    assert policy.decide(PolicyState(), 2, 2) == READ
    assert policy.decide(PolicyState(), 3, 3) == Decision(Action.WRITE, 2)


def test_whole_words_look_one_subword_ahead() -> None:
    policy = CTCPolicy(whole_words=True)
    assert policy.decide(PolicyState(), 2, 2) == Decision(Action.WRITE, 3, drops_incomplete_word=True)
    assert writes_whole_words(640)
    assert not writes_whole_words(639)


def test_source_end_flushes_whatever_the_counts() -> None:
    for policy in (CTCPolicy(lagging_k=9, stride_n=4), CTCPolicy(whole_words=True)):
        assert policy.decide(PolicyState(), 0, 0, source_finished=True) == Decision(Action.WRITE, None)


def test_state_after_a_write() -> None:
    state = PolicyState(2, 2, 2)
    assert CTCPolicy.after_write(state, 5, 4, 4) == PolicyState(5, 4, 4)
    assert CTCPolicy.after_write(state, 5, 4, 2) == state  # nothing was written
    assert CTCPolicy.after_write(state, 1, 4, 4) == PolicyState(2, 4, 4)  # a CTC prefix may shrink
    with pytest.raises(ValueError, match="cannot be taken back"):
        CTCPolicy.after_write(state, 5, 4, 1)


@pytest.mark.parametrize(
    ("pieces", "kept"),
    [
        (["▁the", "▁re", "d"], 1),
        (["▁the", "▁red", "▁c"], 2),
        (["▁the"], 0),
        (["re", "d"], 0),
        ([], 0),
    ],
)
def test_last_word_is_dropped(pieces: list[str], kept: int) -> None:
    assert count_complete(pieces) == kept


def test_impossible_settings() -> None:
    with pytest.raises(ValueError, match="lagging-k1"):
        CTCPolicy(lagging_k=-1)
    with pytest.raises(ValueError, match="stride-n"):
        CTCPolicy(stride_n=0)
