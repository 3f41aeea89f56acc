"""Pieces of reports in Markdown."""

import os
from collections.abc import Sequence
from pathlib import Path

from echostream.evaluation.bootstrap import Interval

NOTHING = "–"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]  # signatures have them
    return [f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *escaped)]


def link(path: Path, folder: Path) -> str:
    """A link to a file from a page in a folder."""
    relative = Path(os.path.relpath(path.absolute(), folder.absolute())).as_posix()
    return f"[{path.parent.name}/{path.name}]({relative})"


def with_interval(interval: Interval, digits: int, *, is_signed: bool = False) -> str:
    """A figure and its interval, as 12.34 [11.00, 13.50]; differences have their sign."""
    value, low, high = (
        f"{number:{'+' if is_signed else ''}.{digits}f}"
        for number in (interval.value, interval.low, interval.high)
    )
    return f"{value} [{low}, {high}]"
