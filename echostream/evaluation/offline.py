"""Scores of fairseq-generate's results: `python -m echostream.evaluation.offline --help`.

The table of texts that the generator writes (`generate-<split>.text.tsv`) is put in the manifest's order,
written as plain files (`.asr`, `.txt`, `.unit`, as StreamSpeech's scripts do), and compared with the
manifest's columns.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sacrebleu.metrics.bleu import BLEU

from echostream.data.manifest import check_unique_ids, read_tsv
from echostream.evaluation.text_scorers import sacrebleu_score, word_error_rate

# What is scored: name, column of the generator's table, column of the manifest, suffix of the plain file.
OUTPUTS = (
    ("recognition", "asr", "src_text", "asr"),
    ("translation, text", "mt", "tgt_text", "txt"),
    ("translation, CTC text", "st_ctc", "tgt_text", "ctc.txt"),
    ("translation, units", "units", "tgt_audio", "unit"),
)


@dataclass(frozen=True)
class Score:
    """One line of the result; WER is in per cent.

    `length_ratio` is the length of the output over that of the reference, in words (or units).
    """

    name: str
    bleu: float
    wer: float
    length_ratio: float
    signature: str

    def __str__(self) -> str:
        scores = (f"BLEU {self.bleu:.2f}", f"WER {self.wer:.2f}", f"LENGTH {self.length_ratio:.3f}")
        return "\t".join([self.name, *scores, self.signature])


def read_table(path: Path) -> dict[str, dict[str, str]]:
    """Read a tab-separated table by its `id` column.

    Raises:
        ManifestError: for a missing file or column, or an id that stands twice.
    """
    rows = read_tsv(path, ("id",))
    check_unique_ids(path, ((line, row["id"]) for line, row in rows))
    return {row["id"]: row for _, row in rows}


def score(name: str, hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Corpus BLEU (13a, as sacreBLEU) and error rate over words.

    Raises:
        ValueError: if the references hold no words.
    """
    bleu, signature = sacrebleu_score(BLEU(), hypotheses, references)
    errors = word_error_rate(hypotheses, references)
    num_words, num_wanted = (sum(len(line.split()) for line in lines) for lines in (hypotheses, references))
    return Score(name, bleu, errors, num_words / num_wanted, signature)


def evaluate(manifest: Path, results: Path, split: str) -> list[Score]:
    """Write the plain files and score what the manifest has a reference for.

    Raises:
        FileNotFoundError, ValueError: for missing or unfit tables; no utterance is left out silently.
    """
    references = read_table(manifest)
    found = read_table(results / f"generate-{split}.text.tsv")
    missing = [name for name in references if name not in found]
    if missing:
        raise ValueError(
            f"{results}: {len(missing)} of {len(references)} utterances lack, first {missing[0]}"
        )
    scores = []
    for name, column, reference_column, suffix in OUTPUTS:
        hypotheses = [found[utterance][column] for utterance in references]
        lines = "".join(f"{line}\n" for line in hypotheses)
        (results / f"generate-{split}.{suffix}").write_text(lines, encoding="utf-8")
        rows = references.values()
        if all(row.get(reference_column) for row in rows):
            scores.append(score(name, hypotheses, [row[reference_column] for row in rows]))
        else:
            print(f"{name}: not scored, since {manifest} has no column {reference_column}")
    return scores


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m echostream.evaluation.offline", description="Score the results of fairseq-generate."
    )
    parser.add_argument("--manifest", required=True, help="TSV with id, and src_text, tgt_text, tgt_audio")
    parser.add_argument("--results", required=True, help="fairseq-generate's --results-path")
    parser.add_argument("--split", required=True, help="fairseq-generate's --gen-subset")
    args = parser.parse_args(argv)
    try:
        scores = evaluate(Path(args.manifest), Path(args.results), args.split)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    text = "".join(f"{line}\n" for line in scores)
    (Path(args.results) / "scores.txt").write_text(text, encoding="utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
