"""Running SimulEval in this process on small wav files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import simuleval.cli
import simuleval.utils.agent
import soundfile

RunSimulEval = Callable[..., Path]


@pytest.fixture
def run_simuleval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunSimulEval:
    """Evaluate an agent class on sources of the given lengths; returns the output folder."""

    def run(
        agent: str,
        *options: str,
        seconds: tuple[float, ...] = (2.0, 2.5),
        main: Callable[[], None] = simuleval.cli.main,
    ) -> Path:
        names = []
        for index, length in enumerate(seconds):
            path = tmp_path / f"{index}.wav"
            soundfile.write(path, np.zeros(int(16000 * length), dtype=np.float32), 16000)
            names.append(str(path))
        (tmp_path / "source.txt").write_text("\n".join(names) + "\n")
        (tmp_path / "target.txt").write_text("one two three end\n" * len(seconds))
        output = tmp_path / "output"
        arguments = [
            "simuleval",
            "--source",
            str(tmp_path / "source.txt"),
            "--target",
            str(tmp_path / "target.txt"),
        ]
        arguments += ["--source-segment-size", "250", "--output", str(output), "--no-progress-bar"]
        arguments += ["--agent-class", f"tests.evaluation.scripted_agent.{agent}", *options]
        monkeypatch.setattr("sys.argv", arguments)
        simuleval.utils.agent.EVALUATION_SYSTEM_LIST.clear()
        main()
        return output

    return run


def read_log(output: Path) -> list[dict[str, Any]]:
    """instances.log by line."""
    return [json.loads(line) for line in (output / "instances.log").read_text().splitlines()]


def read_scores(output: Path) -> dict[str, float]:
    """scores.tsv by metric."""
    table = pandas.read_csv(output / "scores.tsv", sep="\t")
    return {name: float(table[name].iloc[0]) for name in table.columns}
