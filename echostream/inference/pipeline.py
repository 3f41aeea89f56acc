"""What the two ways of running a model share: each stage once, or all of them again at every chunk."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from echostream.data.audio import Samples
from echostream.inference.chunking import chunk_encoder_frames
from echostream.inference.ctc_path import CTCPath
from echostream.inference.interfaces import RevisingEncoder, TranslationModel
from echostream.inference.loaded_model import LoadedModel
from echostream.inference.options import SessionOptions
from echostream.inference.vocabulary import Vocabulary
from echostream.modules.chunk_size import OFFLINE_CHUNK_SIZE
from echostream.policy.read_write import Decision
from echostream.streaming import StreamState

VOCODER_BLOCK_FRAMES = 4
"""Unit frames (20 ms) that the vocoder takes at a time, so that its calls have few different sizes: what
libraries keep for each size in memory stops growing within a minute, and calls are cheaper.
"""


@dataclass(kw_only=True)
class PipelineState(StreamState):
    """What a session reads of either pipeline.

    Args:
        asr: path of the ASR head.
        st: path of the ST head.
        tokens: subwords of the text segment so far.
        text_finished: the segment's sentence has ended.
    """

    asr: CTCPath = field(default_factory=CTCPath)
    st: CTCPath = field(default_factory=CTCPath)
    tokens: list[int] = field(default_factory=list)
    text_finished: bool = False


class Pipeline(Protocol):
    """The stages of a model for one stream at a time; all that is remembered is in the state."""

    def init_state(self, sample_rate: int) -> Any:
        """Return the state of a stream, a `PipelineState`."""

    def hear(self, samples: Samples, state: Any, options: SessionOptions, *, is_final: bool) -> None:
        """Take mono samples `[n]`; the paths of the heads follow."""

    def num_confirmed_tokens(self, state: Any) -> int:
        """Return how many tokens of the ST head count for the policy."""

    def extend_text(self, state: Any, decision: Decision, options: SessionOptions) -> int:
        """Decode subwords as far as a WRITE allows; return how many are new."""

    def extend_units(self, state: Any, options: SessionOptions, *, is_final: bool) -> list[int]:
        """Return the units that the subwords so far add."""

    def speak(self, units: list[int], state: Any, options: SessionOptions, *, is_final: bool) -> Samples:
        """Return the samples `[n]` that new units add."""

    def end_segment(self, state: Any, options: SessionOptions) -> None:
        """Make final what the encoder holds back, if it is to start afresh."""

    def start_segment(self, state: Any, options: SessionOptions, num_frames: int) -> None:
        """Start the text side afresh; `num_frames` encoder frames have been heard by the clock."""


def encoder_chunk_size(model: TranslationModel, chunk_ms: int, segment_length: int | None = None) -> int:
    """The chunk size (encoder frames) that a latency of `chunk_ms` means for this model.

    A chunk Conformer attends in chunks of `chunk_ms / 40`. An Emformer uses segments of that length, but no
    longer than the longest that it was trained with, unless `segment_length` fixes it.

    Raises:
        ChunkSizeError: when the chunk is not a multiple of 40 ms.
        ValueError: for a fixed segment length where there are no segments.
    """
    frames = chunk_encoder_frames(chunk_ms)
    has_segments = not isinstance(model.encoder, RevisingEncoder)
    if segment_length is not None:
        if not has_segments:
            raise ValueError("a segment length belongs to an Emformer encoder; this model's encoder has none")
        return segment_length
    trained = [size for size in model.training_chunk_sizes if 0 < size < OFFLINE_CHUNK_SIZE]
    return min(frames, max(trained)) if has_segments and trained else frames


def resets_encoder(model: TranslationModel, options: SessionOptions) -> bool:
    """Whether the encoder starts afresh with each text segment."""
    return options.resets_encoder or isinstance(model.encoder, RevisingEncoder)


def unit_numbers(
    labels: Tensor, last_label: int, blank: int, vocabulary: Vocabulary
) -> tuple[list[int], int]:
    """Collapse the best labels `[n]` of further unit positions.

    Args:
        labels: best labels.
        last_label: label of the position before them.
        blank: the CTC blank.
        vocabulary: of the units; symbols that are no unit are dropped after the collapse.
    Returns:
        new units, and the label of the last position.
    """
    units = []
    for label in labels.tolist():
        if label not in (blank, last_label) and vocabulary.symbols[label].isdecimal():
            units.append(int(vocabulary.symbols[label]))
        last_label = label
    return units, last_label


def mono_to_numpy(waveform: Tensor) -> Samples:
    """Samples of a waveform `[n]`."""
    samples: Samples = waveform.float().cpu().numpy()
    return samples


def model_tensor(tensor: Tensor, loaded: LoadedModel) -> Tensor:
    """The tensor where the model is, in its type."""
    return tensor.to(device=loaded.device, dtype=loaded.dtype)


def empty_features(loaded: LoadedModel) -> Tensor:
    """No feature frame, `[1, 0, 80]`."""
    return torch.zeros(1, 0, 80, device=loaded.device, dtype=loaded.dtype)
