"""Checkpoints of both architectures, sources of several kinds, and SimulEval in this process."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import simuleval.cli
import simuleval.utils.agent
import soundfile

from tests.inference.fakes import noise
from tests.inference.tiny_checkpoint import TinyCheckpoint, make_checkpoint

ROOT = Path(__file__).resolve().parents[2]
RunAgent = Callable[..., Path]


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TinyCheckpoint]:
    """By architecture."""
    folder = tmp_path_factory.mktemp("agent_checkpoints")
    return {arch: make_checkpoint(folder / arch, arch) for arch in ("echostream", "streamspeech")}


def model_options(tiny: TinyCheckpoint) -> list[str]:
    """What every agent needs on the command line."""
    paths = ["--model-path", str(tiny.checkpoint), "--data-bin", str(tiny.folder)]
    return [*paths, "--config-yaml", tiny.config_name, "--multitask-config-yaml", tiny.multitask_name]


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
    """Run `simuleval` with an agent on the sources; returns the output folder."""

    def run(agent: list[str], tiny: TinyCheckpoint, *options: str, segment_ms: int = 320) -> Path:
        (tmp_path / "source.txt").write_text("".join(f"{path}\n" for path in sources))
        (tmp_path / "target.txt").write_text("le chat dort\n" * len(sources))
        output = tmp_path / "output"
        arguments = ["simuleval", *agent, *model_options(tiny), "--source", str(tmp_path / "source.txt")]
        arguments += ["--target", str(tmp_path / "target.txt"), "--output", str(output), "--no-progress-bar"]
        arguments += ["--source-segment-size", str(segment_ms), "--max-len", "15", *options]
        monkeypatch.setattr("sys.argv", arguments)
        simuleval.utils.agent.EVALUATION_SYSTEM_LIST.clear()
        simuleval.cli.main()
        return output

    return run
