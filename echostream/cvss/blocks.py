"""Work on audio in blocks of utterances: the unit of resuming, of processes and of shards.

A block's outputs depend on its utterances and the step's settings alone, so that any number of processes
and shards gives the same files, and an interrupted step goes on at the first unfinished block. A block in
which an audio file cannot be used is kept, and tried again by the next run.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from tqdm import tqdm

from echostream.corpus.manifests import write_tsv
from echostream.corpus.steps import Steps
from echostream.cvss.pairs import Pair, read_pairs
from echostream.cvss.sources import SPLITS, CorpusError
from echostream.cvss.unusable import COLUMNS as UNUSABLE_COLUMNS
from echostream.cvss.unusable import Unusable, report_unusable, write_unusable

BLOCK_UTTERANCES = 1000


@dataclass(frozen=True)
class Block:
    """Some consecutive pairs of a split."""

    split: str
    number: int
    pairs: tuple[Pair, ...]

    @property
    def name(self) -> str:
        """Split and number, for file names."""
        return f"{self.split}-{self.number:05d}"


@dataclass(frozen=True)
class Shard:
    """Blocks `index`, `index + count`, … of a step."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 <= self.index < self.count:
            raise CorpusError(
                f"shard {self.index} of {self.count}: --shard must be from 0 to --num-shards - 1 "
                "(SHARD and NUM_SHARDS)"
            )


class BlockWork(Protocol):
    """What a step does to a block; an instance is sent to other processes."""

    @property
    def name(self) -> str:
        """The step's name, also that of its folder."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table of a block."""
        ...

    def inputs(self, block: Block) -> Mapping[str, Any]:
        """Everything beside the pairs that the outputs depend on, as plain data."""
        ...

    def process(self, output: Path, block: Block) -> tuple[list[tuple[object, ...]], list[Unusable]]:
        """Rows of the block's table (id first), and the files that cannot be used."""
        ...

    def files(self, block: Block) -> list[str]:
        """Files that `process` writes, relative to the output folder."""
        ...

    def seconds(self, row: Mapping[str, str]) -> float:
        """How long the speech of a row of the table is."""
        ...


class _SomeUnusableError(Exception):
    """Carries the unusable files out of a block, which so stays unfinished."""

    def __init__(self, items: list[Unusable]) -> None:
        super().__init__(items)
        self.items = items


def table_path(output: Path, step: str, block: Block) -> Path:
    """The table of a block."""
    return output / step / f"{block.name}.tsv"


def _unusable_path(output: Path, step: str, block: Block) -> Path:
    return output / step / f"{block.name}.unusable.tsv"


def all_blocks(output: Path, splits: Sequence[str] = SPLITS) -> list[Block]:
    """The blocks of the given splits, in order.

    Raises:
        CorpusError: the step pairs has not run.
    """
    blocks = []
    for split in splits:
        pairs = read_pairs(output, split)
        for number, start in enumerate(range(0, len(pairs), BLOCK_UTTERANCES)):
            blocks.append(Block(split, number, tuple(pairs[start : start + BLOCK_UTTERANCES])))
    return blocks


def run_block(output: Path, work: BlockWork, block: Block) -> list[Unusable]:
    """Do a block unless it is done already; returns the files that cannot be used."""

    def build() -> list[str]:
        rows, unusable = work.process(output, block)
        table = table_path(output, work.name, block)
        write_tsv(table, work.columns, rows)
        write_unusable(_unusable_path(output, work.name, block), unusable)
        if unusable:
            raise _SomeUnusableError(unusable)
        return [str(table.relative_to(output)), *work.files(block)]

    inputs = {"pairs": [astuple(pair) for pair in block.pairs], **work.inputs(block)}
    try:
        Steps(output, log=lambda line: None).run(f"{work.name}.{block.name}", inputs, build)
    except _SomeUnusableError as found:
        return found.items
    return []


def _use_one_thread() -> None:
    torch.set_num_threads(1)


def _results(
    output: Path, work: BlockWork, blocks: Sequence[Block], num_workers: int
) -> Iterator[tuple[Block, list[Unusable]]]:
    if num_workers == 1 or len(blocks) < 2:
        for block in blocks:
            yield block, run_block(output, work, block)
        return
    # Forks of a fresh process, since torch's threads and CUDA do not survive a fork of this one; it imports
    # the step's modules once for all workers.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([type(work).__module__])
    workers = min(num_workers, len(blocks))
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_use_one_thread) as pool:
        futures = {pool.submit(run_block, output, work, block): block for block in blocks}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            # After an error, blocks that have not begun are not waited for.
            pool.shutdown(cancel_futures=True)


def run_blocks(
    output: Path,
    work: BlockWork,
    *,
    num_workers: int,
    shard: Shard,
    skip_unusable: bool,
    log: Callable[[str], None],
) -> None:
    """Do a shard's blocks, with a progress bar over utterances.

    Raises:
        CorpusError: audio cannot be used and may not be skipped.
    """
    if num_workers < 1:
        raise CorpusError(f"NUM_WORKERS is {num_workers}: it must be at least 1")
    blocks = all_blocks(output)
    own = blocks[shard.index :: shard.count]
    total = sum(len(block.pairs) for block in own)
    unusable: list[Unusable] = []
    with tqdm(total=total, desc=work.name, unit="utterance", mininterval=1.0) as bar:
        for block, found in _results(output, work, own, num_workers):
            unusable += found
            bar.update(len(block.pairs))
    seconds = sum(
        work.seconds(row) for block in own for row in _read_cells(table_path(output, work.name, block))
    )
    log(
        f"  {work.name}: {len(own)} of {len(blocks)} blocks, {total} utterances, {len(unusable)} of them not "
        f"usable, {seconds / 3600:.3f} h of speech"
    )
    suffix = "" if shard.count == 1 else f".{shard.index}-of-{shard.count}"
    unusable.sort(key=lambda item: (SPLITS.index(item.split), item.id, item.path))
    report_unusable(output, f"{work.name}{suffix}", unusable, skip=skip_unusable, log=log)


def read_block_tables(
    output: Path, step: str, split: str
) -> tuple[dict[str, dict[str, str]], list[Unusable]]:
    """Rows of all blocks of a split by id, and the files that could not be used.

    Raises:
        CorpusError: a block is missing, or was made from other pairs.
    """
    rows: dict[str, dict[str, str]] = {}
    unusable: list[Unusable] = []
    for block in all_blocks(output, (split,)):
        found = _read_cells(table_path(output, step, block))
        failed = _read_cells(_unusable_path(output, step, block))
        ids = {row["id"] for row in [*found, *failed]}
        if ids != {pair.id for pair in block.pairs}:
            raise CorpusError(
                f"{step}: the block {block.name} is missing or was made from other pairs; "
                f"run the step {step} (all its shards)"
            )
        rows |= {row["id"]: row for row in found}
        unusable += [Unusable(*(row[column] for column in UNUSABLE_COLUMNS)) for row in failed]
    return rows, unusable


def _read_cells(path: Path) -> list[dict[str, str]]:
    """Rows of a table that may be absent or hold its header alone."""
    if not path.is_file():
        return []
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    return [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]
