"""The loss terms against direct computations."""

import itertools
import math

import pytest
import torch
from torch.nn import functional as F

from echostream.criterions.losses import best_path_counts, ctc_term, infeasible_rows, rdrop_term, text_term


def enumerate_ctc(log_probs: torch.Tensor, target: list[int], blank: int) -> float:
    """-log of the summed probability of all paths that collapse to the target."""
    total = 0.0
    for path in itertools.product(range(log_probs.shape[1]), repeat=log_probs.shape[0]):
        collapsed = [symbol for symbol, _ in itertools.groupby(path) if symbol != blank]
        if collapsed == target:
            total += math.exp(sum(log_probs[step, symbol].item() for step, symbol in enumerate(path)))
    return -math.log(total)


def test_ctc_sums_all_paths_of_the_valid_positions() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 5, 4)
    targets = torch.tensor([[1, 1], [2, 3]])
    term = ctc_term(logits, torch.tensor([5, 3]), targets, torch.tensor([2, 1]), blank=3)
    log_probs = logits.log_softmax(dim=-1)
    expected = enumerate_ctc(log_probs[0], [1, 1], 3) + enumerate_ctc(log_probs[1, :3], [2], 3)
    assert term.loss.item() == pytest.approx(expected, rel=1e-5)
    assert term.num_tokens.item() == 3
    assert term.infeasible.tolist() == [False, False]


def test_ctc_rows_that_cannot_be_aligned_count_zero_and_are_reported() -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 3, 4, requires_grad=True)
    targets = torch.tensor([[1, 1, 0], [1, 2, 0], [1, 2, 1]])
    lengths = torch.tensor([2, 3, 2])  # a repeat needs 3 positions; fine; 3 symbols need 3
    term = ctc_term(logits, lengths, targets, torch.tensor([2, 2, 3]), blank=3)
    assert term.infeasible.tolist() == [True, False, True]
    alone = ctc_term(logits[1:2], lengths[1:2], targets[1:2], torch.tensor([2]), blank=3)
    assert term.loss.item() == pytest.approx(alone.loss.item())
    term.loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0].abs().sum() == 0


def test_best_path_counts_leave_padding_out() -> None:
    paths = torch.tensor([[0, 1, 1, 0, 1, 2], [2, 2, 0, 0, 1, 1]])
    logits = torch.nn.functional.one_hot(paths, 4).float()
    counts = best_path_counts(logits, torch.tensor([6, 3]), blank=0)
    assert [int(count) for count in counts] == [9, 2 + 1, 3 + 1]


def test_repeats_in_padding_do_not_count() -> None:
    targets = torch.tensor([[4, 5, 1, 1, 1]])
    assert infeasible_rows(targets, torch.tensor([2]), torch.tensor([2])).tolist() == [False]
    assert infeasible_rows(torch.tensor([[4, 4, 1]]), torch.tensor([2]), torch.tensor([2])).tolist() == [True]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_text_term_is_label_smoothed_cross_entropy(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 7).to(dtype)
    targets = torch.tensor([[4, 5, 2], [6, 2, 1]])
    loss, nll = text_term(logits, targets, label_smoothing=0.1, pad=1)
    assert loss.dtype == torch.float32
    flat, gold = logits.float().flatten(0, 1), targets.flatten()
    assert nll.item() == pytest.approx(
        F.cross_entropy(flat, gold, ignore_index=1, reduction="sum").item(), rel=1e-5
    )
    uniform = -flat.log_softmax(-1)[gold != 1].sum()
    # fairseq spreads the mass over the other symbols
    expected = (1 - 0.1 - 0.1 / 6) * nll + 0.1 / 6 * uniform
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_rdrop_is_the_symmetric_divergence_of_both_halves() -> None:
    torch.manual_seed(0)
    logits = torch.randn(4, 3, 5)
    padding = torch.tensor([[False, False, True], [False, False, False]]).repeat(2, 1)
    first, second = logits.log_softmax(-1).chunk(2)
    expected = 0.0
    for row, position in [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]:
        p, q = first[row, position], second[row, position]
        expected += 0.5 * ((p.exp() * (p - q)).sum() + (q.exp() * (q - p)).sum()).item()
    assert rdrop_term(logits, padding).item() == pytest.approx(expected, rel=1e-5)
    assert rdrop_term(logits[:2].repeat(2, 1, 1), padding).item() == pytest.approx(0.0, abs=1e-6)
