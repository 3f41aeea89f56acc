"""BLEU, chrF and word error rate as sums over utterances, for the bootstrap.

Dimensions:
    N: utterances, R: draws.
"""

from collections import Counter
from collections.abc import Sequence

import editdistance
import numpy as np
from sacrebleu.metrics.bleu import BLEU

from echostream.evaluation.bootstrap import Array, Measure, ratio_measure

DEFAULT_TOKENIZER = "13a"
BLEU_ORDER = 4
CHRF_ORDER = 6
CHRF_BETA = 2


def bleu_measure(
    hypotheses: Sequence[str], references: Sequence[str], tokenizer: str = DEFAULT_TOKENIZER
) -> Measure:
    """Corpus BLEU as sacreBLEU computes it by default, from the n-gram counts of each sentence."""
    metric = BLEU(tokenize=tokenizer, effective_order=True)  # what sentences ask for; counts are the same
    rows = []
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        score = metric.sentence_score(hypothesis, [reference])
        rows.append([score.sys_len, score.ref_len, *score.counts, *score.totals])
    return Measure(np.array(rows, dtype=np.float64), _bleu)


def _bleu(sums: Array) -> Array:
    return np.array([_bleu_of(row.astype(int).tolist()) for row in sums])


def _bleu_of(sums: list[int]) -> float:
    system_length, reference_length, *counts = sums
    correct, total = counts[:BLEU_ORDER], counts[BLEU_ORDER:]
    lengths = (system_length, reference_length)
    return float(BLEU.compute_bleu(correct, total, *lengths, smooth_method="exp").score)


def chrf_measure(hypotheses: Sequence[str], references: Sequence[str]) -> Measure:
    """Corpus chrF2 as sacreBLEU computes it by default.

    Reference: Popović, "chrF: character n-gram F-score for automatic MT evaluation", WMT 2015.
    """
    rows = [_chrf_counts(*pair) for pair in zip(hypotheses, references, strict=True)]
    return Measure(np.array(rows, dtype=np.float64), _chrf)


def _chrf_counts(hypothesis: str, reference: str) -> list[int]:
    """For each order the number of n-grams in both texts, and of those they share; spaces do not count."""
    ours, theirs = "".join(hypothesis.split()), "".join(reference.split())
    counts = []
    for order in range(1, CHRF_ORDER + 1):
        own = Counter(ours[i : i + order] for i in range(len(ours) - order + 1))
        other = Counter(theirs[i : i + order] for i in range(len(theirs) - order + 1))
        # As in sacreBLEU, a hypothesis counts nothing in an order for which its reference is too short.
        counts += [own.total() if other else 0, other.total(), (own & other).total()]
    return counts


def _chrf(sums: Array) -> Array:
    """F-score of precision and recall, each the mean over the orders that both sides have, [R]."""
    own, other, shared = (sums[:, first::3] for first in range(3))
    has_both = (own > 0) & (other > 0)
    orders = np.maximum(has_both.sum(axis=1), 1)
    precision, recall = (
        np.where(has_both, shared / np.maximum(total, 1), 0.0).sum(axis=1) / orders for total in (own, other)
    )
    weight = CHRF_BETA**2
    below = weight * precision + recall
    score: Array = 100 * (1 + weight) * precision * recall / np.where(below > 0, below, 1.0)
    return score


def wer_measure(hypotheses: Sequence[str], references: Sequence[str]) -> Measure:
    """Word error rate of the corpus in per cent."""
    pairs = [(left.split(), right.split()) for left, right in zip(hypotheses, references, strict=True)]
    errors = np.array([editdistance.eval(*pair) for pair in pairs], dtype=np.float64)
    num_words = np.array([len(reference) for _, reference in pairs], dtype=np.float64)
    return ratio_measure(errors, num_words, scale=100.0)
