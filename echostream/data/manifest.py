"""Reading and checking manifests: a bad row is an error that names the file, the line and the id.

Manifests are fairseq's: tab-separated, a header line, no quoting.
"""

import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from echostream.data.audio import parse_archive_entry

NUM_LISTED = 5  # how many offenders an error lists


class ManifestError(ValueError):
    """A manifest that cannot be used; the message names the file, the line or id, and what is wrong."""


class MissingManifestError(ManifestError, FileNotFoundError):
    """A manifest that does not exist."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else "missing manifest"


class SymbolTable(Protocol):
    """What is asked of a dictionary: fairseq's, for one."""

    def __contains__(self, symbol: object) -> bool: ...


@dataclass(frozen=True)
class SpeechSample:
    """One utterance of a speech-to-unit manifest.

    `src_num_frames` counts 10 ms feature frames, `units` holds unit numbers separated by spaces.
    """

    id: str
    line: int
    src_audio: str
    src_num_frames: int
    units: str
    num_units: int
    src_lang: str = ""
    tgt_lang: str = ""


def read_tsv(path: Path, required: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Read a tab-separated file with a header.

    Args:
        path: the file.
        required: columns that must exist.
    Returns:
        (line number, row) pairs in the file's order; blank lines are skipped.
    Raises:
        ManifestError: for a missing file, column or cell, text that is not UTF-8, or no row at all.
    """
    if not path.is_file():
        raise MissingManifestError(f"{path}: no such manifest; check the data folder and the subset's name")
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: not UTF-8 text ({error})") from error
    header = lines[0].rstrip("\r").split("\t")
    missing = [column for column in required if column not in header]
    if missing:
        raise ManifestError(
            f"{path}: line 1: missing column {', '.join(missing)}; the header has {', '.join(header)} "
            "(columns are separated by tabs)"
        )
    if len(set(header)) != len(header):
        raise ManifestError(f"{path}: line 1: a column appears twice: {', '.join(header)}")
    rows = []
    for number, text in enumerate(lines[1:], start=2):
        cells = text.rstrip("\r").split("\t")
        if cells == [""]:
            continue
        if len(cells) != len(header):
            raise ManifestError(
                f"{path}: line {number}: {len(cells)} columns, but the header has {len(header)}"
            )
        rows.append((number, dict(zip(header, cells, strict=True))))
    if not rows:
        raise ManifestError(f"{path}: holds no row below the header")
    return rows


def check_unique_ids(path: Path, ids: Iterable[tuple[int, str]]) -> None:
    """Raise ManifestError for an id that is empty or stands on two lines."""
    seen: dict[str, int] = {}
    for line, sample_id in ids:
        if not sample_id.strip():
            raise ManifestError(f"{path}: line {line}: the id is empty")
        if sample_id in seen:
            raise ManifestError(
                f"{path}: line {line}: id {sample_id!r} stands on line {seen[sample_id]} already"
            )
        seen[sample_id] = line


def parse_count(path: Path, line: int, sample_id: str, column: str, text: str) -> int:
    """A positive whole number, or ManifestError."""
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise ManifestError(
            f"{path}: line {line} (id {sample_id!r}): {column} must be a positive whole number, not {text!r}"
        )
    return int(text)


def check_units(path: Path, line: int, sample_id: str, units: str, dictionary: SymbolTable) -> str:
    """Return the units with single spaces; an empty or unknown one raises ManifestError."""
    symbols = units.split()
    if not symbols:
        raise ManifestError(f"{path}: line {line} (id {sample_id!r}): the target is empty")
    unknown = sorted({symbol for symbol in symbols if not symbol.isdigit() or symbol not in dictionary})
    if unknown:
        raise ManifestError(
            f"{path}: line {line} (id {sample_id!r}): unit {', '.join(unknown[:NUM_LISTED])} is not in the "
            "unit dictionary; --target-code-size must be the number of units of the corpus"
        )
    return " ".join(symbols)


class SourceChecker:
    """Checks that source files exist and are not empty, reading each archive's size once."""

    def __init__(self) -> None:
        self._archive_sizes: dict[str, int] = {}

    def problem(self, location: str) -> str | None:
        """What is wrong with `file` or `archive.zip:offset:length`, or None."""
        entry = parse_archive_entry(location)
        if entry is not None:
            return self._archive_problem(*entry)
        path = Path(location)
        if not path.is_file():
            return f"missing audio: {location}"
        return f"empty audio file (0 bytes): {location}" if path.stat().st_size == 0 else None

    def _archive_problem(self, archive: str, offset: int, length: int) -> str | None:
        if archive not in self._archive_sizes:
            if not Path(archive).is_file():
                return f"missing archive: {archive}"
            if not zipfile.is_zipfile(archive):
                return f"not a zip archive: {archive}"
            self._archive_sizes[archive] = Path(archive).stat().st_size
        if length == 0:
            return f"empty entry of the archive {archive}"
        size = self._archive_sizes[archive]
        return (
            None if offset + length <= size else f"the entry lies beyond the end of {archive} ({size} bytes)"
        )


def read_speech_manifest(path: Path, audio_root: Path, dictionary: SymbolTable) -> list[SpeechSample]:
    """Read a speech-to-unit manifest and check every row.

    Args:
        path: TSV with id, src_audio, src_n_frames, tgt_audio (units), tgt_n_frames; optional: src_lang,
            tgt_lang.
        audio_root: folder that relative source paths start from.
        dictionary: the unit dictionary.
    Returns:
        The samples, with source paths joined to `audio_root`.
    Raises:
        ManifestError: at the first bad row.
    """
    rows = read_tsv(path, ("id", "src_audio", "src_n_frames", "tgt_audio", "tgt_n_frames"))
    check_unique_ids(path, ((line, row["id"]) for line, row in rows))
    checker = SourceChecker()
    samples = []
    for line, row in rows:
        if not row["src_audio"].strip():
            raise ManifestError(f"{path}: line {line} (id {row['id']!r}): src_audio is empty")
        location = (audio_root / row["src_audio"]).as_posix()
        problem = checker.problem(location)
        if problem is not None:
            raise ManifestError(f"{path}: line {line} (id {row['id']!r}): {problem}")
        samples.append(
            SpeechSample(
                id=row["id"],
                line=line,
                src_audio=location,
                src_num_frames=parse_count(path, line, row["id"], "src_n_frames", row["src_n_frames"]),
                units=check_units(path, line, row["id"], row["tgt_audio"], dictionary),
                num_units=parse_count(path, line, row["id"], "tgt_n_frames", row["tgt_n_frames"]),
                src_lang=row.get("src_lang", ""),
                tgt_lang=row.get("tgt_lang", ""),
            )
        )
    return samples


def read_text_targets(path: Path, ids: Iterable[str], manifest: Path) -> dict[str, str]:
    """Read the texts of a multitask's TSV (id, tgt_text) for all ids of a manifest.

    Args:
        path: the multitask's TSV.
        ids: ids that must have a text.
        manifest: where the ids come from, for the error message.
    Returns:
        id -> pieces separated by spaces.
    Raises:
        ManifestError: for a bad row, an empty text, or an id without a row.
    """
    rows = read_tsv(path, ("id", "tgt_text"))
    check_unique_ids(path, ((line, row["id"]) for line, row in rows))
    lines = {row["id"]: (line, row["tgt_text"]) for line, row in rows}
    wanted = list(ids)
    absent = [sample_id for sample_id in wanted if sample_id not in lines]
    if absent:
        listed = ", ".join(repr(sample_id) for sample_id in absent[:NUM_LISTED])
        raise ManifestError(f"{path}: no row for {len(absent)} id(s) of {manifest}: {listed}")
    for sample_id in wanted:
        line, text = lines[sample_id]
        if not text.strip():
            raise ManifestError(f"{path}: line {line} (id {sample_id!r}): tgt_text is empty")
    return {sample_id: lines[sample_id][1] for sample_id in wanted}
