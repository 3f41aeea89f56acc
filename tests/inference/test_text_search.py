"""Greedy search: limits, ends, incomplete words, and the repetition guard."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from echostream.inference.text_search import SearchResult, extend_text, repeats
from echostream.inference.vocabulary import Vocabulary
from echostream.policy.read_write import Action, Decision
from tests.inference.fakes import TEXT_SYMBOLS

VOCABULARY = Vocabulary(TEXT_SYMBOLS)
FLUSH = Decision(Action.WRITE)


def search(
    sentence: Sequence[int], tokens: Sequence[int], decision: Decision, **options: int
) -> SearchResult:
    """Decode with a model that knows this sentence, and whose second choice is the symbol 4."""

    def scores(prefix: Sequence[int]) -> Tensor:
        best = torch.zeros(len(VOCABULARY))
        best[[0, 1]] = 9.0
        best[4] = 1.0
        best[sentence[len(prefix)] if len(prefix) < len(sentence) else 2] = 5.0
        return best

    return extend_text(tokens, scores, decision, VOCABULARY, **{"max_len": 50, **options})


def test_limits_and_ends() -> None:
    assert search([4, 5, 6], [], FLUSH) == SearchResult([4, 5, 6], True)
    assert search([4, 5, 6], [4], Decision(Action.WRITE, 2)) == SearchResult([5], False)
    assert search([4, 5, 6], [4, 5, 6], Decision(Action.WRITE, 9)) == SearchResult([], False)
    assert search([4, 5, 6], [], FLUSH, max_len=2) == SearchResult([4, 5], False)
    assert search([], [], FLUSH) == SearchResult([4], True)  # at least one token


def test_an_incomplete_word_is_dropped_but_nothing_committed_is() -> None:
    decision = Decision(Action.WRITE, 4, drops_incomplete_word=True)
    assert search([4, 5, 6, 7, 8], [], decision).tokens == [4, 5]
    assert search([4, 5, 6, 7, 8], [4, 5, 6], decision).tokens == []


@pytest.mark.parametrize(
    ("tokens", "count"), [([], 1), ([1], 1), ([1, 1], 2), ([2, 1, 2, 1, 2, 1], 3), ([1, 2, 3, 4] * 2, 2)]
)
def test_repeats(tokens: list[int], count: int) -> None:
    assert repeats(tokens) == count


def test_repetition_guard_stops_a_loop() -> None:
    loop = [4, 6] * 20
    assert search(loop, [], FLUSH, max_repeats=2) == SearchResult([4, 6, 4, 6, 4], True)
    assert search(loop, [], Decision(Action.WRITE, 30), max_repeats=2) == SearchResult([4, 6, 4, 6, 4], False)
