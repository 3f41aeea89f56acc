"""Greedy decoding of the translation's next subwords, for any way of computing their scores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from echostream.inference.vocabulary import Vocabulary
from echostream.policy.read_write import Decision, count_complete

LONGEST_REPEAT = 4  # subwords


@dataclass(frozen=True)
class SearchResult:
    """New subwords, and whether the sentence ended after them."""

    tokens: list[int]
    finished: bool


def extend_text(
    tokens: Sequence[int],
    scores: Callable[[Sequence[int]], Tensor],
    decision: Decision,
    vocabulary: Vocabulary,
    *,
    max_len: int,
    max_repeats: int = 0,
) -> SearchResult:
    """Decode as far as a WRITE allows.

    Args:
        tokens: the committed subwords; they stay.
        scores: gives the scores `[V]` of the subword after those that it is called with.
        decision: how far, and whether the last word is dropped unless it is complete.
        vocabulary: of the translation.
        max_len: longest text in subwords.
        max_repeats: see `SessionOptions`.
    """
    is_flush = decision.max_subwords is None
    limit = max_len if decision.max_subwords is None else min(decision.max_subwords, max_len)
    grown = list(tokens)
    finished = False
    while len(grown) < limit:
        token = _best(scores(grown), vocabulary, is_first=not grown)
        if token == vocabulary.eos or (max_repeats and repeats([*grown, token]) > max_repeats):
            finished = is_flush
            break
        grown.append(token)
    if decision.drops_incomplete_word and not is_flush:
        keep = max(len(tokens), count_complete([vocabulary.symbols[token] for token in grown]))
        grown = grown[:keep]
    return SearchResult(grown[len(tokens) :], finished)


def repeats(tokens: Sequence[int]) -> int:
    """How often the last one to four tokens follow each other at the end; 1 is not repeated."""
    longest = 1
    for size in range(1, LONGEST_REPEAT + 1):
        last = list(tokens[-size:])
        count = 1
        while (count + 1) * size <= len(tokens) and (
            list(tokens[-(count + 1) * size : len(tokens) - count * size]) == last
        ):
            count += 1
        longest = max(longest, count)
    return longest


def _best(scores: Tensor, vocabulary: Vocabulary, *, is_first: bool) -> int:
    scores = scores.float()
    banned = [vocabulary.pad, vocabulary.bos]
    if is_first:
        banned.append(vocabulary.eos)  # a translation has at least one token
    return int(scores.index_fill(0, torch.tensor(banned, device=scores.device), -torch.inf).argmax())
