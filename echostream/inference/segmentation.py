"""Where a stream without end is cut into text segments, so that text history and positions stay bounded.

The audio side goes on over a cut: every encoder frame belongs to exactly one segment, so no word is lost and
none is heard twice. The text side writes what is left, as at the end of an utterance, and starts afresh.
"""

from collections.abc import Sequence

from echostream.inference.chunking import ENCODER_FRAME_MS
from echostream.inference.options import SessionOptions

HARD_LIMIT = 1.25
"""Fullness at which a segment ends whatever is being said."""

SENTENCE_END = (".", "!", "?", "…", "。", "！", "？")


def fullness(age_ms: int, num_target_tokens: int, options: SessionOptions) -> float:
    """How full a segment is: 1 at the end of the window, or at 1 / `HARD_LIMIT` of the longest text.

    Args:
        age_ms: source audio since the segment began.
        num_target_tokens: subwords of its translation.
        options: window and longest text.
    """
    return max(age_ms / options.window_ms, HARD_LIMIT * num_target_tokens / options.max_len)


def required_pause_ms(full: float, options: SessionOptions) -> float | None:
    """The pause that ends a segment of this fullness, or None while it must not end.

    A segment that is less than half full is never cut. From there the pause that is wanted shrinks from
    `pause_ms` to nothing.
    """
    return None if full < 0.5 else max(0.0, options.pause_ms * 2 * (1 - full))


def segment_ends(
    full: float, num_blank_frames: int, source_pieces: Sequence[str], options: SessionOptions
) -> bool:
    """Whether the text segment ends with this chunk: after a pause that is long enough, after a sentence's
    end, or at the latest when it is `HARD_LIMIT` full.

    Args:
        full: see `fullness`.
        num_blank_frames: encoder frames since the ASR head's newest token.
        source_pieces: pieces of the segment's transcription.
        options: window and pause.
    """
    pause_ms = required_pause_ms(full, options)
    if pause_ms is None:
        return False
    if full >= HARD_LIMIT:
        return True
    is_sentence = bool(source_pieces) and source_pieces[-1].endswith(SENTENCE_END)
    wanted_ms = max(ENCODER_FRAME_MS, 0 if is_sentence else pause_ms)
    return num_blank_frames * ENCODER_FRAME_MS >= wanted_ms
