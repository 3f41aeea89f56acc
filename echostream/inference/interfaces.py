"""What inference needs of a model, its encoder and a vocoder; the lower layers' classes fit as they are."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

EncoderOut = dict[str, list[Tensor]]


class Resettable(Protocol):
    """State of a stream."""

    def reset(self) -> None: ...


class Encoder(Protocol):
    """An encoder that is called on the whole utterance."""

    def __call__(
        self, src_tokens: Tensor, src_lengths: Tensor, *, chunk_size: int | None = None
    ) -> EncoderOut: ...


@runtime_checkable
class StreamingEncoder(Protocol):
    """An encoder with a state: `streaming_forward` takes any number of feature frames."""

    def init_state(self, batch_size: int, *, device: torch.device, dtype: torch.dtype) -> Resettable: ...

    def streaming_forward(
        self, src_tokens: Tensor, state: Any = None, *, is_final: bool = False, chunk_size: int | None = None
    ) -> Tensor: ...

    def reset_cache(self) -> None: ...


class TranslationModel(Protocol):
    """The pieces of a two-pass speech-to-unit model that a session calls."""

    encoder: Any
    training_chunk_sizes: tuple[int, ...]

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

    @property
    def receptive_field(self) -> Any: ...

    def __call__(self, x: Mapping[str, Tensor], dur_prediction: bool = False) -> tuple[Tensor, Tensor]: ...
