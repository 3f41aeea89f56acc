"""BLEU, chrF and WER against sums done by hand; they raise where SimulEval returns 0."""

import json
import math
from pathlib import Path

import pytest
from simuleval.evaluator.scorers.quality_scorer import QUALITY_SCORERS_DICT

from echostream.evaluation.text_scorers import CHRFScorer, StrictBLEUScorer, StrictWERScorer
from tests.evaluation.conftest import RunSimulEval, read_scores


class TextInstance:
    """An instance of text output."""

    def __init__(self, prediction: object, reference: str) -> None:
        self.prediction = prediction
        self.reference = reference


def instances(*pairs: tuple[object, str]) -> dict[int, TextInstance]:
    return {index: TextInstance(*pair) for index, pair in enumerate(pairs)}


def test_bleu_by_hand() -> None:
    # 7 of 8 words, 5 of 6 pairs, 3 of 4 triples and 1 of 2 quadruples are right; 8 words stand for 9.
    precisions = (7 / 8) * (5 / 6) * (3 / 4) * (1 / 2)
    expected = 100 * math.exp(1 - 9 / 8) * precisions ** (1 / 4)
    score = StrictBLEUScorer()(instances(("a b c d e", "a b c d f"), ("x y z", "x y z w")))
    assert score == pytest.approx(expected)
    assert StrictBLEUScorer()(instances(("a b c d e", "a b c d f"))) == pytest.approx(100 * 0.2**0.25)


def test_chrf_by_hand() -> None:
    # "ab c" for "abc d", spaces apart: all of its letters, pairs and triples are right, and it has no
    # quadruple. They are 3 of 4 letters, 2 of 3 pairs and 1 of 2 triples. Recall counts double.
    recall = (3 / 4 + 2 / 3 + 1 / 2) / 3
    score = CHRFScorer()(instances(("ab c", "abc d")))
    assert score == pytest.approx(100 * 5 * recall / (4 + recall))
    # 2 of 3 letters, 1 of 2 pairs, 0 of 1 triple, on both sides.
    assert CHRFScorer()(instances(("abc", "abd"))) == pytest.approx(100 * (2 / 3 + 1 / 2) / 3)


def test_wer_by_hand() -> None:
    # A substitution in 5 words; a deletion and an insertion in 3; nothing written for 2.
    pairs = (("a b c d e", "a b c d f"), ("y x w", "x y w"), ("", "p q"))
    assert StrictWERScorer()(instances(*pairs)) == pytest.approx(100 * (1 + 2 + 2) / 10)
    assert StrictWERScorer()(instances(("a b c", "a"))) == pytest.approx(200)


def test_errors_are_not_zeros() -> None:
    with pytest.raises((TypeError, AttributeError)):
        StrictBLEUScorer()(instances((None, "a")))
    with pytest.raises(ValueError, match="no words"):
        StrictWERScorer()(instances(("a", " ")))
    assert QUALITY_SCORERS_DICT["BLEU"] is StrictBLEUScorer
    assert QUALITY_SCORERS_DICT["WER"] is StrictWERScorer


def test_signatures_are_kept(run_simuleval: RunSimulEval, tmp_path: Path) -> None:
    output = run_simuleval(
        "ScriptedTextAgent", *("--quality-metrics", "BLEU", "CHRF", "WER", "--latency-metrics", "AL")
    )
    scores = read_scores(output)
    assert [scores[name] for name in ("BLEU", "CHRF", "WER")] == pytest.approx([100, 100, 0])
    for name, part in (("bleu", "tok:13a"), ("chrf", "nc:6"), ("wer", "case and punctuation count")):
        kept = json.loads((output / f"{name}.json").read_text())
        assert kept["score"] == pytest.approx(scores[name.upper()])
        assert part in kept["signature"]


def test_speech_has_no_text(run_simuleval: RunSimulEval) -> None:
    output = run_simuleval("HoldingAgent", "--quality-metrics", "BLEU", "CHRF", "WER", seconds=(0.5,))
    assert all(math.isnan(read_scores(output)[name]) for name in ("BLEU", "CHRF", "WER"))
    assert not list(output.glob("*.json"))
