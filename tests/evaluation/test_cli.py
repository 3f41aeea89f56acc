"""`echostream-eval`: SimulEval with the metrics of the task, unless others are given."""

import sys
from pathlib import Path

import pytest
import simuleval.utils.agent
from simuleval.utils.agent import get_agent_class_from_string

from echostream.evaluation import cli
from echostream.evaluation.cli import AGENTS, SPEECH_LATENCIES, TEXT_LATENCIES, Kind, chosen_options, main
from tests.evaluation.conftest import RunSimulEval, read_scores

AWARE_ONLY = {"ProcessingRTF"}
AWARE = ["--computation-aware"]
SPEECH_QUALITIES = ["ASR_BLEU", "ASR_BLEU_NO_SILENCE"]
ECHO = ("--asr-command", "sh -c 'echo one two three end'")


def columns(latencies: tuple[str, ...]) -> set[str]:
    return {*latencies, *(name + "_CA" for name in latencies if name not in AWARE_ONLY)}


def test_speech_has_all_metrics(run_simuleval: RunSimulEval) -> None:
    output = run_simuleval("ScriptedSpeechAgent", *ECHO, main=main)
    scores = read_scores(output)
    assert set(scores) == {"ASR_BLEU", "ASR_BLEU_NO_SILENCE"} | columns(SPEECH_LATENCIES)
    assert scores["ASR_BLEU"] == pytest.approx(100)
    assert (scores["StartOffset"], scores["DiscontinuityNum"]) == (500, 2)
    assert scores["StartOffset_CA"] > 500
    names = {path.name for path in output.iterdir()}
    assert names >= {"instances.log", "scores.tsv", "metrics.tsv", "config.yaml", "wavs", "asr_bleu.json"}


def test_text_has_all_metrics(run_simuleval: RunSimulEval) -> None:
    scores = read_scores(run_simuleval("ScriptedTextAgent", main=main))
    assert set(scores) == {"BLEU", "CHRF"} | columns(TEXT_LATENCIES)


def test_given_options_win(run_simuleval: RunSimulEval) -> None:
    given: tuple[str, ...] = ("--no-computation-aware", "--latency-metrics", "AL", "--quality-metrics", "WER")
    assert set(read_scores(run_simuleval("ScriptedTextAgent", *given, main=main))) == {"AL", "WER"}
    given = ("--quality-metrics=BLEU", "--latency-metrics=AL")
    scores = read_scores(run_simuleval("ScriptedSpeechAgent", *given, main=main))
    assert set(scores) == {"BLEU", "AL", "AL_CA"}
    # Speech without a recogniser: no quality at all.
    given = ("--latency-metrics=AL", "--quality-metrics")
    assert set(read_scores(run_simuleval("ScriptedSpeechAgent", *given, main=main))) == {"AL", "AL_CA"}


def test_a_log_is_scored_again(run_simuleval: RunSimulEval, capsys: pytest.CaptureFixture[str]) -> None:
    output = run_simuleval("ScriptedTextAgent", main=main)
    before = read_scores(output)
    capsys.readouterr()
    main(["--score-only", "--output", str(output), "--task", "asr", "--latency-metrics", "AL"])
    assert capsys.readouterr().out.split()[:3] == ["WER", "AL", "AL_CA"]
    main(["--score-only", "--output", str(output), "--latency-metrics", "LAAL", "--no-computation-aware"])
    names, values = capsys.readouterr().out.strip().splitlines()
    assert names.split() == ["BLEU", "CHRF", "LAAL"]
    assert [float(value) for value in values.split()[1:]] == [before[name] for name in names.split()]


def test_a_recogniser_that_is_missing_is_an_error_before_the_evaluation(
    run_simuleval: RunSimulEval, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run_simuleval("ScriptedSpeechAgent", "--asr-command", "no-such-program", main=main)
    assert "error: --asr-command: there is no program no-such-program" in capsys.readouterr().err
    assert not (tmp_path / "output").exists()


def test_each_task_is_an_agent() -> None:
    for name in AGENTS.values():
        assert get_agent_class_from_string(name).target_type in ("text", "speech")


@pytest.mark.parametrize(
    ("arguments", "qualities", "others"),
    [
        (["--task", "s2st"], SPEECH_QUALITIES, [*AWARE, "--asr-model", "whisper"]),
        (["--task", "s2tt"], ["BLEU", "CHRF"], AWARE),
        (["--task", "asr"], ["WER"], AWARE),
        (["--task", "asr", "--no-computation-aware"], ["WER"], []),
        (["--agent", "agent/speech_to_text.asr.echostream.agent.py"], ["WER"], AWARE),
        (["--task", "tts", "--asr-model", "pocketsphinx"], SPEECH_QUALITIES, AWARE),
    ],
)
def test_metrics_follow_the_task(
    arguments: list[str], qualities: list[str], others: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def simuleval_main() -> None:
        words = sys.argv[1:]
        first = words.index("--quality-metrics") + 1
        assert words[first : first + len(qualities) + len(others)] == [*qualities, *others]
        assert words.count("--agent-class") + words.count("--agent") == 1
        called.append(words)

    called: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.setattr(cli.simuleval.cli, "main", simuleval_main)
    simuleval.utils.agent.EVALUATION_SYSTEM_LIST.clear()
    main(arguments)
    assert len(called) == 1
    assert not simuleval.utils.agent.EVALUATION_SYSTEM_LIST


def test_text_to_text_is_ideal_only() -> None:
    assert "--computation-aware" not in chosen_options(Kind("text", "text"), [])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--help"], "usage: echostream-eval"),
        (["--source", "a"], "say what to evaluate: --task"),
        (["--task", "s2t"], "invalid choice: 's2t'"),
    ],
)
def test_usage(
    arguments: list[str],
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["pytest"])
    simuleval.utils.agent.EVALUATION_SYSTEM_LIST.clear()
    with pytest.raises(SystemExit):
        main(arguments)
    captured = capsys.readouterr()
    assert text in captured.out + captured.err


def test_score_only_needs_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["pytest"])
    with pytest.raises(FileNotFoundError, match="--score-only needs --output"):
        main(["--score-only", "--output", str(tmp_path)])


def test_modes_without_an_agent_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["--remote-eval", "--output", "out"]
    called: list[list[str]] = []

    def record() -> None:
        called.append(sys.argv[1:])

    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.setattr(cli.simuleval.cli, "main", record)
    main(given)
    assert called == [given]
