"""Splitting words of the target language into the text decoder's subwords."""

from pathlib import Path
from typing import Protocol

from echostream.corpus.vocabulary import load_vocabulary
from echostream.inference.loaded_model import LoadedModel
from echostream.inference.vocabulary import Vocabulary


class WordSplitter(Protocol):
    """Gives the subwords of a word."""

    def __call__(self, word: str) -> list[int]: ...


class SentencePieceSplitter:
    """Splits with the sentencepiece model that the dictionary was made from.

    A piece that the dictionary lacks, such as a letter that the training text did not have, becomes `<unk>`,
    as fairseq's dictionaries have it.

    Args:
        model_path: the sentencepiece model.
        vocabulary: of the text decoder.
    Raises:
        FileNotFoundError: for a missing file.
        ValueError: for a file that is no sentencepiece model, or one with other pieces than the dictionary's.
    """

    def __init__(self, model_path: Path, vocabulary: Vocabulary) -> None:
        try:
            self._model = load_vocabulary(model_path)
        except RuntimeError as error:
            raise ValueError(f"{model_path}: not a sentencepiece model; check --tgt-splitter-path") from error
        special = {vocabulary.bos, vocabulary.pad, vocabulary.eos, vocabulary.unk}
        self._tokens = {
            symbol: token for token, symbol in enumerate(vocabulary.symbols) if token not in special
        }
        self._unk = vocabulary.unk
        pieces = (self._model.id_to_piece(index) for index in range(len(self._model)) if self._is_text(index))
        missing = [piece for piece in pieces if piece not in self._tokens]
        if missing:
            raise ValueError(
                f"{model_path}: {len(missing)} of its pieces, such as {missing[0]!r}, are not in the text "
                "decoder's dictionary; --tgt-splitter-path must be the model that the dictionary comes from"
            )

    def __call__(self, word: str) -> list[int]:
        """The subwords of a word; none for characters that stand for nothing, such as a zero-width space."""
        return [self._tokens.get(piece, self._unk) for piece in self._model.encode(word, out_type=str)]

    def _is_text(self, index: int) -> bool:
        model = self._model
        return not (
            model.is_control(index)
            or model.is_unknown(index)
            or model.is_unused(index)
            or model.is_byte(index)
        )


def load_splitter(loaded: LoadedModel, model_path: str | Path | None = None) -> SentencePieceSplitter:
    """Load the splitter of a model's target language.

    Args:
        loaded: the model.
        model_path: sentencepiece model; None: the one beside the text decoder's dictionary, with its name.
    Raises:
        FileNotFoundError, ValueError: as `SentencePieceSplitter`, and when no model is beside the dictionary.
    """
    if model_path is not None:
        return SentencePieceSplitter(Path(model_path), loaded.text_vocabulary)
    if loaded.task is None:
        raise ValueError(
            "the model was made without its dictionaries' files: give the sentencepiece model's path"
        )
    text_tasks, first_pass = loaded.task.text_tasks.values(), loaded.task.tgt_dict_mt
    dict_path = next(task.dict_path for task in text_tasks if task.tgt_dict is first_pass)
    beside = dict_path.with_suffix(".model")
    if not beside.is_file():
        raise FileNotFoundError(
            f"{beside}: there is no sentencepiece model beside the text decoder's dictionary; "
            "name the one from which the dictionary was made with --tgt-splitter-path"
        )
    return SentencePieceSplitter(beside, loaded.text_vocabulary)
