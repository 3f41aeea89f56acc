"""Latencies of text output, and processing time, against sums done by hand; `test_repairs` has speech."""

from types import SimpleNamespace

import pandas
import pytest

from echostream.evaluation.latency_scorers import ProcessingRTFScorer
from tests.evaluation.conftest import RunSimulEval, read_log, read_scores
from tests.evaluation.scripted_agent import WORK_SECONDS

# Four words at 250, 750, 750 ms and at the end; sources of 2000 and 2500 ms; four words in the reference.
BY_HAND = {
    "AL": ((250 + 250 - 250 + 500) / 4 + (250 + 125 - 500 + 625) / 4) / 2,  # 500 and 625 ms a reference word
    "LAAL": ((250 + 250 - 250 + 500) / 4 + (250 + 125 - 500 + 625) / 4) / 2,
    "AP": (3750 / (2000 * 4) + 4250 / (2500 * 4)) / 2,
    # In the first, words count from 250, 750, 1250 and 2000: one is not there before 500 ms after the last.
    "DAL": ((250 + 250 + 250 + 500) / 4 + (250 + 250 + 250 + 625) / 4) / 2,
    # Source tokens of 300 ms end at 250 | 550, 750 | 1050 ...: the four words belong to those four.
    "ATD": ((0 + 200 + 0 + 950) / 4 + (0 + 200 + 0 + 1450) / 4) / 2,
    "StartOffset": 250,
    "EndOffset": 0,
    "NumChunks": 4,
    "RTF": 1,
}


def test_latencies_of_text(run_simuleval: RunSimulEval) -> None:
    output = run_simuleval("ScriptedTextAgent", "--computation-aware", "--latency-metrics", *BY_HAND)
    scores = read_scores(output)
    assert {name: scores[name] for name in BY_HAND} == pytest.approx(BY_HAND, abs=6e-4)
    work_ms = 1000 * WORK_SECONDS
    assert scores["StartOffset_CA"] >= 250 + work_ms
    assert scores["EndOffset_CA"] >= (8 + 10) / 2 * work_ms  # 8 and 10 chunks of 250 ms


def test_longer_output_is_no_advantage(run_simuleval: RunSimulEval) -> None:
    """Eight words for four: AL goes down with them, LAAL counts them."""
    output = run_simuleval("TalkativeAgent", "--latency-metrics", "AL", "LAAL", seconds=(2.0,))
    assert read_log(output)[0]["delays"] == [250 * word for word in range(1, 9)]
    scores = read_scores(output)
    assert scores["AL"] == pytest.approx(sum(250 * (word + 1) - 500 * word for word in range(8)) / 8)
    assert scores["LAAL"] == pytest.approx(250)


@pytest.mark.parametrize("agent", ["ScriptedSpeechAgent", "ScriptedTextAgent"])
def test_processing_time(run_simuleval: RunSimulEval, agent: str) -> None:
    output = run_simuleval(agent, "--computation-aware", "--latency-metrics", "ProcessingRTF")
    log, scores = read_log(output), read_scores(output)
    times_ms = [info["processing_ms"] for info in log]
    for info, num_calls in zip(log, (8, 10), strict=True):
        assert 0 <= info["processing_ms"] - 1000 * WORK_SECONDS * num_calls < 100
        # What SimulEval knows of it: until the last output.
        assert info["elapsed"][-1] - info["delays"][-1] == pytest.approx(info["processing_ms"], abs=20)
    assert scores["ProcessingRTF"] == pytest.approx(sum(times_ms) / 4500, abs=1e-3)
    assert "ProcessingRTF_CA" not in scores
    table = pandas.read_csv(output / "metrics.tsv", sep="\t")
    ratios = [times_ms[0] / 2000, times_ms[1] / 2500]
    assert table["ProcessingRTF"].tolist() == pytest.approx(ratios, abs=1e-3)


def test_processing_time_counts_silent_utterances() -> None:
    heard = {
        0: SimpleNamespace(index=0, source_length=1000, processing_ms=100.0, delays=[1000], metrics={}),
        1: SimpleNamespace(index=1, source_length=3000, processing_ms=700.0, delays=[], metrics={}),
        2: SimpleNamespace(index=2, source_length=0, processing_ms=1.0, delays=[], metrics={}),
    }
    assert ProcessingRTFScorer()(heard) == pytest.approx(800 / 4000)
    assert heard[1].metrics == {"ProcessingRTF": pytest.approx(0.7 / 3)}
    with pytest.raises(ValueError, match="no utterance has a source"):
        ProcessingRTFScorer()({2: heard[2]})
    with pytest.raises(ValueError, match="instance 0: the log has no processing_ms"):
        ProcessingRTFScorer()({0: SimpleNamespace(index=0, source_length=1000)})
