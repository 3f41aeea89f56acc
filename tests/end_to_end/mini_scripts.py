"""Runs the scripts of the mini experiment, for their tests."""

import os
import subprocess
import sys
from pathlib import Path

MINI_SCRIPTS = Path(__file__).resolve().parents[2] / "scripts" / "mini"


def run(script: str, runs: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    settings = {"RUNS": str(runs), "OMP_NUM_THREADS": "1", "ECHOSTREAM_VENV": sys.prefix, **variables}
    return subprocess.run(
        [str(MINI_SCRIPTS / script), *arguments],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )


def succeed(script: str, runs: Path, *arguments: str, **variables: str) -> str:
    result = run(script, runs, *arguments, **variables)
    assert result.returncode == 0, (result.stdout + result.stderr)[-6000:]
    return result.stdout
