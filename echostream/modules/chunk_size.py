"""Chunk sizes in encoder frames: which numbers mean a chunk, which mean "offline", and which are trained."""

import math

OFFLINE_CHUNK_SIZE = 999
"""A chunk size of this many encoder frames or more (or of zero or less) means: no chunks at all."""

TRAINING_CHUNK_SIZES = (8, 16, 24, 32, OFFLINE_CHUNK_SIZE)
"""Attention chunks, in encoder frames, that multi-chunk training draws from."""

TRAINING_CONV_CHUNK_SIZES = (8, 16)
"""Convolution chunks that multi-chunk training draws from; never longer than the attention chunk."""


def chunk_or_none(chunk_size: int) -> int | None:
    """Return the chunk size, or None when it means offline."""
    return chunk_size if 0 < chunk_size < OFFLINE_CHUNK_SIZE else None


def conv_chunk_for(chunk_size: int) -> int:
    """Return the convolution chunk that belongs to an attention chunk at inference: 8, 16 from 16 on, or
    offline.
    """
    if chunk_or_none(chunk_size) is None:
        return OFFLINE_CHUNK_SIZE
    return 16 if chunk_size >= 16 else 8


def block_size_for(chunk_size: int | None, conv_chunk_size: int | None) -> int | None:
    """Return after how many encoder frames the chunks of attention and convolutions end together.

    Before that, a frame may still change: attention mixes frames whose convolutions go on beyond its chunk,
    and the other way round. None: never before the end of the source.
    """
    if chunk_size is None or conv_chunk_size is None:
        return None
    return math.lcm(chunk_size, conv_chunk_size)
