"""Shards, processes and interruptions do not change what is made."""

from pathlib import Path

import pytest

from echostream.cvss import blocks, features
from echostream.cvss.blocks import Shard, all_blocks, read_block_tables, run_blocks
from echostream.cvss.features import FeatureWork
from echostream.cvss.sources import CorpusError, Sources
from tests.cvss.conftest import Downloads, run_steps
from tests.cvss.look_alike import SIZES


def run(downloads: Downloads, output: Path, *, shard: Shard, num_workers: int = 1) -> list[str]:
    """Run the step features in small blocks; returns what it logs."""
    sources = Sources(downloads.corpus.covost_root, downloads.corpus.cvss_root, "fr")
    log: list[str] = []
    run_blocks(
        output,
        FeatureWork(sources),
        num_workers=num_workers,
        shard=shard,
        skip_unusable=False,
        log=log.append,
    )
    return log


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_UTTERANCES", 5)


@pytest.fixture
def output(downloads: Downloads, tmp_path: Path, small_blocks: None) -> Path:
    """A folder where the step pairs has run."""
    assert run_steps(downloads.variables(tmp_path / "out"), "pairs") == [0]
    return tmp_path / "out"


def files(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (output / features.STEP).iterdir()}


def test_shards_and_processes_give_the_same_files(downloads: Downloads, output: Path, tmp_path: Path) -> None:
    assert [block.name for block in all_blocks(output)] == [
        *(f"train-0000{number}" for number in range(4)),
        "dev-00000",
        "test-00000",
    ]
    (log,) = run(downloads, output, shard=Shard())
    assert "6 of 6 blocks, 24 utterances, 0 of them not usable" in log
    other = tmp_path / "other"
    assert run_steps(downloads.variables(other), "pairs") == [0]
    (log,) = run(downloads, other, shard=Shard(1, 3), num_workers=2)
    assert "2 of 6 blocks" in log
    with pytest.raises(
        CorpusError, match=r"train-00000 is missing .* run the step features \(all its shards\)"
    ):
        read_block_tables(other, features.STEP, "train")
    for index in (0, 2):
        run(downloads, other, shard=Shard(index, 3))
    assert files(other) == files(output)
    found, unusable = read_block_tables(other, features.STEP, "train")
    assert len(found) == SIZES["train"]
    assert not unusable


def test_an_interrupted_step_goes_on(
    downloads: Downloads, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    original = FeatureWork.process

    def process(self: FeatureWork, folder: Path, block: blocks.Block) -> object:
        result = original(self, folder, block)
        if block.name == "train-00003" and len(done) == 3:
            raise KeyboardInterrupt
        done.append(block.name)
        return result

    monkeypatch.setattr(FeatureWork, "process", process)
    with pytest.raises(KeyboardInterrupt):
        run(downloads, output, shard=Shard())
    assert done == ["train-00000", "train-00001", "train-00002"]
    done.clear()
    run(downloads, output, shard=Shard())
    assert done == ["train-00003", "dev-00000", "test-00000"]


@pytest.mark.parametrize(("index", "count"), [(3, 3), (-1, 2), (0, 0)])
def test_bad_shards(index: int, count: int) -> None:
    with pytest.raises(CorpusError, match=r"--shard must be from 0 to --num-shards - 1"):
        Shard(index, count)
