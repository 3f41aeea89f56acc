"""Text from tokens, and words that are handed out once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echostream.inference.vocabulary import Vocabulary, WordEmitter, split_words
from tests.inference.fakes import TEXT_SYMBOLS

VOCABULARY = Vocabulary(TEXT_SYMBOLS)


def test_text() -> None:
    assert VOCABULARY.text([4, 5, 6, 2]) == "ab c"
    assert VOCABULARY.text([]) == ""
    assert VOCABULARY.text([0, 1, 5, 3, 7]) == "b d"
    assert len(VOCABULARY) == 12


@given(st.lists(st.sampled_from(TEXT_SYMBOLS[4:]), max_size=12), st.lists(st.integers(0, 12), max_size=5))
def test_words_come_once_and_whole(pieces: list[str], borders: list[int]) -> None:
    emitter = WordEmitter()
    words = []
    for border in sorted(borders):
        words += emitter.push(pieces[:border], is_complete=False)
    words += emitter.push(pieces, is_complete=True)
    assert words == split_words(pieces)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([(["▁a", "▁b"], False), (["▁a", "▁b", "▁c"], False)], [["a"], ["b"]]),
        ([(["▁a"], True), (["▁a", ","], True)], [["a"], [","]]),
        ([(["▁a", "▁b", "▁c"], False), (["▁a", "▁x", "▁c", "▁d"], False)], [["a", "b"], ["c"]]),
        ([(["▁a", "▁b", "▁c"], True), (["▁a"], True)], [["a", "b", "c"], []]),
    ],
)
def test_nothing_is_taken_back(steps: list[tuple[list[str], bool]], expected: list[list[str]]) -> None:
    emitter = WordEmitter()
    assert [emitter.push(pieces, is_complete=complete) for pieces, complete in steps] == expected
    emitter.reset()
    assert emitter.push(["▁a"], is_complete=True) == ["a"]
