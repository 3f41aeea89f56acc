"""New words side by side."""

import pytest

from echostream.agents.text_table import TextTable
from echostream.inference.outputs import StepOutput, TimedWord


def step(heard_ms: int, source: str = "", target: str = "") -> StepOutput:
    words = [tuple(TimedWord(word, heard_ms) for word in text.split()) for text in (source, target)]
    return StepOutput(source_words=words[0], target_words=words[1], heard_ms=heard_ms)


def test_each_step_with_new_words_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    table = TextTable()
    table.add(step(320))
    assert capsys.readouterr().out == ""
    table.add(step(640, "bonjour à tous"))
    table.add(step(960))
    table.add(step(12800, "", "hello everyone"))
    table.reset()
    table.add(step(320, "oui", "yes"))
    gap = " " * 36
    assert capsys.readouterr().out.splitlines() == [
        "",
        "   heard  recognised                          translated",
        "  0.64 s  bonjour à tous",
        f" 12.80 s  {gap}hello everyone",
        "",
        "   heard  recognised                          translated",
        "  0.32 s  oui                                 yes",
    ]


def test_many_words_go_over_several_lines(capsys: pytest.CaptureFixture[str]) -> None:
    TextTable().add(step(2560, "a" * 30 + " b " + "c" * 10, "d"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:] == [
        "  2.56 s  " + "a" * 30 + " b" + " " * 4 + "d",
        "          " + "c" * 10,
    ]
