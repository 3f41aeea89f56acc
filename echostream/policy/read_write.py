"""StreamSpeech's READ/WRITE policy as pure functions and an immutable state.

After each chunk the policy sees two numbers, the tokens that the source (ASR) and the target (ST) CTC heads
have found so far, and says whether to write, and up to how many target subwords. The threshold that it uses
is the one that the training mask is built from (:mod:`echostream.policy.streaming_mask`).

Reference: StreamSpeech (Zhang et al., ACL 2024), section 3.4.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from torch import Tensor

WHOLE_WORD_MIN_CHUNK_MS = 640
WORD_START = "\u2581"  # sentencepiece's mark of a piece that begins a word

Count = TypeVar("Count", int, Tensor)


def required_target_tokens(subword_index: Count, lagging_k: int, stride_n: int) -> Count:
    """Return how many ST CTC tokens must be known before the target subword of this index (from 0) may be
    written.
    """
    return (subword_index // stride_n + 1) * stride_n + lagging_k


def allowed_subwords(target_tokens: int, lagging_k: int, stride_n: int) -> int:
    """Return how many target subwords may be written: the inverse of :func:`required_target_tokens`."""
    return max((target_tokens - lagging_k) // stride_n, 0) * stride_n


def writes_whole_words(chunk_ms: int) -> bool:
    """Tell whether a chunk of this length (ms) is long enough that only complete words are written."""
    return chunk_ms >= WHOLE_WORD_MIN_CHUNK_MS


def count_complete(pieces: Sequence[str]) -> int:
    """Return how many leading pieces are left when the last word, which may be incomplete, is dropped."""
    for index in range(len(pieces) - 1, -1, -1):
        if pieces[index].startswith(WORD_START):
            return index
    return 0


class Action(enum.Enum):
    """What the policy asks for."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True)
class Decision:
    """An action, and for WRITE the total number of target subwords to reach (None: no limit, flush).

    With whole words, one subword more than the policy allows is asked for, so that the end of a word can be
    seen; the caller then keeps :func:`count_complete` of them, unless the decision is a flush.
    """

    action: Action
    max_subwords: int | None = None
    drops_incomplete_word: bool = False


@dataclass(frozen=True)
class PolicyState:
    """Counts at the last write: tokens of the two CTC heads, and target subwords written so far."""

    source_tokens: int = 0
    target_tokens: int = 0
    written_subwords: int = 0


@dataclass(frozen=True)
class CTCPolicy:
    """Write when both CTC prefixes have grown by ``stride_n`` since the last write, ``lagging_k`` tokens
    behind.

    Args:
        lagging_k: tokens that the translation stays behind the ST CTC head (StreamSpeech's ``--lagging-k1``).
        stride_n: tokens that both heads must gain between two writes (``--stride-n``).
        whole_words: write complete words only; see :func:`writes_whole_words`.

    Raises:
        ValueError: for a negative lag or a stride below one.
    """

    lagging_k: int = 0
    stride_n: int = 1
    whole_words: bool = False

    def __post_init__(self) -> None:
        if self.lagging_k < 0:
            raise ValueError(f"lagging-k1 counts tokens and cannot be negative, got {self.lagging_k}")
        if self.stride_n < 1:
            raise ValueError(f"stride-n must be at least one token, got {self.stride_n}")

    def decide(
        self,
        state: PolicyState,
        source_tokens: int,
        target_tokens: int,
        *,
        num_chunks: int = 0,
        source_finished: bool = False,
    ) -> Decision:
        """Decide after a chunk; neither argument nor state is changed.

        Args:
            state: counts at the last write.
            source_tokens: tokens of the ASR CTC head so far.
            target_tokens: tokens of the ST CTC head so far; in streaming, those that a source token confirms
                (:func:`~echostream.policy.ctc_alignment.confirmed_tokens`), as in training.
            num_chunks: chunks heard so far; not used by this policy.
            source_finished: the source has ended: everything that is left is written.

        Returns:
            The decision; a WRITE always allows at least one subword more than has been written.
        """
        if source_finished:
            return Decision(Action.WRITE)
        grown = min(source_tokens - state.source_tokens, target_tokens - state.target_tokens)
        if grown < self.stride_n:
            return Decision(Action.READ)
        limit = allowed_subwords(target_tokens, self.lagging_k, self.stride_n) + int(self.whole_words)
        if limit <= state.written_subwords:
            return Decision(Action.READ)
        return Decision(Action.WRITE, limit, self.whole_words)

    @staticmethod
    def after_write(
        state: PolicyState, source_tokens: int, target_tokens: int, written_subwords: int
    ) -> PolicyState:
        """Return the state after a write; when no subword was added, the old state, since nothing was
        written.

        Args:
            state: counts at the last write.
            source_tokens: tokens of the ASR CTC head when the decision was made.
            target_tokens: tokens of the ST CTC head when the decision was made.
            written_subwords: target subwords written so far, in total.

        Raises:
            ValueError: if fewer subwords are written than before.
        """
        if written_subwords < state.written_subwords:
            raise ValueError(
                f"written subwords cannot be taken back: {written_subwords} after {state.written_subwords}"
            )
        if written_subwords == state.written_subwords:
            return state
        return replace(
            state,
            source_tokens=max(source_tokens, state.source_tokens),
            target_tokens=max(target_tokens, state.target_tokens),
            written_subwords=written_subwords,
        )


@dataclass(frozen=True)
class WaitKPolicy:
    """Wait for ``waitk_lagging`` chunks, then write ``stride_n`` subwords for every ``stride_n`` chunks.

    Args:
        waitk_lagging: chunks to hear before the first write, at least one.
        stride_n: subwords written at a time, and chunks heard between two writes.
        whole_words: write complete words only; see :func:`writes_whole_words`.

    Raises:
        ValueError: for a lag or a stride below one.

    Reference: STACL (Ma et al., ACL 2019); wait-k-stride-n (Zeng et al., ACL Findings 2021).
    """

    waitk_lagging: int
    stride_n: int = 1
    whole_words: bool = False

    def __post_init__(self) -> None:
        if self.waitk_lagging < 1:
            raise ValueError(f"waitk-lagging must be at least one chunk, got {self.waitk_lagging}")
        if self.stride_n < 1:
            raise ValueError(f"stride-n must be at least one token, got {self.stride_n}")

    def decide(
        self,
        state: PolicyState,
        source_tokens: int,
        target_tokens: int,
        *,
        num_chunks: int = 0,
        source_finished: bool = False,
    ) -> Decision:
        """Decide after a chunk; see :meth:`CTCPolicy.decide`. The tokens of the heads play no part."""
        if source_finished:
            return Decision(Action.WRITE)
        if num_chunks < self.waitk_lagging:
            return Decision(Action.READ)
        limit = ((num_chunks - self.waitk_lagging) // self.stride_n + 1) * self.stride_n
        limit += int(self.whole_words)
        if limit <= state.written_subwords:
            return Decision(Action.READ)
        return Decision(Action.WRITE, limit, self.whole_words)

    after_write = staticmethod(CTCPolicy.after_write)
