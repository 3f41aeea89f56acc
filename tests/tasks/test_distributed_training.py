"""Two processes on CPU train as one does with the same effective batch, and go on after one is killed."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from shlex import split
from typing import Any

import pytest

from tests.data.tiny_corpus import TinyCorpus, build
from tests.tasks.fairseq_commands import run, train
from tests.tasks.rank_worker import Job, write_jobs

ROOT = Path(__file__).resolve().parents[2]
Records = list[dict[str, Any]]

# Without dropout, whose random numbers depend on the place of a batch among the processes.
NO_DROPOUT = split("--dropout 0 --attention-dropout 0 --relu-dropout 0 --mt-decoder-dropout 0")
# Five batches an epoch: two updates of two, and one that the second process fills with a dummy batch.
SETTINGS = [*NO_DROPOUT, *split("--batch-size 1 --max-update 4 --no-epoch-checkpoints --valid-chunk-sizes 4")]
TWO_BATCHES_AN_UPDATE = ["--update-freq", "2"]
# A part of the model has no gradient.
TEXT_SIDE = ["--train-side", "text"]
LOSSES = ("loss", "unit_ctc_loss", "mt_loss", "asr_ctc_loss", "st_ctc_loss", "gnorm", "asr_ctc_blank")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> TinyCorpus:
    return build(tmp_path_factory.mktemp("corpus") / "data", num_sentences=5)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_rank(rank: int, port: int, arguments: list[str]) -> subprocess.Popen[str]:
    """Start a process with the variables that torchrun sets."""
    variables = {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tests.tasks.rank_worker", *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def two_processes(
    corpus: TinyCorpus, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Records, Records]]:
    """The records of both ranks, by job; one pair of processes runs all jobs, since starting is slow."""
    folder = tmp_path_factory.mktemp("two")
    skip = ["--on-nonfinite", "skip", "--disable-validation"]
    jobs = [
        Job("streamspeech", str(corpus.root), "streamspeech", SETTINGS),
        Job("echostream", str(corpus.root), "echostream", SETTINGS),
        Job("legacy", str(corpus.root), "echostream", [*SETTINGS, "--ddp-backend", "legacy_ddp"]),
        Job("text", str(corpus.root), "echostream", [*SETTINGS, *TEXT_SIDE]),
        Job("skip", str(corpus.root), "echostream", [*SETTINGS, *skip], bad_utterance="s2"),
        Job("stop", str(corpus.root), "echostream", [*SETTINGS, "--disable-validation"], bad_utterance="s2"),
    ]
    write_jobs(folder / "jobs.json", jobs)
    port = free_port()
    ranks = [start_rank(rank, port, [str(folder / "jobs.json"), str(folder)]) for rank in range(2)]
    outputs = [rank.communicate(timeout=600)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], "\n".join(output[-3000:] for output in outputs)

    def records(name: str, rank: int) -> Records:
        found: Records = json.loads((folder / f"{name}.{rank}.json").read_text(encoding="utf-8"))
        return found

    return {job.name: (records(job.name, 0), records(job.name, 1)) for job in jobs}


def curve(records: Records) -> list[dict[str, float]]:
    return [
        {name: float(record[name]) for name in LOSSES if name in record}
        | {"update": int(record["num_updates"])}
        for record in records
        if record["logger"] == "train_inner"
    ]


def assert_same(found: list[dict[str, float]], expected: list[dict[str, float]]) -> None:
    """Sums in another order differ in the last bits, and what is logged has three decimals or six digits."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=2e-5, abs=3e-3)


@pytest.mark.parametrize(
    ("job", "arch"),
    [
        ("streamspeech", "streamspeech"),
        ("echostream", "echostream"),
        ("legacy", "echostream"),
        ("text", "echostream"),
    ],
)
def test_two_processes_equal_one(
    corpus: TinyCorpus, two_processes: dict[str, tuple[Records, Records]], tmp_path: Path, job: str, arch: str
) -> None:
    side = TEXT_SIDE if job == "text" else []
    alone = train(corpus.root, tmp_path, arch, *SETTINGS, *TWO_BATCHES_AN_UPDATE, *side)
    first, second = two_processes[job]
    assert len(curve(alone)) == 4
    assert ["unit_ctc_loss" in record for record in curve(alone)] == [not side] * 4
    assert_same(curve(first), curve(alone))
    assert_same(curve(second), curve(alone))
    # The running statistics of the Conformer's normalisation are rank 0's alone.
    if arch == "echostream":
        expected = [record for record in alone if record["logger"] == "dev"][-1]
        found = [record for record in first if record["logger"] == "dev"][-1]
        assert float(found["dev_loss"]) == pytest.approx(float(expected["dev_loss"]), abs=3e-3)


def test_all_processes_leave_an_update_out_together(
    two_processes: dict[str, tuple[Records, Records]],
) -> None:
    first, second = (
        [record for record in records if record["logger"] == "train_inner"]
        for records in two_processes["skip"]
    )
    names = ("num_updates", "loss", "gnorm", "nonfinite_skips")
    assert [[record.get(name) for name in names] for record in first] == [
        [record.get(name) for name in names] for record in second
    ]
    skipped = [record for record in first if int(record.get("nonfinite_skips", 0)) > 0]
    assert 1 <= len(skipped) <= 2, "once in each epoch, of which one is whole"
    assert all(record["loss"] == "nan" for record in skipped)


def test_all_processes_stop_with_the_same_message(two_processes: dict[str, tuple[Records, Records]]) -> None:
    (first,), (second,) = two_processes["stop"]
    assert first["message"] == second["message"]
    assert " of [s2]" in first["message"]
    assert ("rank 0: " in first["message"]) != ("rank 1: " in first["message"])


def script(corpus: TinyCorpus, save_dir: Path, num_processes: int, *arguments: str) -> subprocess.Popen[str]:
    """Start the training script on the tiny corpus."""
    variables = {
        "DATA": str(corpus.root),
        "ARCH": "echostream_mini",
        "CONFIG_YAML": "config.yaml",
        "MULTITASK_YAML": "config_mtl.yaml",
        "CODE_SIZE": "20",
        "DEVICE": "cpu",
        "NUM_GPUS": str(num_processes),
        "BATCHES_PER_UPDATE": "2",
        "NUM_WORKERS": "0",
        "SAVE_DIR": str(save_dir),
        "ECHOSTREAM_VENV": sys.prefix,
        "OMP_NUM_THREADS": "1",
    }
    layers = [
        f"--{part}-layers=1" for part in ("encoder", "decoder", "translation-decoder", "synthesizer-encoder")
    ]
    settings = split(
        "--batch-size 1 --max-update 9 --save-interval-updates 3 --disable-validation --log-interval 1"
    )
    return subprocess.Popen(
        [str(ROOT / "scripts/fr-en/train.simul-s2st.sh"), *layers, *NO_DROPOUT, *settings, *arguments],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def descendants(pid: int) -> list[int]:
    """Processes that a process started, and theirs."""
    children = [
        int(child)
        for listed in Path(f"/proc/{pid}/task").glob("*/children")
        for child in listed.read_text(encoding="utf-8").split()
    ]
    return [each for child in children for each in (child, *descendants(child))]


def process_of_rank(pid: int, rank: int) -> int:
    """The process of a rank among those that a script started."""
    ranks = [
        each
        for each in descendants(pid)
        if f"RANK={rank}" in Path(f"/proc/{each}/environ").read_text().split("\0")
    ]
    return ranks[0]


def follow(process: subprocess.Popen[str], kill_after_update: int = 0) -> tuple[Records, str]:
    """The updates that a script logs, and its output; rank 1 is killed after one of the updates."""
    assert process.stdout is not None
    records: Records = []
    lines: list[str] = []
    try:
        for line in process.stdout:
            lines.append(line)
            logged = re.search(r"train_inner \| (\{.*\})", line)
            if logged:
                records.append({"logger": "train_inner", **json.loads(logged[1])})
                if len(records) == kill_after_update:
                    os.kill(process_of_rank(process.pid, 1), signal.SIGKILL)
        process.wait(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return records, "".join(lines)


def test_the_same_command_goes_on_after_a_process_was_killed(corpus: TinyCorpus, tmp_path: Path) -> None:
    killed_process = script(corpus, tmp_path / "two", 2)
    killed, output = follow(killed_process, kill_after_update=4)
    assert killed_process.returncode != 0, output
    assert 4 <= len(killed) < 9, output
    resumed_process = script(corpus, tmp_path / "two", 2)
    resumed, output = follow(resumed_process)
    assert resumed_process.returncode == 0, output[-3000:]
    first_update = int(resumed[0]["num_updates"])
    assert first_update > 3, output[-3000:]
    command, _ = script(corpus, tmp_path / "one", 1, "--dry-run").communicate()
    alone = curve(run("train", split(command)[1:]))
    assert_same(curve(killed), alone[: len(killed)])
    assert_same(curve(resumed), alone[first_update - 1 :])
