"""The paired bootstrap: each draw recomputed, identical and shifted systems, coverage."""

import editdistance
import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from echostream.evaluation.bootstrap import (
    Drawn,
    Measure,
    QualityCurve,
    draw_counts,
    mean_measure,
    mean_of,
)
from echostream.evaluation.text_statistics import bleu_measure, chrf_measure, wer_measure

REFERENCES = [
    "the cat sits on the mat near the old door",
    "a dog, they say, runs home",
    "we would like two coffees please",
    "yes",
    "no bird sings here today",
]
HYPOTHESES = [
    "the cat sat on the mat near an old door",
    "a dog they say runs",
    "we like two coffees please",
    "",
    "no bird sings here today at all",
]


def drawn(texts: list[str], counts: np.ndarray) -> list[str]:
    return [text for text, count in zip(texts, counts, strict=True) for _ in range(int(count))]


def word_error_rate(hypotheses: list[str], references: list[str]) -> float:
    errors = sum(editdistance.eval(a.split(), b.split()) for a, b in zip(hypotheses, references, strict=True))
    return 100 * errors / sum(len(text.split()) for text in references)


def test_scores_of_draws_are_those_of_drawn_corpora() -> None:
    counts = draw_counts(len(REFERENCES), num_draws=40, seed=3)
    by_hand = {
        bleu_measure: lambda ours, theirs: BLEU().corpus_score(ours, [theirs]).score,
        chrf_measure: lambda ours, theirs: CHRF().corpus_score(ours, [theirs]).score,
        wer_measure: word_error_rate,
    }
    for make, score in by_hand.items():
        measure: Measure = make(HYPOTHESES, REFERENCES)
        assert measure.value == pytest.approx(score(HYPOTHESES, REFERENCES), abs=1e-9), make.__name__
        expected = [score(drawn(HYPOTHESES, row), drawn(REFERENCES, row)) for row in counts]
        assert measure.drawn(counts).draws == pytest.approx(expected, abs=1e-9), make.__name__
    latencies = np.array([100.0, np.nan, 300.0, 250.0, 50.0])
    means = [np.nanmean(np.repeat(latencies, row.astype(int))) for row in counts]
    assert mean_measure(latencies).drawn(counts).draws == pytest.approx(means)


def test_nothing_right_and_nothing_written() -> None:
    for make in (bleu_measure, chrf_measure):
        assert make(["x y z", ""], ["a b c", "d e"]).value == 0
        assert make(["", ""], ["a b c", "d e"]).value == 0


def test_identical_systems_do_not_differ() -> None:
    counts = draw_counts(len(REFERENCES))
    one, other = (bleu_measure(HYPOTHESES, REFERENCES).drawn(counts) for _ in range(2))
    found = (one - other).interval()
    assert (found.low, found.high) == (0.0, 0.0)
    assert not found.excludes_zero


def test_a_shift_is_found_only_when_pairs_are_kept() -> None:
    generator = np.random.default_rng(0)
    hard = generator.normal(1000, 400, size=200)  # what makes an utterance slow is common to both systems
    faster = hard - 20 + generator.normal(0, 10, size=200)
    counts = draw_counts(200)
    ours, theirs = mean_measure(faster).drawn(counts), mean_measure(hard).drawn(counts)
    paired = (ours - theirs).interval()
    assert paired.value == pytest.approx(faster.mean() - hard.mean())
    assert paired.excludes_zero
    assert paired.low < -20 < paired.high
    assert paired.high - paired.low < 5
    unpaired = ours - mean_measure(hard).drawn(draw_counts(200, seed=9))
    assert not unpaired.interval().excludes_zero


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    generator = np.random.default_rng(0)
    counts = draw_counts(60, num_draws=500)
    hits = 0
    for _ in range(200):
        values = generator.exponential(100.0, size=60)
        found = mean_measure(values).drawn(counts).interval()
        hits += found.low <= 100.0 <= found.high
    assert 0.88 <= hits / 200 <= 0.98


def test_draws_are_fixed_by_the_seed_and_whole() -> None:
    counts = draw_counts(7, num_draws=50)
    assert (counts == draw_counts(7, num_draws=50)).all()
    assert (counts != draw_counts(7, num_draws=50, seed=2)).any()
    assert (counts.sum(axis=1) == 7).all()


def figures(*rows: list[float]) -> list[Drawn]:
    return [Drawn(row[0], np.array(row[1:])) for row in rows]


def test_quality_at_a_latency_lies_on_the_line_between_runs() -> None:
    # Of three runs: the corpus, and one draw in which the order of the latencies is another one.
    curve = QualityCurve(figures([1000, 400], [500, 1000], [2000, 900]), figures([20, 1], [10, 4], [30, 2]))
    [between, beyond] = [curve.quality_at(figure) for figure in figures([750, 950], [100, 5000])]
    assert (between.value, *between.draws) == pytest.approx((15.0, 3.0))
    assert (beyond.value, *beyond.draws) == pytest.approx((10.0, 4.0))
    assert curve.mean_quality(1000, 2000).value == pytest.approx(25.0)


def test_the_mean_of_several_runs() -> None:
    mean = mean_of(figures([1, 2], [3, 6]))
    assert (mean.value, *mean.draws) == (2.0, 4.0)


def test_what_cannot_be_computed_is_an_error() -> None:
    with pytest.raises(ValueError, match="no utterances"):
        draw_counts(0)
    with pytest.raises(ValueError, match="draws of 3 utterances do not fit 5"):
        bleu_measure(HYPOTHESES, REFERENCES).drawn(draw_counts(3))
    silent = mean_measure(np.array([np.nan, np.nan, 1.0]))
    with pytest.raises(ValueError, match=r"undefined in .* of 2000 draws"):
        silent.drawn(draw_counts(3)).interval()
