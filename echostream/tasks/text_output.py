"""The texts that fairseq-generate gives beside the units: recognition and translation."""

import sys
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

COLUMNS = ("index", "id", "asr", "st_ctc", "mt", "units")


@dataclass(frozen=True)
class Texts:
    """What one utterance gave: recognition, translation by CTC and by the text decoder, and units."""

    asr: str
    st_ctc: str
    mt: str
    units: str


class TextOutput:
    """Prints `A-` (recognition) and translation lines, and writes one table per subset.

    The lines go to the standard output with fairseq's sentence index: `A-<index>`, `C-<index>` (translation
    by CTC) and, with `--results-path`, `D-<index>` for the text translation; without it fairseq's own
    `D-` lines of units go to the same place, so the text is `M-<index>`. With `--results-path` all of
    them are in the table `generate-<subset>.text.tsv` too, written line by line.

    Args:
        table: the TSV to write, or None.
        ids: manifest ids by index, or None.
        quiet: print nothing.
        stream: where the lines go.
    """

    def __init__(
        self,
        table: Path | None,
        ids: list[str] | None = None,
        *,
        quiet: bool = False,
        stream: TextIO | None = None,
    ) -> None:
        self.table = table
        self.ids = ids
        self.quiet = quiet
        self.stream = stream
        if table is not None:
            table.parent.mkdir(parents=True, exist_ok=True)
            table.write_text("\t".join(COLUMNS) + "\n", encoding="utf-8")

    @classmethod
    def from_args(cls, args: Namespace, ids: list[str] | None) -> "TextOutput":
        """From fairseq-generate's `--results-path`, `--gen-subset` and `--quiet`."""
        folder = getattr(args, "results_path", None)
        table = Path(folder) / f"generate-{args.gen_subset}.text.tsv" if folder else None
        return cls(table, ids, quiet=bool(getattr(args, "quiet", False)))

    def write(self, index: int, texts: Texts) -> None:
        """Give out the texts of one utterance."""
        if not self.quiet:
            translation = "M" if self.table is None else "D"
            lines = (("A", texts.asr), ("C", texts.st_ctc), (translation, texts.mt))
            for letter, text in lines:
                print(f"{letter}-{index}\t{text}", file=self.stream or sys.stdout)
        if self.table is not None:
            name = str(index) if self.ids is None else self.ids[index]
            row = (str(index), name, texts.asr, texts.st_ctc, texts.mt, texts.units)
            with self.table.open("a", encoding="utf-8") as table:
                table.write("\t".join(row) + "\n")
