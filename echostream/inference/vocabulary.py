"""Token ids to text, without fairseq."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from echostream.policy.read_write import WORD_START, count_complete


@dataclass(frozen=True)
class Vocabulary:
    """Symbols of a dictionary in index order, and its special indices.

    Args:
        symbols: symbol of each index.
        bos, pad, eos, unk: indices of the special symbols.
    """

    symbols: tuple[str, ...]
    bos: int = 0
    pad: int = 1
    eos: int = 2
    unk: int = 3

    def __len__(self) -> int:
        return len(self.symbols)

    def pieces(self, tokens: Iterable[int]) -> list[str]:
        """Symbols of the tokens that carry text; an unknown piece is a word border, as in StreamSpeech."""
        special = (self.bos, self.pad, self.eos)
        return [
            WORD_START if token == self.unk else self.symbols[token]
            for token in tokens
            if token not in special
        ]

    def text(self, tokens: Iterable[int]) -> str:
        """Detokenised text."""
        return " ".join(split_words(self.pieces(tokens)))


def split_words(pieces: Sequence[str]) -> list[str]:
    """Words of sentencepiece pieces."""
    return "".join(pieces).replace(WORD_START, " ").split()


class WordEmitter:
    """Hands out words once, when they are complete; words that were handed out are never taken back.

    A piece that continues a word which was handed out already (punctuation, say) comes as a word of its own.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start a new text."""
        self._text = ""
        self._num_emitted_words = 0

    def push(self, pieces: Sequence[str], *, is_complete: bool) -> list[str]:
        """New words of a text that grows.

        Args:
            pieces: all pieces of the text so far.
            is_complete: the last word is complete too; otherwise it is held back until another one begins.
        Returns:
            what was not handed out before; of a revised text, the words beyond the number handed out.
        """
        words = split_words(pieces if is_complete else pieces[: count_complete(pieces)])
        text = " ".join(words)
        if text.startswith(self._text):
            new_words = text[len(self._text) :].split()
        else:
            new_words = words[self._num_emitted_words :]
        if new_words:
            self._text = text
            self._num_emitted_words = max(len(words), self._num_emitted_words)
        return new_words
