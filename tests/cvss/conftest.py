"""The look-alike downloads and models, made once; and the whole pipeline, run once on them."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from echostream.cvss import prepare
from tests.cvss.look_alike import LookAlike, build
from tests.cvss.tiny_hubert import write_checkpoint, write_kmeans

PREPARE = Path(__file__).resolve().parents[2] / "scripts" / "fr-en" / "prepare.sh"


@dataclass(frozen=True)
class Downloads:
    """What a user has before the first step."""

    corpus: LookAlike
    hubert: Path
    kmeans: Path

    def variables(self, output: Path, **changes: str) -> dict[str, str]:
        """The environment of prepare.sh."""
        own = {
            "DATA": str(output),
            "COVOST_ROOT": str(self.corpus.covost_root),
            "CVSS_ROOT": str(self.corpus.cvss_root),
            "HUBERT_PATH": str(self.hubert),
            "KMEANS_PATH": str(self.kmeans),
            "VOCAB_SIZE": "80",
            "NUM_WORKERS": "1",
            "DEVICE": "cpu",
            "ECHOSTREAM_VENV": sys.prefix,
        }
        return {**os.environ, **own, **changes}


def dry_run(variables: Mapping[str, str], *arguments: str) -> list[list[str]]:
    """The arguments of echostream.cvss.prepare in the commands that prepare.sh would run."""
    command = [str(PREPARE), "--dry-run", *arguments]
    result = subprocess.run(command, env=dict(variables), capture_output=True, text=True, check=True)
    lines = [shlex.split(line) for line in result.stdout.splitlines()]
    assert all(line[:3] == ["python", "-m", "echostream.cvss.prepare"] for line in lines), result.stdout
    return [line[3:] for line in lines]


def run_steps(variables: Mapping[str, str], *steps: str) -> list[int]:
    """Run what prepare.sh would run, in this process; returns the exit codes."""
    return [prepare.main(arguments) for arguments in dry_run(variables, *steps)]


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Downloads:
    root = tmp_path_factory.mktemp("downloads")
    hubert = write_checkpoint(root / "mhubert.pt")
    write_kmeans(root / "km.bin")
    return Downloads(build(root), hubert, root / "km.bin")


@pytest.fixture(scope="session")
def prepared(downloads: Downloads, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that all steps make."""
    output = tmp_path_factory.mktemp("prepared") / "fr-en"
    assert run_steps(downloads.variables(output)) == [0] * 7
    return output
