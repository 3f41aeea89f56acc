"""Cutting a stream of samples at chunk borders, however the samples are delivered."""

import numpy as np
import numpy.typing as npt

from echostream.data.audio import AudioError, Samples, check_sample_rate, to_mono

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


class ChunkBuffer:
    """Collects samples and hands them out in whole chunks, however they are delivered.

    Border k lies `floor(k * chunk_ms * rate / 1000)` samples after the one where the chunk size was set.

    Args:
        chunk_ms: chunk in ms, a multiple of 40.
    """

    def __init__(self, chunk_ms: int) -> None:
        self._chunk_ms = chunk_ms
        chunk_encoder_frames(chunk_ms)
        self.reset()

    @property
    def chunk_ms(self) -> int:
        """Length of the chunks in ms."""
        return self._chunk_ms

    @chunk_ms.setter
    def chunk_ms(self, chunk_ms: int) -> None:
        chunk_encoder_frames(chunk_ms)
        self._chunk_ms = chunk_ms
        self._num_chunks = 0  # borders count from the last one that was passed

    def reset(self) -> None:
        """Make the object as if newly built; the chunk size stays."""
        self._sample_rate: int | None = None
        self._num_chunks = 0
        self._pending: list[Samples] = []
        self._num_pending_samples = 0

    @property
    def sample_rate(self) -> int | None:
        """Rate of the stream in Hz, None before the first samples."""
        return self._sample_rate

    def push(self, samples: npt.ArrayLike, sample_rate: int) -> list[Samples]:
        """Add samples and take the chunks that they complete.

        Args:
            samples: `[n]` or `[n, channels]`, n >= 0.
            sample_rate: their rate in Hz, the same during a stream.
        Returns:
            mono chunks, each `[chunk samples]`.
        Raises:
            AudioError: for bad samples, or a rate that changes in mid-stream.
        """
        mono = to_mono(samples)
        rate = check_sample_rate(sample_rate)
        if self._sample_rate is not None and rate != self._sample_rate:
            raise AudioError(
                f"the sample rate changed from {self._sample_rate} to {rate} Hz within an utterance; "
                "call reset() before another stream"
            )
        self._sample_rate = rate
        self._pending.append(mono)
        self._num_pending_samples += mono.size
        chunks = []
        while self._num_pending_samples >= (wanted := self._next_chunk_samples(rate)):
            joined = np.concatenate(self._pending)
            chunks.append(joined[:wanted])
            self._pending = [joined[wanted:]]
            self._num_pending_samples -= wanted
            self._num_chunks += 1
        return chunks

    def take_rest(self) -> Samples:
        """The samples after the last border, fewer than a chunk; they leave the buffer."""
        rest = np.concatenate(self._pending) if self._pending else np.zeros(0, dtype=np.float32)
        self._pending = []
        self._num_pending_samples = 0
        return rest

    def _next_chunk_samples(self, rate: int) -> int:
        begin, end = (
            index * self._chunk_ms * rate // 1000 for index in (self._num_chunks, self._num_chunks + 1)
        )
        return max(1, end - begin)
