"""What a built corpus holds, and whether its units fit the unit decoder's positions."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from echostream.corpus.manifests import TARGET_VOCABULARY

HOP_SECONDS = 0.01
UNIT_SECONDS = 0.02


@dataclass(frozen=True)
class SplitSummary:
    """Counts of one split.

    Attributes:
        utterances: number of sentence pairs.
        src_seconds, tgt_seconds: speech.
        src_words, tgt_words: distinct words.
        units: reduced units.
        units_per_piece: (units + end mark) / (target pieces + end mark) of each utterance.
    """

    utterances: int
    src_seconds: float
    tgt_seconds: float
    src_words: frozenset[str]
    tgt_words: frozenset[str]
    units: int
    units_per_piece: tuple[float, ...]

    def num_infeasible(self, ctc_upsample_rate: int) -> int:
        """Utterances with more units than positions: CTC cannot align them, and they teach nothing."""
        return sum(ratio > ctc_upsample_rate for ratio in self.units_per_piece)


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def read_summary(root: Path, split: str) -> SplitSummary:
    """Count a split of a corpus folder."""
    rows = _rows(root / f"{split}.tsv")
    pieces_path = (root / TARGET_VOCABULARY).parent / f"{split}.tsv"
    pieces = {row["id"]: len(row["tgt_text"].split()) for row in _rows(pieces_path)}
    frames = sum(sum(map(int, row["durations"].split())) for row in _rows(root / "units" / f"{split}.tsv"))
    # The unit decoder's targets end with </s>, and the </s> of the text has unit positions as a piece has.
    # Units are without repeats, so that CTC needs no more positions than there are symbols.
    ratios = tuple((int(row["tgt_n_frames"]) + 1) / (pieces[row["id"]] + 1) for row in rows)
    return SplitSummary(
        utterances=len(rows),
        src_seconds=sum(int(row["src_n_frames"]) for row in rows) * HOP_SECONDS,
        tgt_seconds=frames * UNIT_SECONDS,
        src_words=frozenset(word for row in rows for word in row["src_text"].split()),
        tgt_words=frozenset(word for row in rows for word in row["tgt_text"].split()),
        units=sum(int(row["tgt_n_frames"]) for row in rows),
        units_per_piece=ratios,
    )


def summarize(
    root: Path, splits: Sequence[str], ctc_upsample_rate: int, log: Callable[[str], None] = print
) -> int:
    """Print what a corpus holds; returns how many training items `ctc_upsample_rate` makes infeasible."""
    summaries = {split: read_summary(root, split) for split in splits}
    train_words = summaries["train"].src_words
    log(f"corpus {root}:")
    for split, item in summaries.items():
        unseen = len(item.src_words - train_words)
        log(
            f"  {split}: {item.utterances} pairs, French {_duration(item.src_seconds)}, English "
            f"{_duration(item.tgt_seconds)}, {len(item.src_words)} / {len(item.tgt_words)} word types"
            + (f" ({unseen} French ones not in train)" if split != "train" else "")
            + f", {item.units / item.tgt_seconds:.1f} units/s, units a piece "
            f"{sum(item.units_per_piece) / item.utterances:.1f} (max {max(item.units_per_piece):.1f})"
        )
    highest = max(max(item.units_per_piece) for item in summaries.values())
    for split, item in summaries.items():
        count = item.num_infeasible(ctc_upsample_rate)
        if count:
            log(
                f"  warning: {split}: {count} of {item.utterances} items have more units than positions at "
                f"--ctc-upsample-rate {ctc_upsample_rate}; train with {math.ceil(highest)}, or build with a "
                "higher --duration-penalty or a smaller --vocab-size"
            )
    return summaries["train"].num_infeasible(ctc_upsample_rate)


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.2f} h" if seconds >= 3600 else f"{seconds:.1f} s"
