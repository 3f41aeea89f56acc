"""Which utterances CTC can align: a target that is longer than its positions teaches nothing."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from echostream.modules.subsampler import SUBSAMPLING_FACTOR


@dataclass(frozen=True)
class Limits:
    """What an utterance must fit into.

    Attributes:
        ctc_upsample_rate: unit positions of a target piece (--ctc-upsample-rate).
        max_units: units at most (--max-target-positions); 0 is no limit.
    """

    ctc_upsample_rate: int = 25
    max_units: int = 1200

    def __post_init__(self) -> None:
        if self.ctc_upsample_rate < 1 or self.max_units < 0:
            raise ValueError(
                f"CTC_UPSAMPLE_RATE is {self.ctc_upsample_rate} and MAX_UNITS {self.max_units}: they must be "
                "at least 1 and 0"
            )


def positions_needed(symbols: Sequence[Hashable]) -> int:
    """Positions that CTC needs: one for each symbol, and a blank between equal neighbours."""
    repeats = sum(first == second for first, second in pairwise(symbols))
    return len(symbols) + repeats


def problems(
    src_n_frames: int,
    src_pieces: Sequence[Hashable],
    tgt_pieces: Sequence[Hashable],
    units: Sequence[Hashable],
    limits: Limits,
) -> list[str]:
    """Why training cannot use an utterance; nothing if it can.

    Args:
        src_n_frames: fbank frames (10 ms); the CTC heads have one position for four.
        src_pieces, tgt_pieces: as the dictionaries number them, so that unknown pieces are equal.
        units: without repeats.
        limits: of the unit decoder.
    """
    encoder_frames = -(-src_n_frames // SUBSAMPLING_FACTOR)
    # The text decoder also has a position for </s>, and the units end with one.
    unit_positions = (len(tgt_pieces) + 1) * limits.ctc_upsample_rate
    needs = (
        ("recognition", positions_needed(src_pieces), encoder_frames, "encoder frames"),
        ("translation", positions_needed(tgt_pieces), encoder_frames, "encoder frames"),
        ("units", positions_needed(units) + 1, unit_positions, "unit positions"),
    )
    found = [
        f"{target}: CTC needs {needed} of {available} {kind}"
        for target, needed, available, kind in needs
        if needed > available
    ]
    if limits.max_units and len(units) > limits.max_units:
        found.append(f"units: {len(units)} are more than {limits.max_units}")
    return found
