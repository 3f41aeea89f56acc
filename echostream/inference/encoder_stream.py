"""The encoder of one stream: incremental where the encoder can, recomputed where it cannot."""

from typing import Any, Protocol

import torch
from torch import Tensor

from echostream.inference.chunking import chunk_encoder_frames
from echostream.inference.interfaces import EncoderOut, StreamingEncoder, TranslationModel
from echostream.modules.chunk_size import OFFLINE_CHUNK_SIZE


class EncoderStream(Protocol):
    """Features in, encoder frames out; `frames` holds all frames `[T', 1, C]` of the utterance so far."""

    frames: Tensor
    chunk_size: int

    def reset(self) -> None: ...

    def push(self, features: Tensor, *, is_final: bool) -> None: ...


def as_encoder_out(frames: Tensor) -> EncoderOut:
    """fairseq's encoder dictionary for frames `[T', 1, C]` without padding."""
    return {
        "encoder_out": [frames],
        "encoder_padding_mask": [],
        "encoder_embedding": [],
        "encoder_states": [],
        "src_tokens": [],
        "src_lengths": [],
    }


class IncrementalEncoderStream:
    """Each feature frame is encoded once; the state is this stream's own.

    Dimensions: T' encoder frames of 40 ms, C channels.

    Args:
        encoder: an encoder with `streaming_forward`.
        chunk_size: segment length in encoder frames; a change holds from the next segment on.
        device: where features go.
        dtype: their type.
    """

    def __init__(
        self, encoder: StreamingEncoder, chunk_size: int, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.encoder = encoder
        self.chunk_size = chunk_size
        self._device = device
        self._dtype = dtype
        self._state: Any = encoder.init_state(1, device=device, dtype=dtype)
        self.reset()

    def reset(self) -> None:
        """Start a new stream; the encoder's own default state is cleared too."""
        self.encoder.reset_cache()
        self._state.reset()
        self.frames = torch.zeros(0, 1, 0, device=self._device, dtype=self._dtype)

    def push(self, features: Tensor, *, is_final: bool) -> None:
        """Encode the next features `[t, 80]`."""
        source = features.to(device=self._device, dtype=self._dtype).unsqueeze(0)
        output = self.encoder.streaming_forward(
            source, self._state, is_final=is_final, chunk_size=self.chunk_size
        ).transpose(0, 1)
        if output.size(0):
            self.frames = torch.cat([self.frames, output]) if self.frames.size(0) else output


class RecomputingEncoderStream:
    """The whole utterance is encoded again at every step, under the chunk mask of the training.

    Frames of complete chunks keep their values; the newest ones may change when their right context arrives.

    Args:
        encoder: an encoder that takes `chunk_size` in its call.
        chunk_size: attention chunk in encoder frames.
        device: where features go.
        dtype: their type.
    """

    def __init__(self, encoder: Any, chunk_size: int, *, device: torch.device, dtype: torch.dtype) -> None:
        self.encoder = encoder
        self.chunk_size = chunk_size
        self._device = device
        self._dtype = dtype
        self.reset()

    def reset(self) -> None:
        """Start a new stream."""
        self._features: list[Tensor] = []
        self.frames = torch.zeros(0, 1, 0, device=self._device, dtype=self._dtype)

    def push(self, features: Tensor, *, is_final: bool) -> None:
        """Encode all features, the next ones `[t, 80]` included."""
        if not features.size(0):
            return
        self._features = [torch.cat([*self._features, features.to(device=self._device, dtype=self._dtype)])]
        source = self._features[0].unsqueeze(0)
        lengths = torch.tensor([source.size(1)], device=self._device)
        self.frames = self.encoder(source, lengths, chunk_size=self.chunk_size)["encoder_out"][0]


def encoder_chunk_size(model: TranslationModel, chunk_ms: int, segment_length: int | None = None) -> int:
    """The chunk size (encoder frames) that a latency of `chunk_ms` means for this model.

    A chunk Conformer attends in chunks of `chunk_ms / 40`. An Emformer uses segments of that length, but no
    longer than the longest that it was trained with, unless `segment_length` fixes it.

    Raises:
        ChunkSizeError: when the chunk is not a multiple of 40 ms.
        ValueError: for a fixed segment length where there are no segments, or below one.
    """
    frames = chunk_encoder_frames(chunk_ms)
    streams = isinstance(model.encoder, StreamingEncoder)
    if segment_length is not None:
        if not streams:
            raise ValueError("a segment length belongs to an Emformer encoder; this model's encoder has none")
        if segment_length < 1:
            raise ValueError(f"the segment length must be at least one encoder frame, got {segment_length}")
        return segment_length
    trained = [size for size in model.training_chunk_sizes if 0 < size < OFFLINE_CHUNK_SIZE]
    return min(frames, max(trained)) if streams and trained else frames


def build_encoder_stream(
    model: TranslationModel, chunk_size: int, *, device: torch.device, dtype: torch.dtype
) -> EncoderStream:
    """An encoder stream of the kind that the model's encoder allows."""
    if isinstance(model.encoder, StreamingEncoder):
        return IncrementalEncoderStream(model.encoder, chunk_size, device=device, dtype=dtype)
    return RecomputingEncoderStream(model.encoder, chunk_size, device=device, dtype=dtype)
