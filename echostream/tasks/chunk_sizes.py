"""Chunk sizes as users write them: encoder frames of 40 ms, or a word."""

from echostream.modules.chunk_size import OFFLINE_CHUNK_SIZE, chunk_or_none

OFFLINE = "offline"


def parse_chunk_size(text: str) -> int:
    """Encoder frames of "8", or 999 for "offline".

    Raises:
        ValueError: for anything else, or less than one frame.
    """
    word = text.strip()
    if word == OFFLINE:
        return OFFLINE_CHUNK_SIZE
    if not word.isdigit() or int(word) < 1:
        raise ValueError(
            f"a chunk size is a positive number of encoder frames (40 ms) or {OFFLINE!r}, not {text!r}"
        )
    return int(word)


def parse_chunk_sizes(text: str) -> tuple[int, ...]:
    """Encoder frames of a list such as "8,16,offline"; each size may stand there once."""
    sizes = tuple(parse_chunk_size(word) for word in text.split(","))
    if len({min(size, OFFLINE_CHUNK_SIZE) for size in sizes}) != len(sizes):
        raise ValueError(f"a chunk size stands twice in {text!r}")
    return sizes


def chunk_size_name(chunk_size: int) -> str:
    """How metrics call a chunk size: "c8" or "offline"."""
    return OFFLINE if chunk_or_none(chunk_size) is None else f"c{chunk_size}"
