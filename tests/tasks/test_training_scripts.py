"""The training scripts: one effective batch on any number of devices, and wrong settings are refused."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts" / "fr-en"
TRAINING_SCRIPTS = ("train.simul-s2st.sh", "train.offline-s2st.sh")


def start(script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    settings = {
        "DATA": "/data",
        "DEVICE": "cuda",
        "NUM_GPUS": "1",
        "ECHOSTREAM_VENV": sys.prefix,
        **variables,
    }
    return subprocess.run(
        [str(SCRIPTS / script), *arguments],
        env={**inherited, **settings},
        capture_output=True,
        text=True,
        check=False,
    )


def command(script: str, *arguments: str, **variables: str) -> list[str]:
    """The command that a dry run prints."""
    result = start(script, "--dry-run", *arguments, **variables)
    assert result.returncode == 0, result.stderr
    return shlex.split(result.stdout)


def value(words: list[str], flag: str) -> str:
    assert words.count(flag) == 1
    return words[words.index(flag) + 1]


@pytest.mark.parametrize("script", TRAINING_SCRIPTS)
@pytest.mark.parametrize(("gpus", "nodes"), [(1, 1), (2, 1), (4, 1), (8, 1), (4, 2)])
def test_effective_batch_is_the_same_on_any_number_of_devices(script: str, gpus: int, nodes: int) -> None:
    words = command(script, NUM_GPUS=str(gpus), NUM_NODES=str(nodes), MASTER="node1:29500")
    world_size = gpus * nodes
    assert int(value(words, "--distributed-world-size")) == world_size
    frames = int(value(words, "--max-tokens")) * int(value(words, "--update-freq")) * world_size
    assert frames == 22000 * 8
    launcher = words[: words.index("fairseq-train")]
    if world_size == 1:
        assert launcher == []
        return
    assert launcher[0] == "torchrun"
    assert int(value(launcher, "--nproc-per-node")) == gpus
    if nodes > 1:
        assert (value(launcher, "--nnodes"), value(launcher, "--rdzv-endpoint")) == ("2", "node1:29500")
    else:
        assert "--standalone" in launcher


def test_all_visible_gpus_are_the_default() -> None:
    words = command(TRAINING_SCRIPTS[0], NUM_GPUS="", CUDA_VISIBLE_DEVICES="0,1,5,7")
    assert value(words, "--distributed-world-size") == "4"
    assert value(command(TRAINING_SCRIPTS[0], NUM_GPUS="", DEVICE="cpu"), "--distributed-world-size") == "1"


@pytest.mark.parametrize("arch", ["echostream", "streamspeech"])
def test_flags_of_each_architecture(arch: str) -> None:
    simultaneous, offline = (command(script, ARCH=arch) for script in TRAINING_SCRIPTS)
    assert "--fp16" in simultaneous
    assert ("--multichunk" in simultaneous) == (arch == "streamspeech")
    assert "--multichunk" not in offline
    precise = command(TRAINING_SCRIPTS[0], ARCH=arch, PRECISION="bf16")
    assert "--bf16" in precise
    assert "--fp16" not in precise
    logged = command(TRAINING_SCRIPTS[0], ARCH=arch, TENSORBOARD="/logs")
    assert value(logged, "--tensorboard-logdir") == "/logs"
    assert command(TRAINING_SCRIPTS[0], "--on-nonfinite", "skip", ARCH=arch)[-2:] == [
        "--on-nonfinite",
        "skip",
    ]


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        ([], {"NUM_GPUS": "3"}, "which 3 devices cannot share equally. To keep 176000 frames an update"),
        ([], {"NUM_GPUS": "8", "NUM_NODES": "2", "MASTER": "a:1"}, "multiple of 16"),
        ([], {"NUM_GPUS": "two"}, "NUM_GPUS is 'two'"),
        ([], {"MAX_TOKENS": "0"}, "MAX_TOKENS is '0'"),
        ([], {"NUM_NODES": "2"}, "set MASTER to host:port"),
        (["--update-freq", "4"], {}, "--update-freq follows from NUM_GPUS"),
        (["--distributed-world-size=2"], {}, "--distributed-world-size follows from NUM_GPUS"),
        (["--max-tokens", "100"], {}, "--max-tokens follows from"),
        ([], {"DEVICE": "cpu", "PRECISION": "fp16"}, "fp16 on GPUs only"),
    ],
)
def test_settings_that_do_not_fit(arguments: list[str], variables: dict[str, str], message: str) -> None:
    result = start(TRAINING_SCRIPTS[0], "--dry-run", *arguments, **variables)
    assert result.returncode == 1
    assert message in result.stderr


def test_missing_tensorboard_is_named(tmp_path: Path) -> None:
    (tmp_path / "tensorboard.py").write_text("raise ImportError\n", encoding="utf-8")
    variables = {"DATA": str(tmp_path), "DEVICE": "cpu", "TENSORBOARD": "/logs", "PYTHONPATH": str(tmp_path)}
    result = start(TRAINING_SCRIPTS[0], **variables)
    assert result.returncode == 1
    assert "pip install tensorboard" in result.stderr


def test_slurm_example(tmp_path: Path) -> None:
    """SLURM's commands print their part; what they are given is what torchrun needs on each node."""
    fakes = {
        "scontrol": "printf 'node7\\nnode9\\n'",
        "srun": 'echo "$@"; shift; DEVICE=cuda exec "$@"',
    }
    for name, body in fakes.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    variables = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "12",
        "SLURM_JOB_NODELIST": "node[7,9]",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_GPUS_ON_NODE": "4",
        "SLURM_SUBMIT_DIR": str(SCRIPTS.parents[1]),
    }
    result = start("train.slurm.sh", "--dry-run", **variables)
    assert result.returncode == 0, result.stderr
    words = shlex.split(result.stdout)
    assert "--kill-on-bad-exit=1" in words
    assert value(words, "--rdzv-endpoint") == "node7:20012"
    assert value(words, "--rdzv-id") == "12"
    assert value(words, "--distributed-world-size") == "8"
    missing = {name: text for name, text in variables.items() if name != "SLURM_GPUS_ON_NODE"}
    assert "--gres=gpu" in start("train.slurm.sh", "--dry-run", **missing).stderr
