"""What inference needs of a model, its encoder and a vocoder; the lower layers' classes fit as they are."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from echostream.streaming import StreamState

EncoderOut = dict[str, list[Tensor]]


class StreamingModule(Protocol):
    """A module with the three verbs."""

    def init_state(self, batch_size: int, *, device: torch.device, dtype: torch.dtype) -> Any: ...

    def streaming_forward(self, x: Tensor, state: Any, *, is_final: bool = False) -> Tensor: ...


@runtime_checkable
class RevisingEncoder(Protocol):
    """An encoder whose newest chunk may change until it is complete; its history is not bounded."""

    def provisional(self, state: Any) -> Tensor: ...


@runtime_checkable
class CachedEncoder(Protocol):
    """An encoder with a default state of its own."""

    def reset_cache(self) -> None: ...


class TextDecoder(Protocol):
    """The first-pass decoder: each position sees the frames that were appended before it was decoded."""

    def init_state(self, batch_size: int, *, device: torch.device, dtype: torch.dtype) -> Any: ...

    def append_frames(self, frames: Tensor, state: Any) -> None: ...

    def streaming_forward(
        self, prev_output_tokens: Tensor, state: Any, *, is_final: bool = False
    ) -> Tensor: ...

    def output_layer(self, features: Tensor) -> Tensor: ...


class UnitDecoder(Protocol):
    """The second-pass decoder: text states in, unit logits out."""

    def init_state(self, batch_size: int, *, device: torch.device, dtype: torch.dtype) -> Any: ...

    def streaming_forward(
        self, x: Tensor, state: Any, *, is_final: bool = False, lagging_k: int = 0, stride_n: int = 1
    ) -> Tensor: ...


class TranslationModel(Protocol):
    """The pieces of a two-pass speech-to-unit model, each streaming, and their forward passes."""

    encoder: Any
    training_chunk_sizes: tuple[int, ...]

    @property
    def asr_head(self) -> StreamingModule: ...

    @property
    def st_head(self) -> StreamingModule: ...

    @property
    def mt_decoder(self) -> TextDecoder: ...

    @property
    def text_to_unit_encoder(self) -> StreamingModule | None: ...

    @property
    def unit_decoder(self) -> UnitDecoder: ...

    def to(self, *, device: torch.device, dtype: torch.dtype) -> Any: ...

    def asr_logits(self, encoder_out: EncoderOut) -> Tensor: ...

    def st_logits(self, encoder_out: EncoderOut) -> Tensor: ...

    def decode_text(
        self, prev_output_tokens_mt: Tensor, encoder_out: EncoderOut, visible_frames: Tensor | None = None
    ) -> tuple[Tensor, Tensor]: ...

    def text_to_units(
        self,
        features: Tensor,
        text_padding_mask: Tensor | None = None,
        streaming_config: dict[str, int] | None = None,
    ) -> Tensor: ...


class Vocoder(Protocol):
    """A unit vocoder."""

    @property
    def sample_rate(self) -> int: ...

    @property
    def code_hop_samples(self) -> int: ...

    def __call__(self, x: Mapping[str, Tensor], dur_prediction: bool = False) -> tuple[Tensor, Tensor]: ...

    def forward_from_durations(self, code: Tensor, durations_frames: Tensor) -> Tensor: ...

    def init_state(
        self, batch_size: int = 1, *, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> StreamState: ...

    def streaming_forward(
        self,
        units: Tensor,
        state: Any,
        *,
        is_final: bool = False,
        dur_prediction: bool = False,
        hold_back_frames: int = 0,
        block_frames: int = 1,
    ) -> tuple[Tensor, Tensor]: ...
