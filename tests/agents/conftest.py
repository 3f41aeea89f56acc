"""Checkpoints of both architectures, sources of several kinds, and SimulEval in this process."""

import argparse
import json
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simuleval.cli
import simuleval.utils.agent
import soundfile
from simuleval.agents import GenericAgent

from tests.inference.fakes import noise
from tests.inference.text_checkpoint import make_text_checkpoint
from tests.inference.tiny_checkpoint import TinyCheckpoint

ROOT = Path(__file__).resolve().parents[2]
RunAgent = Callable[..., Path]


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TinyCheckpoint]:
    """By architecture."""
    folder = tmp_path_factory.mktemp("agent_checkpoints")
    return {arch: make_text_checkpoint(folder / arch, arch) for arch in ("echostream", "streamspeech")}


def entry_file(name: str) -> list[str]:
    """SimulEval's options for an agent by its entry file."""
    return ["--agent", str(ROOT / "agent" / f"{name}.echostream.agent.py")]


def model_options(tiny: TinyCheckpoint) -> list[str]:
    """What every agent needs on the command line."""
    paths = ["--model-path", str(tiny.checkpoint), "--data-bin", str(tiny.folder)]
    return [*paths, "--config-yaml", tiny.config_name, "--multitask-config-yaml", tiny.multitask_name]


def parse(tiny: TinyCheckpoint, *extra: str, agent: type[GenericAgent]) -> Namespace:
    """An agent's options, as SimulEval parses them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--source-segment-size", type=int, default=320)
    agent.add_args(parser)
    return parser.parse_args([*model_options(tiny), *extra])


def read_log(output: Path) -> list[dict[str, Any]]:
    """instances.log by line."""
    return [json.loads(line) for line in (output / "instances.log").read_text().splitlines()]


def read_lines(path: Path) -> list[str]:
    """Lines of an extra file."""
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def simulate(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """Run `simuleval` with these arguments."""
    monkeypatch.setattr("sys.argv", ["simuleval", *arguments, "--no-progress-bar"])
    simuleval.utils.agent.EVALUATION_SYSTEM_LIST.clear()
    simuleval.cli.main()


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    """A 16 kHz mono file, a 48 kHz stereo one, and one that is too short for a word."""
    paths = [tmp_path / f"{index}.wav" for index in range(3)]
    soundfile.write(paths[0], noise(28000), 16000)
    soundfile.write(paths[1], np.stack([noise(60000, 1), noise(60000, 1)], axis=1), 48000)
    soundfile.write(paths[2], noise(300), 16000)
    return paths


@pytest.fixture
def run_agent(tmp_path: Path, sources: list[Path], monkeypatch: pytest.MonkeyPatch) -> RunAgent:
    """Run `simuleval` with an agent on the sources, or others; returns the output folder."""

    def run(
        agent: list[str],
        tiny: TinyCheckpoint,
        *options: str,
        segment_ms: int = 320,
        wavs: Sequence[Path] = sources,
    ) -> Path:
        (tmp_path / "source.txt").write_text("".join(f"{path}\n" for path in wavs))
        (tmp_path / "target.txt").write_text("le chat dort\n" * len(wavs))
        output = tmp_path / "output"
        files = ["--source", str(tmp_path / "source.txt"), "--target", str(tmp_path / "target.txt")]
        files += ["--output", str(output), "--source-segment-size", str(segment_ms)]
        simulate(monkeypatch, *agent, *model_options(tiny), *files, "--max-len", "15", *options)
        return output

    return run
