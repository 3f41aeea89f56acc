"""Cutting a stream of samples at chunk borders, however the samples are delivered."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from echostream.data.audio import Samples
from echostream.streaming import StreamState

ENCODER_FRAME_MS = 40


class ChunkSizeError(ValueError):
    """A chunk that is not a positive multiple of the encoder frame."""


def chunk_encoder_frames(chunk_ms: int) -> int:
    """Encoder frames (40 ms) of a chunk.

    Raises:
        ChunkSizeError: when the chunk is not a positive multiple of 40 ms.
    """
    if chunk_ms <= 0 or chunk_ms % ENCODER_FRAME_MS:
        raise ChunkSizeError(
            f"a chunk of {chunk_ms} ms is not a positive multiple of the encoder frame of "
            f"{ENCODER_FRAME_MS} ms; set --source-segment-size to 320 or 640, say"
        )
    return chunk_ms // ENCODER_FRAME_MS


@dataclass
class ChunkBuffer(StreamState):
    """Collects samples and hands them out in whole chunks, however they are delivered.

    Border k lies `floor(k * chunk_ms * rate / 1000)` samples after the one where the chunk size was set.

    Args:
        sample_rate: rate of the stream in Hz.
        chunk_ms: chunk in ms, a multiple of 40.
        pending: `[n]`, float32, samples after the last border.
        num_chunks: chunks handed out since the chunk size was set.
    """

    sample_rate: int
    chunk_ms: int
    pending: Tensor
    num_chunks: int = 0

    @classmethod
    def create(cls, sample_rate: int, chunk_ms: int) -> "ChunkBuffer":
        """Return an empty buffer."""
        return cls(sample_rate, chunk_ms, torch.zeros(0))

    def set_chunk_ms(self, chunk_ms: int) -> None:
        """Change the chunk size: borders count from the last one that was passed."""
        if chunk_ms != self.chunk_ms:
            self.chunk_ms = chunk_ms
            self.num_chunks = 0

    def push(self, samples: Samples, *, is_final: bool = False) -> list[Samples]:
        """Add mono samples `[n]` and take the chunks that they complete; the final call gives the rest too,
        however short.
        """
        self.begin_step(is_final=is_final)
        joined = np.concatenate([self.pending.numpy(), samples])
        chunks = []
        begin = 0
        while joined.size - begin >= (wanted := self._next_chunk_samples()):
            chunks.append(joined[begin : begin + wanted])
            begin += wanted
            self.num_chunks += 1
        if is_final:
            chunks.append(joined[begin:])
            begin = joined.size
        self.pending = torch.from_numpy(joined[begin:].copy())
        return chunks

    def _next_chunk_samples(self) -> int:
        begin, end = (
            index * self.chunk_ms * self.sample_rate // 1000
            for index in (self.num_chunks, self.num_chunks + 1)
        )
        return max(1, end - begin)
