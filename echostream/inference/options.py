"""Settings of a session: what it produces, its latency, its guards, and how long a text segment may grow."""

from dataclasses import dataclass, fields, replace
from enum import Enum
from math import isfinite
from typing import Any

from echostream.inference.chunking import chunk_encoder_frames
from echostream.policy.read_write import CTCPolicy, WaitKPolicy, writes_whole_words

LATENCY_SETTINGS = frozenset(
    {
        "chunk_ms",
        "lagging_k1",
        "stride_n",
        "lagging_k2",
        "stride_n2",
        "waitk_lagging",
        "whole_words",
        "segment_length",
        "hold_back_frames",
    }
)
"""Settings that may change in mid-stream."""


class Output(Enum):
    """What a session produces."""

    TRANSCRIPTION = "transcription"
    TEXT = "text"
    SPEECH = "speech"


@dataclass(frozen=True)
class SessionOptions:
    """Settings of a session; where StreamSpeech's agents have a setting, name and default are theirs.

    Args:
        output: what is produced; a vocoder is needed for speech only.
        chunk_ms: source audio after which the policy decides once, a multiple of 40 ms.
        lagging_k1, stride_n: source side: tokens that the text stays behind the ST CTC head, and tokens that
            both heads must gain between two writes.
        lagging_k2, stride_n2: target side: subwords that units stay behind the text, and subwords turned into
            units at a time.
        waitk_lagging: chunks to wait for before writing `stride_n` subwords for every `stride_n` chunks
            (wait-k-stride-n), in place of the CTC policy; None is the CTC policy.
        whole_words: write complete words only; None: from chunks of 640 ms on.
        max_len: longest text segment in subwords; also bounds the decoders' positions.
        segment_length: fixed Emformer segment in encoder frames; None follows the chunk.
        unit_blank_penalty: subtracted from the logit of the unit decoder's blank: above 0, more units.
        dur_prediction: the vocoder predicts durations of units without repeats.
        hold_back_frames: unit frames (20 ms) of synthesised speech that wait for what follows them; four is
            the fewest without audible borders (docs/vocoder_borders.md).
        window_ms: source audio after which the text side is committed and starts afresh at the latest; 0:
            never, one utterance.
        pause_ms: pause of the ASR head that ends a text segment once it is half a window long; the wanted
            pause shrinks to none as the window fills.
        resets_encoder: the encoder starts afresh with each text segment too, as it does with an utterance.
            Always so for an encoder whose history is not bounded.
        max_repeats: repetition guard: times that the same one to four subwords may follow each other; 0: off.
        silence_dbfs: silence guard: chunks whose level (root mean square, dB relative to full scale) is not
            above this never lead to a write of their own; None: off.
    Raises:
        ValueError: for a value out of range, naming it.
    """

    output: Output = Output.SPEECH
    chunk_ms: int = 320
    lagging_k1: int = 0
    stride_n: int = 1
    lagging_k2: int = 0
    stride_n2: int = 1
    waitk_lagging: int | None = None
    whole_words: bool | None = None
    max_len: int = 200
    segment_length: int | None = None
    unit_blank_penalty: float = 0.0
    dur_prediction: bool = False
    hold_back_frames: int = 4
    window_ms: int = 30000
    pause_ms: int = 600
    resets_encoder: bool = False
    max_repeats: int = 0
    silence_dbfs: float | None = None

    def __post_init__(self) -> None:
        chunk_encoder_frames(self.chunk_ms)
        self.policy()
        for name in ("lagging_k2", "hold_back_frames", "window_ms", "pause_ms", "max_repeats"):
            if getattr(self, name) < 0:
                raise ValueError(f"{_flag(name)} cannot be negative, got {getattr(self, name)}")
        if self.stride_n2 < 1:
            raise ValueError(f"stride-n2 must be at least one subword, got {self.stride_n2}")
        if self.max_len < 1:
            raise ValueError(f"max-len, the longest text segment, is at least one token, got {self.max_len}")
        if self.segment_length is not None and self.segment_length < 1:
            raise ValueError(
                f"the segment length must be at least one encoder frame, got {self.segment_length}"
            )
        if not isfinite(self.unit_blank_penalty):
            raise ValueError(f"unit-blank-penalty must be a finite number, got {self.unit_blank_penalty}")
        if self.silence_dbfs is not None and self.silence_dbfs >= 0:
            raise ValueError(f"silence-dbfs is below full scale, that is negative, got {self.silence_dbfs}")

    def policy(self) -> CTCPolicy | WaitKPolicy:
        """The READ/WRITE policy."""
        whole_words = writes_whole_words(self.chunk_ms) if self.whole_words is None else self.whole_words
        if self.waitk_lagging is not None:
            return WaitKPolicy(self.waitk_lagging, self.stride_n, whole_words)
        return CTCPolicy(self.lagging_k1, self.stride_n, whole_words)

    def with_latency(self, **changes: Any) -> "SessionOptions":
        """The same with other latency settings.

        Raises:
            ValueError: for a setting that does not exist or is fixed for a session, or a bad value.
        """
        for name in changes:
            if name not in {item.name for item in fields(self)}:
                raise ValueError(f"there is no setting {name!r}; see SessionOptions")
            if name not in LATENCY_SETTINGS:
                raise ValueError(
                    f"{name} is fixed when a session starts; these may change: {sorted(LATENCY_SETTINGS)}"
                )
        return replace(self, **changes)


def _flag(name: str) -> str:
    return name.replace("_", "-")
