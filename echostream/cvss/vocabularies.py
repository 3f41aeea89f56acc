"""The step vocabulary: a sentencepiece model and a fairseq dictionary for each side, trained or given."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from echostream.corpus.steps import Steps
from echostream.corpus.vocabulary import SPECIALS, load_vocabulary, train_vocabulary
from echostream.cvss.pairs import read_pairs
from echostream.cvss.sources import CorpusError

SIDES = ("src", "tgt")
ENDINGS = (".model", ".vocab", ".txt")


@dataclass(frozen=True)
class Vocabularies:
    """Where the vocabularies of a language pair are; the names are those of the public configurations.

    Attributes:
        output: the corpus folder.
        src_lang: names the files of both sides.
        size: pieces of each side, special ones included; names the folders.
    """

    output: Path
    src_lang: str
    size: int = 6000

    def folder(self, side: str) -> str:
        """Folder of a side ("src" or "tgt"), relative to the corpus."""
        return f"{side}_unigram{self.size}"

    def prefix(self, side: str) -> str:
        """Path of a side's files without their endings, relative to the corpus."""
        return f"{self.folder(side)}/spm_unigram_{self.src_lang}"

    def model(self, side: str) -> Path:
        """The sentencepiece model of a side.

        Raises:
            CorpusError: the step has not run.
        """
        path = self.output / f"{self.prefix(side)}.model"
        if not path.is_file():
            raise CorpusError(
                f"{path}: no such sentencepiece model; run the step vocabulary with this VOCAB_SIZE"
            )
        return path


def check_dictionary(model_path: Path, dictionary_path: Path) -> int:
    """Check that a fairseq dictionary lists the pieces of a model in order; returns the model's size.

    Raises:
        FileNotFoundError: one of the files does not exist.
        CorpusError: the special pieces are numbered in another way, or the files do not belong together.
    """
    model = load_vocabulary(model_path)
    pieces = [model.id_to_piece(index) for index in range(len(model))]
    if tuple(pieces[: len(SPECIALS)]) != SPECIALS:
        raise CorpusError(
            f"{model_path}: its first pieces are {pieces[:4]}, but fairseq needs {list(SPECIALS)}"
        )
    if not dictionary_path.is_file():
        raise FileNotFoundError(f"{dictionary_path}: the dictionary must lie beside {model_path.name}")
    listed = [line.rpartition(" ")[0] for line in dictionary_path.read_text(encoding="utf-8").splitlines()]
    if listed != pieces[len(SPECIALS) :]:
        raise CorpusError(f"{dictionary_path}: does not list the pieces of {model_path} in their order")
    return len(pieces)


def _copy_given(model_path: Path, prefix: Path) -> int:
    """Copy a given model and its dictionary; the list of scores is made again from the model."""
    size = check_dictionary(model_path, model_path.with_suffix(".txt"))
    prefix.parent.mkdir(parents=True, exist_ok=True)
    for ending in (".model", ".txt"):
        shutil.copyfile(model_path.with_suffix(ending), f"{prefix}{ending}")
    model = load_vocabulary(model_path)
    lines = (f"{model.id_to_piece(index)}\t{model.get_score(index):g}\n" for index in range(size))
    Path(f"{prefix}.vocab").write_text("".join(lines), encoding="utf-8")
    return size


def write_vocabularies(
    vocabularies: Vocabularies, given: dict[str, Path | None], *, log: Callable[[str], None]
) -> None:
    """Train the vocabularies on the training pairs, or take given ones.

    Args:
        vocabularies: where they go.
        given: for each side a sentencepiece model with its fairseq dictionary (.txt) beside it, or None.
        log: told the sizes.

    Raises:
        CorpusError, FileNotFoundError, ValueError: a given one cannot be used, or the text is too small.
    """
    steps = Steps(vocabularies.output, log)
    pairs = read_pairs(vocabularies.output, "train")
    texts = {"src": [pair.src_text for pair in pairs], "tgt": [pair.tgt_text for pair in pairs]}
    for side in SIDES:
        _write_side(steps, vocabularies, side, given[side], texts[side], log)


def _write_side(
    steps: Steps,
    vocabularies: Vocabularies,
    side: str,
    given: Path | None,
    texts: list[str],
    log: Callable[[str], None],
) -> None:
    prefix = vocabularies.output / vocabularies.prefix(side)

    def build() -> list[str]:
        if given is not None:
            size = _copy_given(given, prefix)
        else:
            prefix.parent.mkdir(parents=True, exist_ok=True)
            size = train_vocabulary(texts, vocabularies.size, prefix, log=log)
        log(f"  {vocabularies.prefix(side)}: {size} pieces, {'given' if given else 'trained'}")
        return [f"{vocabularies.prefix(side)}{ending}" for ending in ENDINGS]

    inputs: dict[str, object] = {"size": vocabularies.size, "texts": texts}
    if given is not None:
        check_dictionary(given, given.with_suffix(".txt"))
        inputs = {"given": given.read_bytes().hex()}
    steps.run(f"vocabulary.{side}", inputs, build, folders=[vocabularies.folder(side)])
