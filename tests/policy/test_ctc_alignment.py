"""New-token mass: soft against a plain loop, hard against CTC's collapse."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import one_hot

from echostream.policy.ctc_alignment import (
    best_labels,
    collapse,
    cumulative_tokens,
    greedy_new_tokens,
    new_token_mass,
)

VOCABULARY = 5
paths = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=30)


def collapse_by_loop(path: list[int], blank: int) -> list[int]:
    tokens = []
    for index, token in enumerate(path):
        if token != blank and (index == 0 or path[index - 1] != token):
            tokens.append(token)
    return tokens


@pytest.mark.parametrize("blank", [0, 3])
def test_mass_is_one_minus_blank_minus_repeat(blank: int) -> None:
    p = torch.rand(2, 6, VOCABULARY, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).softmax(
        -1
    )
    mass = new_token_mass(p, blank)
    for row in range(2):
        for t in range(6):
            others = [v for v in range(VOCABULARY) if v != blank]
            repeat = sum(float(p[row, t, v] * p[row, t - 1, v]) for v in others) if t else 0.0
            assert float(mass[row, t]) == pytest.approx(1 - float(p[row, t, blank]) - repeat, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(paths, st.integers(0, VOCABULARY - 1))
def test_hard_mass_counts_what_collapse_keeps(path: list[int], blank: int) -> None:
    tokens = torch.tensor([path])
    mass = new_token_mass(one_hot(tokens, VOCABULARY).float(), blank)
    assert torch.equal(mass, greedy_new_tokens(tokens, blank).float())
    expected = collapse_by_loop(path, blank)
    assert collapse(tokens[0], blank).tolist() == expected
    counts = cumulative_tokens(mass)[0].tolist()
    assert counts == [len(collapse_by_loop(path[: t + 1], blank)) for t in range(len(path))]


def test_greedy_new_tokens_leaves_its_input_alone() -> None:
    tokens = torch.tensor([[1, 1, 0, 1]])
    assert greedy_new_tokens(tokens).tolist() == [[True, False, False, True]]
    assert tokens.tolist() == [[1, 1, 0, 1]]


def test_padding_emits_nothing() -> None:
    mass = torch.ones(2, 5)
    counts = cumulative_tokens(mass, torch.tensor([5, 2]))
    assert counts.tolist() == [[1, 2, 3, 4, 5], [1, 2, 2, 2, 2]]


def test_counts_are_summed_in_single_precision_at_least() -> None:
    counts = cumulative_tokens(torch.full((1, 4000), 0.3, dtype=torch.bfloat16))
    assert counts.dtype == torch.float32
    assert float(counts[0, -1]) == pytest.approx(4000 * float(torch.tensor(0.3).bfloat16()), rel=1e-4)


def test_a_penalty_counts_against_the_blank_alone() -> None:
    scores = torch.tensor([[[2.0, 1.5, 0.0], [2.0, 0.5, 1.0], [0.0, 1.0, 2.0]]])
    given = scores.clone()
    assert best_labels(scores).tolist() == [[0, 0, 2]]
    assert best_labels(scores, 0, 0.75).tolist() == [[1, 0, 2]]
    assert best_labels(scores, 0, 1.25).tolist() == [[1, 2, 2]]
    assert best_labels(scores, 2, -1.5).tolist() == [[0, 2, 2]]
    assert torch.equal(scores, given)


def test_collapse_takes_one_path() -> None:
    with pytest.raises(ValueError, match="single path"):
        collapse(torch.zeros(2, 3, dtype=torch.long))
