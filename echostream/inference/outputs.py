"""What a session hands out at each step."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from echostream.data.audio import Samples


@dataclass(frozen=True)
class TimedWord:
    """A final word.

    Args:
        text: the word.
        source_ms: for a source word, the end of the encoder frame at which the ASR head found its last piece;
            for a target word, how much source audio had been heard when it was written.
    """

    text: str
    source_ms: int


@dataclass(frozen=True)
class StepOutput:
    """What one step made final, and what is still tentative; nothing final is ever taken back.

    Args:
        source_words: new words of the transcription.
        target_words: new words of the translation.
        tokens: new subwords of the translation; the last word that they belong to may be incomplete.
        units: new units.
        waveform: new speech, float32 `[samples]`.
        waveform_start_samples: where it begins on the output's own timeline, which has no pauses.
        heard_ms: source audio that the session has decided upon so far.
        tentative_source_text: what the ASR head has found beyond the final words.
        tentative_target_text: the beginning of a word of the translation that is not complete.
        preview_text: the ST CTC head's translation of the text segment so far.
        num_segments: text segments that are finished.
        is_final: the stream is over.
    """

    source_words: tuple[TimedWord, ...] = ()
    target_words: tuple[TimedWord, ...] = ()
    tokens: tuple[int, ...] = ()
    units: tuple[int, ...] = ()
    waveform: Samples = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    waveform_start_samples: int = 0
    heard_ms: int = 0
    tentative_source_text: str = ""
    tentative_target_text: str = ""
    preview_text: str = ""
    num_segments: int = 0
    is_final: bool = False

    @property
    def source_text(self) -> str:
        """The new words of the transcription."""
        return " ".join(word.text for word in self.source_words)

    @property
    def target_text(self) -> str:
        """The new words of the translation."""
        return " ".join(word.text for word in self.target_words)


def join(pieces: Sequence[StepOutput]) -> StepOutput:
    """What consecutive pieces made final, in one."""
    return StepOutput(
        source_words=tuple(word for piece in pieces for word in piece.source_words),
        target_words=tuple(word for piece in pieces for word in piece.target_words),
        tokens=tuple(token for piece in pieces for token in piece.tokens),
        units=tuple(unit for piece in pieces for unit in piece.units),
        waveform=np.concatenate([np.zeros(0, dtype=np.float32), *(piece.waveform for piece in pieces)]),
    )
