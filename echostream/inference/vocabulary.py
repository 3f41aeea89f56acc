"""Token ids to text, without fairseq."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from echostream.policy.read_write import WORD_START, count_complete
from echostream.streaming import StreamState


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
        return [self._piece(token) for token in tokens if not self._is_special(token)]

    def timed_pieces(self, tokens: Sequence[int], frames: Sequence[int]) -> tuple[list[str], list[int]]:
        """Pieces of the tokens that carry text, and the frame of each."""
        kept = [
            (self._piece(token), frame)
            for token, frame in zip(tokens, frames, strict=True)
            if not self._is_special(token)
        ]
        return [piece for piece, _ in kept], [frame for _, frame in kept]

    def _is_special(self, token: int) -> bool:
        return token in (self.bos, self.pad, self.eos)

    def _piece(self, token: int) -> str:
        return WORD_START if token == self.unk else self.symbols[token]

    def text(self, tokens: Iterable[int]) -> str:
        """Detokenised text."""
        return " ".join(split_words(self.pieces(tokens)))


def split_words(pieces: Sequence[str]) -> list[str]:
    """Words of sentencepiece pieces."""
    return "".join(pieces).replace(WORD_START, " ").split()


def word_end_frames(pieces: Sequence[str], frames: Sequence[int]) -> list[int]:
    """The frame of the last piece of each word, for pieces and the frame of each."""
    ends: list[int] = []
    in_word = False
    for piece, frame in zip(pieces, frames, strict=True):
        for position, text in enumerate(piece.split(WORD_START)):
            in_word = in_word and position == 0
            if not text.strip():
                continue
            if not in_word:
                ends.append(frame)
            ends[-1] = frame
            in_word = True
    return ends


@dataclass
class WordEmitter(StreamState):
    """Hands out words once, when they are complete; words that were handed out are never taken back.

    A piece that continues a word which was handed out already (punctuation, say) comes as a word of its own.

    Args:
        emitted: what was handed out, joined by spaces, as code points.
        num_words: number of words in it.
    """

    emitted: list[int] = field(default_factory=list)
    num_words: int = 0

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
        known = "".join(map(chr, self.emitted))
        new_words = text[len(known) :].split() if text.startswith(known) else words[self.num_words :]
        if new_words:
            self.emitted = [ord(character) for character in text]
            self.num_words = max(len(words), self.num_words)
        return new_words

    def rest(self, pieces: Sequence[str]) -> str:
        """What the text has beyond the words that were handed out."""
        text = " ".join(split_words(pieces))
        known = "".join(map(chr, self.emitted))
        if text.startswith(known):
            return text[len(known) :].strip()
        return " ".join(split_words(pieces)[self.num_words :])
