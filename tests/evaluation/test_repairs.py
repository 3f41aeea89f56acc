"""SimulEval's figures for speech output, against the definitions and against the wall clock."""

import importlib.metadata
import inspect
import sys
from argparse import ArgumentError, ArgumentParser
from statistics import mean
from typing import Any

import pandas
import pytest
import simuleval.cli
import yaml
from simuleval import options
from simuleval.data.dataloader import s2t_dataloader
from simuleval.evaluator.evaluator import SentenceLevelEvaluator
from simuleval.evaluator.instance import LogInstance

from echostream.evaluation import repairs
from tests.evaluation import metrics_by_definition as definition
from tests.evaluation.conftest import RunSimulEval, read_log, read_scores
from tests.evaluation.scripted_agent import WORK_SECONDS, ScriptedSpeechAgent

METRICS = [
    "AL",
    "LAAL",
    "AP",
    "DAL",
    "ATD",
    "NumChunks",
    "StartOffset",
    "EndOffset",
    "RTF",
    "DiscontinuitySum",
    "DiscontinuityAve",
    "DiscontinuityNum",
]
NUM_REFERENCE_WORDS = 4


def by_definition(info: dict[str, Any], times: list[float], elapsed: list[float] | None) -> dict[str, float]:
    source_ms, durations = info["source_length"], info["durations"]
    pauses, end = definition.play(times, durations)
    longest = max(len(times), NUM_REFERENCE_WORDS)
    return {
        "AL": definition.lagging(times, source_ms, NUM_REFERENCE_WORDS / source_ms),
        "LAAL": definition.lagging(times, source_ms, longest / source_ms),
        "AP": sum(times) / (source_ms * NUM_REFERENCE_WORDS),
        "DAL": definition.differentiable_lagging(times, source_ms),
        "ATD": definition.average_token_delay(info["delays"], elapsed, durations),
        "NumChunks": float(len(times)),
        "StartOffset": times[0],
        "EndOffset": end - source_ms,
        "RTF": end / source_ms,
        "DiscontinuitySum": sum(pauses),
        "DiscontinuityAve": mean(pauses) if pauses else 0.0,
        "DiscontinuityNum": float(len(pauses)),
    }


def test_all_metrics_of_speech_output(run_simuleval: RunSimulEval) -> None:
    ScriptedSpeechAgent.answered.clear()
    ScriptedSpeechAgent.first_call.clear()
    output = run_simuleval(
        "ScriptedSpeechAgent",
        "--quality-metrics",
        "BLEU",
        "--computation-aware",
        "--latency-metrics",
        *METRICS,
    )
    scores, log = read_scores(output), read_log(output)
    assert [info["delays"] for info in log] == [[500, 750, 1750, 2000], [500, 750, 1750, 2500]]
    assert all(info["durations"] == [300, 700, 200, 100] for info in log)
    ideal = [by_definition(info, info["delays"], None) for info in log]
    aware = [by_definition(info, info["elapsed"], info["elapsed"]) for info in log]
    for name in METRICS:
        assert scores[name] == pytest.approx(mean(value[name] for value in ideal), abs=2e-3), name
        assert scores[name + "_CA"] == pytest.approx(mean(value[name] for value in aware), abs=2e-3), name
    assert scores["StartOffset"] == 500
    assert scores["EndOffset"] == 100
    assert scores["DiscontinuityNum"] == 2  # 1500 to 1750, and 1950 to 2000 or to 2500
    assert scores["DiscontinuitySum"] == (250 + 50 + 250 + 550) / 2
    assert scores["DiscontinuityAve"] == (150 + 400) / 2
    assert scores["RTF"] == pytest.approx((2100 / 2000 + 2600 / 2500) / 2, abs=1e-3)
    for info, answers, first in zip(
        log, ScriptedSpeechAgent.answered, ScriptedSpeechAgent.first_call, strict=True
    ):
        for delay, elapsed, answer in zip(info["delays"], info["elapsed"], answers, strict=True):
            assert elapsed - delay == pytest.approx(1000 * (answer - first), abs=20)
            assert elapsed - delay >= 1000 * WORK_SECONDS
    assert scores["AL_CA"] > scores["AL"] + 1000 * WORK_SECONDS
    assert pandas.isna(scores["BLEU"])


def test_metrics_table_keeps_both_kinds(run_simuleval: RunSimulEval) -> None:
    output = run_simuleval(
        "ScriptedSpeechAgent", "--computation-aware", "--latency-metrics", "StartOffset", seconds=(2.0,)
    )
    table = pandas.read_csv(output / "metrics.tsv", sep="\t")
    assert table["StartOffset"].tolist() == [500.0]
    assert table["StartOffset_CA"].iloc[0] >= 500 + 2 * 1000 * WORK_SECONDS


def test_text_output_keeps_its_ideal_latency(run_simuleval: RunSimulEval) -> None:
    output = run_simuleval(
        "ScriptedTextAgent", "--computation-aware", "--latency-metrics", "AL", "StartOffset"
    )
    scores, log = read_scores(output), read_log(output)
    assert [info["delays"] for info in log] == [[250, 750, 750, 2000], [250, 750, 750, 2500]]
    assert scores["BLEU"] == pytest.approx(100)
    assert scores["StartOffset"] == 250
    for suffix, key in (("", "delays"), ("_CA", "elapsed")):
        expected = mean(
            definition.lagging(info[key], info["source_length"], 4 / info["source_length"]) for info in log
        )
        assert scores["AL" + suffix] == pytest.approx(expected, abs=2e-3)
    assert scores["AL_CA"] > scores["AL"] + 1000 * WORK_SECONDS
    config = yaml.safe_load((output / "config.yaml").read_text())
    assert config == {"source_type": "speech", "target_type": "text"}


def test_scoring_a_log_gives_the_same_table(
    run_simuleval: RunSimulEval, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--computation-aware", "--latency-metrics", *METRICS]
    output = run_simuleval("ScriptedSpeechAgent", *options)
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["simuleval", "--score-only", "--output", str(output), *options])
    with pandas.option_context("display.width", None, "display.max_columns", None):
        simuleval.cli.main()
    names, values = capsys.readouterr().out.strip().splitlines()[-2:]
    printed = dict(zip(names.split(), values.split()[1:], strict=True))
    for name, value in read_scores(output).items():
        assert float(printed[name]) == pytest.approx(value, nan_ok=True)


def test_speech_metric_of_text_output_is_an_error(run_simuleval: RunSimulEval) -> None:
    with pytest.raises(ValueError, match="DiscontinuitySum is a metric of speech output"):
        run_simuleval("ScriptedTextAgent", "--latency-metrics", "DiscontinuitySum")


def test_repairs_are_for_this_version_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert importlib.metadata.version("simuleval") == repairs.SIMULEVAL_VERSION
    before = SentenceLevelEvaluator.from_args
    repairs.apply()
    assert SentenceLevelEvaluator.from_args == before
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.2.0")
    with pytest.raises(RuntimeError, match=r"simuleval==1\.1\.4"):
        repairs.apply()


def test_the_faults_are_still_there() -> None:
    """When this fails, SimulEval was repaired, and the repair it names can go."""
    from simuleval.evaluator.instance import SpeechOutputInstance, SpeechToSpeechInstance

    instance = SpeechToSpeechInstance.__new__(SpeechToSpeechInstance)
    instance.index, instance.prediction_list, instance.delays, instance.durations = 0, [], [1.0], []
    instance.elapsed, instance.target_sample_rate, instance.reference = [5.0], 16000, ""
    instance.sample_list, instance.sample_rate_value = [0.0], 16000

    class Loader:
        def get_source_audio_path(self, index: int) -> str:
            return "a.wav"

    class Args:
        output = "."

    instance.dataloader, instance.args = Loader(), Args()
    info = SpeechOutputInstance.summarize(instance)
    assert info["elapsed"] == [], "RepairedSpeechToSpeechInstance can go"
    assert "silences" not in info
    assert "samples.tolist()" in inspect.getsource(s2t_dataloader), "SourceAudio can go"
    parser = ArgumentParser(exit_on_error=False)
    inspect.unwrap(options.add_evaluator_args)(parser)
    with pytest.raises(ArgumentError, match="expected at least one argument"):  # or allow_no_quality can go
        parser.parse_args(["--quality-metrics"])
    assert not isinstance(LogInstance('{"index": 0, "durations": []}'), SpeechOutputInstance), (
        "SpeechLogInstance can go"
    )
