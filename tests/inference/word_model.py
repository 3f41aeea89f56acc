"""A model that translates perfectly: every word of its language is a tone, and what is heard can be counted.

It has the streaming parts that the engine calls. Translation and transcription of a stream are known exactly,
so that a word that is lost or repeated shows.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from echostream.data.audio import Samples
from echostream.data.fbank import extract_fbank
from echostream.inference.loaded_model import LoadedModel
from echostream.inference.vocabulary import Vocabulary
from echostream.streaming import StreamState

RATE = 16000
NUM_WORDS = 12
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")
SOURCE = Vocabulary((*SPECIALS, *(f"▁mot{index}" for index in range(NUM_WORDS))))
TARGET = Vocabulary((*SPECIALS, *(f"▁word{index}" for index in range(NUM_WORDS))))
UNITS = Vocabulary((*SPECIALS, *(str(unit) for unit in range(NUM_WORDS)), "<blank>"))
TONES_HZ = [300 * 1.25**index for index in range(NUM_WORDS)]
LOUD = 20.0  # log mel energy of a tone that fills a window to a good part


def silence(ms: float) -> Samples:
    return np.zeros(int(RATE * ms / 1000), dtype=np.float32)


def speak(words: Sequence[int], word_ms: int = 200, gap_ms: int = 100) -> Samples:
    """A tone for each word, with soft ends, and a short gap after it."""
    time = np.arange(RATE * word_ms // 1000) / RATE
    loudness = 0.3 * np.minimum(1, 50 * np.minimum(time, time[-1] - time))
    pieces = []
    for word in words:
        pieces += [loudness * np.sin(2 * np.pi * TONES_HZ[word] * time), silence(gap_ms)]
    return np.concatenate([silence(0), *pieces]).astype(np.float32)


@dataclass
class FramesState(StreamState):
    num_features: int = 0


class ToneEncoder(nn.Module):
    """Every fourth feature frame; complete segments only, so that a segment waits for its end."""

    def __init__(self) -> None:
        super().__init__()
        self.num_features = 0

    def init_state(self, batch_size: int, *, device: torch.device, dtype: torch.dtype) -> FramesState:
        return FramesState()

    def streaming_forward(
        self, src_tokens: Tensor, state: Any = None, *, is_final: bool = False, chunk_size: int | None = None
    ) -> Tensor:
        state.begin_step(is_final=is_final)
        first = -state.num_features % 4
        state.num_features += src_tokens.size(1)
        self.num_features += src_tokens.size(1)
        return src_tokens[:, first::4]


def words_of_frames(frames: Tensor) -> list[int]:
    """The word heard in each frame `[t, 80]`, -1 for silence."""
    energies, bins = frames.max(dim=1)
    best = (bins.unsqueeze(1) - tone_bins()).abs().argmin(dim=1)
    words: list[int] = torch.where(energies > LOUD, best, -1).tolist()
    return words


@functools.lru_cache(maxsize=1)
def tone_bins() -> Tensor:
    """The mel bin of each word's tone."""
    return torch.stack([extract_fbank(speak([word]))[8].argmax() for word in range(NUM_WORDS)])


class ToneHead(nn.Module):
    """CTC logits: the word of the frame, or blank."""

    def init_state(self, batch_size: int, *, device: torch.device, dtype: torch.dtype) -> FramesState:
        return FramesState()

    def streaming_forward(self, x: Tensor, state: Any, *, is_final: bool = False) -> Tensor:
        logits = torch.zeros(1, x.size(1), len(SOURCE))
        for index, word in enumerate(words_of_frames(x[0])):
            logits[0, index, 0 if word < 0 else len(SPECIALS) + word] = 1.0
        return logits


@dataclass
class HeardState(StreamState):
    frames: list[int] = field(default_factory=list)
    num_positions: int = 0

    @property
    def num_frames(self) -> int:
        return len(self.frames)

    def truncate_frames(self, num_frames: int) -> None:
        self.frames = self.frames[:num_frames]

    def truncate_positions(self, num_positions: int) -> None:
        self.num_positions = num_positions


class ToneTranslator(nn.Module):
    """Position i predicts the i-th word of the frames known, or the end of the sentence."""

    def __init__(self) -> None:
        super().__init__()
        self.largest_position = 0

    def init_state(self, batch_size: int, *, device: torch.device, dtype: torch.dtype) -> HeardState:
        return HeardState()

    def append_frames(self, frames: Tensor, state: HeardState) -> None:
        state.frames = state.frames + words_of_frames(frames[0])

    def streaming_forward(self, x: Tensor, state: HeardState, *, is_final: bool = False) -> Tensor:
        words: list[int] = []
        last = -1
        for word in state.frames:
            if word not in (-1, last):
                words.append(word)
            last = word
        features = torch.zeros(1, x.size(1), 1)
        for index in range(x.size(1)):
            position = state.num_positions + index
            features[0, index] = len(SPECIALS) + words[position] if position < len(words) else TARGET.eos
        state.num_positions += x.size(1)
        self.largest_position = max(self.largest_position, state.num_positions)
        return features

    def output_layer(self, features: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(features[..., 0].long(), len(TARGET)).float()


class ToneUnits(nn.Module):
    """One unit for each word, and a blank after it; the end of a sentence is silent."""

    def init_state(self, batch_size: int, *, device: torch.device, dtype: torch.dtype) -> FramesState:
        return FramesState()

    def streaming_forward(
        self, x: Tensor, state: FramesState, *, is_final: bool = False, lagging_k: int = 0, stride_n: int = 1
    ) -> Tensor:
        blank = len(UNITS) - 1
        labels = []
        for token in x[0, :, 0].long().tolist():
            labels += [blank if token == TARGET.eos else token, blank]
        return torch.nn.functional.one_hot(
            torch.tensor([labels], dtype=torch.long).view(1, -1), len(UNITS)
        ).float()


class ToneVocoder:
    """Four samples for each unit, whose value is the unit's number."""

    sample_rate = RATE
    code_hop_samples = 4

    def init_state(
        self, batch_size: int = 1, *, device: torch.device | None = None, dtype: torch.dtype | None = None
    ) -> FramesState:
        return FramesState()

    def streaming_forward(
        self,
        units: Tensor,
        state: Any,
        *,
        is_final: bool = False,
        dur_prediction: bool = False,
        hold_back_frames: int = 0,
        block_frames: int = 1,
    ) -> tuple[Tensor, Tensor]:
        return units[0].repeat_interleave(4).float(), torch.ones_like(units)


class WordModel(nn.Module):
    """The parts together."""

    training_chunk_sizes: tuple[int, ...] = (8, 16, 999)

    def __init__(self) -> None:
        super().__init__()
        self.encoder = ToneEncoder()
        self.asr_head = ToneHead()
        self.st_head = ToneHead()
        self.mt_decoder = ToneTranslator()
        self.text_to_unit_encoder = None
        self.unit_decoder = ToneUnits()


def load_word_model() -> LoadedModel:
    model: Any = WordModel().eval()
    return LoadedModel(
        model=model,
        arch="echostream",
        asr_vocabulary=SOURCE,
        st_vocabulary=TARGET,
        text_vocabulary=TARGET,
        unit_vocabulary=UNITS,
        unit_blank=len(UNITS) - 1,
    )
