"""Reading CoVoST 2 and CVSS-C as they are published.

CoVoST 2 (github.com/facebookresearch/covost, README and get_covost_splits.py) lies in a Common Voice 4
release: `clips/*.mp3`, and `covost_v2.fr_en.{train,dev,test}.tsv` with the columns path, sentence,
translation, client_id; tabs, no quoting, a backslash before special characters. Where these tables were not
made yet, the downloads that they are made from do: Common Voice's `validated.tsv` and `covost_v2.fr_en.tsv`.

CVSS-C (github.com/google-research-datasets/cvss) has a folder of speech for each split,
`train/<clip>.mp3.wav`, and `train.tsv` without a header: the clip's name, a tab, the normalised translation.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SPLITS = ("train", "dev", "test")
LANGUAGES = {"fr": "French", "es": "Spanish", "de": "German"}
# CoVoST 2 extends Common Voice's training set; the other splits are Common Voice's own.
_COVOST_LABELS = {"train": ("train", "train_covost"), "dev": ("dev",), "test": ("test",)}


class CorpusError(ValueError):
    """A downloaded file that cannot be used; the message names the file and line and says what to do."""


@dataclass(frozen=True)
class Sources:
    """Where the downloads are.

    Attributes:
        covost_root: a Common Voice 4 release of one language with CoVoST 2's tables.
        cvss_root: CVSS-C of that language, unpacked.
        src_lang: fr, es or de.
    """

    covost_root: Path
    cvss_root: Path
    src_lang: str

    def __post_init__(self) -> None:
        if self.src_lang not in LANGUAGES:
            raise CorpusError(f"the source language is {self.src_lang!r}: it must be {', '.join(LANGUAGES)}")

    @property
    def clips(self) -> Path:
        """Folder of the source speech."""
        return self.covost_root / "clips"

    def target_folder(self, split: str) -> Path:
        """Folder of a split's target speech."""
        return self.cvss_root / split

    def source_audio(self, clip: str) -> Path:
        """The mp3 of a clip."""
        return self.clips / clip

    def target_audio(self, split: str, clip: str) -> Path:
        """The spoken translation of a clip."""
        return self.target_folder(split) / f"{clip}.wav"


def _read_table(path: Path, required: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a table in which a backslash escapes, with their line numbers."""
    if not path.is_file():
        raise CorpusError(f"{path}: no such file; check COVOST_ROOT and SRC_LANG")
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\")
        header = next(reader, [])
        missing = [column for column in required if column not in header]
        if missing:
            raise CorpusError(
                f"{path}: line 1: no column {', '.join(missing)}; the header has {', '.join(header)}"
            )
        for cells in reader:
            if len(cells) != len(header):
                raise CorpusError(
                    f"{path}: line {reader.line_num}: {len(cells)} columns, but the header has "
                    f"{len(header)}; download or make the file again"
                )
            yield reader.line_num, dict(zip(header, cells, strict=True))


def _unique(path: Path, items: Iterator[tuple[int, str, str]]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for line, clip, text in items:
        if not clip.endswith(".mp3") or "/" in clip:
            raise CorpusError(f"{path}: line {line}: {clip!r} is not the name of an mp3 clip")
        if clip in texts:
            raise CorpusError(f"{path}: line {line}: the clip {clip} stands on an earlier line already")
        texts[clip] = text
    if not texts:
        raise CorpusError(f"{path}: holds no row")
    return texts


def read_transcripts(sources: Sources, split: str) -> dict[str, str]:
    """Clip name to transcript of one split of CoVoST 2.

    Raises:
        CorpusError: neither the split's table nor the two tables it is made from exist, or one is malformed.
    """
    prefix = f"covost_v2.{sources.src_lang}_en"
    table = sources.covost_root / f"{prefix}.{split}.tsv"
    if table.is_file():
        rows = _read_table(table, ("path", "sentence"))
        return _unique(table, ((line, row["path"], row["sentence"]) for line, row in rows))
    whole, validated = sources.covost_root / f"{prefix}.tsv", sources.covost_root / "validated.tsv"
    if not whole.is_file() or not validated.is_file():
        raise CorpusError(
            f"{table}: no such file, nor {whole.name} and validated.tsv beside it to make it from; "
            "COVOST_ROOT must be the Common Voice release of the source language with CoVoST 2's table in it"
        )
    labels = _COVOST_LABELS[split]
    translated = _read_table(whole, ("path", "split"))
    wanted = {row["path"] for _, row in translated if row["split"] in labels}
    rows = _read_table(validated, ("path", "sentence"))
    chosen = ((line, row["path"], row["sentence"]) for line, row in rows if row["path"] in wanted)
    return _unique(validated, chosen)


def read_translations(sources: Sources, split: str) -> dict[str, str]:
    """Clip name to normalised translation of one split of CVSS-C, in the file's order.

    Raises:
        CorpusError: the file is missing or malformed.
    """
    path = sources.cvss_root / f"{split}.tsv"
    if not path.is_file():
        raise CorpusError(
            f"{path}: no such file; CVSS_ROOT must be the unpacked CVSS-C archive of the language"
        )

    def rows() -> Iterator[tuple[int, str, str]]:
        with path.open(encoding="utf-8", newline="\n") as file:
            for number, text in enumerate(file, start=1):
                cells = text.rstrip("\r\n").split("\t")
                if len(cells) != 2:
                    raise CorpusError(
                        f"{path}: line {number}: {len(cells)} columns instead of two, a clip's name and its "
                        "translation"
                    )
                yield number, cells[0], cells[1]

    return _unique(path, rows())
