"""Speech made from text in SimulEval: what is sent, when it counts as there, and which files are refused."""

from argparse import Namespace
from pathlib import Path

import pytest
import simuleval.cli
import simuleval.utils.agent
from simuleval.agents import TextToSpeechAgent
from simuleval.agents.actions import Action, ReadAction, WriteAction
from simuleval.agents.states import AgentStates
from simuleval.data.dataloader import build_dataloader
from simuleval.data.segments import SpeechSegment

from echostream.evaluation.text_to_speech import (
    SOURCE_WORD_MS,
    TextToSpeechDataloader,
    TextToSpeechInstance,
    add_word_args,
)
from tests.evaluation.conftest import read_log, read_scores

RATE = 16000


class PacedAgent(TextToSpeechAgent):
    """Says every second delivery, 100 ms a word; remembers what it got."""

    heard: list[str] = []  # noqa: RUF012 (the test reads it from the class)
    add_args = staticmethod(add_word_args)

    def policy(self, states: AgentStates | None = None) -> Action:
        finished = self.states.source_finished
        if len(self.states.source) < 2 and not finished:
            return ReadAction()
        words = [word for part in self.states.source for word in part.split()]
        self.heard.extend(self.states.source)
        self.states.source = []
        content = [0.1] * (len(words) * RATE // 10)
        return WriteAction(SpeechSegment(content=content, sample_rate=RATE, finished=finished), finished)


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> Path:
    output = tmp_path / "output"
    agent = f"{PacedAgent.__module__}.{PacedAgent.__name__}"
    arguments = ["simuleval", "--agent-class", agent, "--output", str(output), "--no-progress-bar", *options]
    monkeypatch.setattr("sys.argv", arguments)
    simuleval.utils.agent.EVALUATION_SYSTEM_LIST.clear()
    PacedAgent.heard.clear()
    simuleval.cli.main()
    return output


def test_delays_are_in_milliseconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.txt").write_text("one two three  four five\n")
    metrics = ["StartOffset", "EndOffset", "ATD", "DiscontinuitySum", "AL"]
    output = run(
        tmp_path,
        monkeypatch,
        *("--source", str(tmp_path / "text.txt"), "--source-type", "text", "--target-type", "speech"),
        *("--computation-aware", "--latency-metrics", *metrics),
    )
    assert PacedAgent.heard == ["one", "two", "three", "four", "five"]
    [info] = read_log(output)
    assert info["delays"] == [600, 1200, 1500]
    assert info["durations"] == [200, 200, 100]
    assert info["source_length"] == 5 * SOURCE_WORD_MS == 1500
    assert info["reference"] == info["source"] == "one two three four five"
    scores = read_scores(output)
    assert scores["StartOffset"] == 600
    assert scores["EndOffset"] == 100
    assert scores["DiscontinuitySum"] == 400 + 100
    assert scores["AL"] == pytest.approx((600 + (1200 - 300) + (1500 - 600)) / 3)
    assert 600 < scores["StartOffset_CA"] < 1600


def test_words_can_come_several_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.txt").write_text("one two three four five\n\n")
    output = run(
        tmp_path,
        monkeypatch,
        *("--source", str(tmp_path / "text.txt"), "--source-segment-size", "2", "--source-word-ms", "250"),
        *("--no-scoring",),
    )
    assert PacedAgent.heard == ["one two", "three four", "five"]
    first, empty = read_log(output)
    assert first["delays"] == [1000, 1250]
    assert (empty["delays"], empty["source_length"]) == ([], 0)


def options(tmp_path: Path, **changes: object) -> Namespace:
    values = {"source": str(tmp_path / "a.txt"), "target": None, "source_word_ms": 300, "dataloader": None}
    return Namespace(**{**values, "source_type": "text", "target_type": "speech", **changes})


def test_files_must_correspond(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("le café\nzwei\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text("one\n")
    loader = build_dataloader(options(tmp_path))
    assert isinstance(loader, TextToSpeechDataloader)
    assert (loader[0]["source"], loader[1]["target"]) == (["le", "café"], "zwei")
    for changes, message in (
        ({"target": str(tmp_path / "b.txt")}, "has 2 lines and .* has 1"),
        ({"source": None}, "--source"),
        ({"source_word_ms": 0}, "--source-word-ms must be at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            build_dataloader(options(tmp_path, **changes))
    for option in ("source", "target"):
        with pytest.raises(FileNotFoundError, match=f"none: no such file; check --{option}"):
            build_dataloader(options(tmp_path, **{option: "none"}))


def test_simuleval_still_lacks_it() -> None:
    """When this fails, SimulEval has the pair of its own, and this one can go."""
    import simuleval.data.dataloader as dataloaders
    from simuleval.evaluator.instance import INSTANCE_TYPE_DICT

    assert not hasattr(dataloaders, "TextToSpeechDataloader")
    assert dataloaders.DATALOADER_DICT["text-to-speech"] is TextToSpeechDataloader
    assert INSTANCE_TYPE_DICT["text-speech"] is TextToSpeechInstance
