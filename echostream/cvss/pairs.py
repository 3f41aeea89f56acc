"""The step pairs: which clips have a transcript, a translation and speech on both sides."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from echostream.corpus.manifests import write_tsv
from echostream.cvss.sources import SPLITS, CorpusError, Sources, read_transcripts, read_translations
from echostream.cvss.text import normalize_transcript, normalize_translation
from echostream.cvss.unusable import Unusable, report_unusable
from echostream.data.manifest import ManifestError, read_tsv

COLUMNS = ("id", "clip", "src_text", "tgt_text")


@dataclass(frozen=True)
class Pair:
    """One utterance: its id, the mp3's name, and the normalised texts of both sides."""

    id: str
    clip: str
    src_text: str
    tgt_text: str


def match(
    transcripts: Mapping[str, str], translations: Mapping[str, str]
) -> tuple[list[Pair], list[tuple[str, str]]]:
    """Pair the clips of both corpora.

    Args:
        transcripts: clip to sentence, of CoVoST 2.
        translations: clip to translation, of CVSS.

    Returns:
        The pairs in the order of CVSS, and the clips that are left out, each with the reason.
    """
    pairs, left_out = [], []
    for clip, translation in translations.items():
        if clip not in transcripts:
            left_out.append((clip, "no transcript in CoVoST 2"))
            continue
        texts = normalize_transcript(transcripts[clip]), normalize_translation(translation)
        if not all(texts):
            left_out.append((clip, f"no word in the {'translation' if texts[0] else 'transcript'}"))
            continue
        pairs.append(Pair(clip.removesuffix(".mp3"), clip, *texts))
    left_out += [(clip, "no translation in CVSS") for clip in transcripts if clip not in translations]
    return pairs, left_out


def _names(folder: Path) -> set[str]:
    if not folder.is_dir():
        raise CorpusError(f"{folder}: no such folder; check COVOST_ROOT and CVSS_ROOT")
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries}


def missing_audio(sources: Sources, split: str, pairs: Sequence[Pair]) -> list[Unusable]:
    """Files of pairs that do not exist; the folders are listed, not asked for each file."""
    clips, speech = _names(sources.clips), _names(sources.target_folder(split))
    absent = []
    for pair in pairs:
        if pair.clip not in clips:
            absent.append(Unusable(split, pair.id, str(sources.source_audio(pair.clip)), "missing"))
        if f"{pair.clip}.wav" not in speech:
            absent.append(Unusable(split, pair.id, str(sources.target_audio(split, pair.clip)), "missing"))
    return absent


def table_path(output: Path, split: str) -> Path:
    """The table of a split's pairs."""
    return output / "pairs" / f"{split}.tsv"


def read_pairs(output: Path, split: str) -> list[Pair]:
    """The pairs of a split, as the step wrote them.

    Raises:
        CorpusError: the step has not run, or its table is damaged.
    """
    try:
        rows = read_tsv(table_path(output, split), COLUMNS)
    except ManifestError as error:
        raise CorpusError(f"{error}; run the step pairs") from error
    return [Pair(*(row[column] for column in COLUMNS)) for _, row in rows]


def write_pairs(sources: Sources, output: Path, *, skip_unusable: bool, log: Callable[[str], None]) -> None:
    """Write the tables of all splits and what was left out.

    Raises:
        CorpusError: a download is malformed, both have no clip in common, or files are missing and may not be
            skipped.
    """
    absent: list[Unusable] = []
    for split in SPLITS:
        transcripts, translations = read_transcripts(sources, split), read_translations(sources, split)
        pairs, left_out = match(transcripts, translations)
        if not pairs:
            raise CorpusError(
                f"{split}: CoVoST 2 and CVSS have no clip in common ({next(iter(transcripts))}, "
                f"{next(iter(translations))}, …); COVOST_ROOT and CVSS_ROOT must be of the same language"
            )
        rows = ((pair.id, pair.clip, pair.src_text, pair.tgt_text) for pair in pairs)
        write_tsv(table_path(output, split), COLUMNS, rows)
        report = output / "reports" / f"left_out.{split}.tsv"
        write_tsv(report, ("clip", "reason"), left_out)
        log(
            f"  {split}: {len(pairs)} pairs of {len(transcripts)} transcripts and {len(translations)} "
            f"translations; {len(left_out)} clips left out" + (f", see {report}" if left_out else "")
        )
        absent += missing_audio(sources, split, pairs)
    report_unusable(output, "pairs", absent, skip=skip_unusable, log=log)
