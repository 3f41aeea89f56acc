"""Audio that cannot be used: listed by name, and refused unless the user says that it may be skipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from echostream.corpus.manifests import write_tsv
from echostream.cvss.sources import CorpusError

COLUMNS = ("split", "id", "path", "reason")


@dataclass(frozen=True)
class Unusable:
    """One audio file that is missing, unreadable or too short."""

    split: str
    id: str
    path: str
    reason: str


def write_unusable(path: Path, items: Sequence[Unusable]) -> None:
    """Write a table of audio files; reasons are kept on one line."""
    rows = [(item.split, item.id, item.path, " ".join(item.reason.split())) for item in items]
    write_tsv(path, COLUMNS, rows)


def report_unusable(
    output: Path, name: str, items: Sequence[Unusable], *, skip: bool, log: Callable[[str], None]
) -> None:
    """List the files in reports/unusable.NAME.tsv, and stop unless they may be skipped.

    Raises:
        CorpusError: there are such files and `skip` is false.
    """
    report = output / "reports" / f"unusable.{name}.tsv"
    write_unusable(report, items)
    if not items:
        return
    first = items[0]
    message = (
        f"{len(items)} audio files cannot be used, see {report}; the first: {first.path}: {first.reason}"
    )
    if not skip:
        raise CorpusError(f"{message}. Repair them, or leave their pairs out with SKIP_UNUSABLE=1")
    log(f"  warning: {message}. Their pairs are left out")
