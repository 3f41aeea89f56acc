"""A small model with the pieces that sessions call: random, deterministic, causal, and honest about masks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from echostream.data.audio import Samples
from echostream.inference.interfaces import EncoderOut
from echostream.inference.loaded_model import LoadedModel
from echostream.inference.vocabulary import Vocabulary

DIM = 8
TEXT_SYMBOLS = ("<s>", "<pad>", "</s>", "<unk>", "▁a", "b", "▁c", "d", "▁e", "f", "▁g", "h")
UNIT_SYMBOLS = ("<s>", "<pad>", "</s>", "<unk>", *(str(unit) for unit in range(20)), "<blank>")
RATE = 3  # unit positions of a subword


def noise(num_samples: int, seed: int = 0) -> Samples:
    """Noise whose loudness changes, so that the heads change their mind."""
    generator = np.random.default_rng(seed)
    loudness = np.repeat(generator.uniform(0.001, 0.5, num_samples // 800 + 1), 800)[:num_samples]
    return (generator.standard_normal(num_samples) * loudness).astype(np.float32)


class Projection(torch.nn.Module):
    """Encoder frames that change quickly and do not depend on the loudness."""

    def __init__(self) -> None:
        super().__init__()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        weight = torch.randn(80, DIM)
        self.weight = torch.nn.Parameter(weight - weight.mean(dim=0))

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(x @ self.weight)


class FakeState:
    """Frames that have not filled an encoder frame."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.num_input_frames = 0
        self.finished = False


class FakeStreamingEncoder(torch.nn.Module):
    """Projects every fourth feature frame; counts what it processes."""

    def __init__(self) -> None:
        super().__init__()
        self.projection = Projection()
        self.num_resets = 0
        self.num_processed_frames = 0
        self.chunk_sizes: list[int | None] = []

    def init_state(self, batch_size: int, *, device: torch.device, dtype: torch.dtype) -> FakeState:
        assert batch_size == 1
        return FakeState()

    def reset_cache(self) -> None:
        self.num_resets += 1

    def streaming_forward(
        self, src_tokens: Tensor, state: Any = None, *, is_final: bool = False, chunk_size: int | None = None
    ) -> Tensor:
        assert not state.finished
        state.finished = is_final
        self.chunk_sizes.append(chunk_size)
        self.num_processed_frames += src_tokens.size(1)
        first = -state.num_input_frames % 4
        state.num_input_frames += src_tokens.size(1)
        result: Tensor = self.projection(src_tokens[:, first::4])
        return result


class FakeChunkEncoder(torch.nn.Module):
    """The same frames, for the whole utterance at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.projection = Projection()
        self.chunk_sizes: list[int | None] = []

    def forward(
        self, src_tokens: Tensor, src_lengths: Tensor, *, chunk_size: int | None = None
    ) -> EncoderOut:
        assert src_lengths.tolist() == [src_tokens.size(1)]
        self.chunk_sizes.append(chunk_size)
        return {"encoder_out": [self.projection(src_tokens[:, ::4]).transpose(0, 1)]}


class FakeModel(torch.nn.Module):
    """Heads, decoder and text-to-unit part over either encoder."""

    def __init__(self, encoder: "FakeStreamingEncoder | FakeChunkEncoder", seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.encoder = encoder
        encoder.projection.reset_parameters()
        self.training_chunk_sizes: tuple[int, ...] = (8, 16, 999)
        self.asr = torch.nn.Linear(DIM, len(TEXT_SYMBOLS))
        self.st = torch.nn.Linear(DIM, len(TEXT_SYMBOLS))
        self.embedding = torch.nn.Embedding(len(TEXT_SYMBOLS), DIM)
        self.text = torch.nn.Linear(DIM, len(TEXT_SYMBOLS))
        self.unit = torch.nn.Linear(DIM, RATE * len(UNIT_SYMBOLS))
        for head in (self.asr, self.st, self.text):
            head.weight.data *= 5
        self.text.bias.data[2] -= 4.0  # eos is rare
        self.seen: list[list[int]] = []
        self.unit_configs: list[dict[str, int] | None] = []

    def asr_logits(self, encoder_out: EncoderOut) -> Tensor:
        result: Tensor = self.asr(encoder_out["encoder_out"][0].transpose(0, 1))
        return result

    def st_logits(self, encoder_out: EncoderOut) -> Tensor:
        result: Tensor = self.st(encoder_out["encoder_out"][0].transpose(0, 1))
        return result

    def decode_text(
        self, prev_output_tokens_mt: Tensor, encoder_out: EncoderOut, visible_frames: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        assert visible_frames is not None
        assert visible_frames.shape == prev_output_tokens_mt.shape
        self.seen.append(visible_frames[0].tolist())
        frames = encoder_out["encoder_out"][0][:, 0]
        context = torch.stack([frames[:count].mean(dim=0) for count in visible_frames[0].tolist()])
        history = self.embedding(prev_output_tokens_mt[0]).cumsum(dim=0)
        features = torch.sin(3 * (context + history)).unsqueeze(1)
        return self.text(features).transpose(0, 1), features

    def text_to_units(
        self,
        features: Tensor,
        text_padding_mask: Tensor | None = None,
        streaming_config: dict[str, int] | None = None,
    ) -> Tensor:
        assert text_padding_mask is None
        self.unit_configs.append(streaming_config)
        result: Tensor = self.unit(features.cumsum(dim=0)).view(1, -1, len(UNIT_SYMBOLS))
        return result


@dataclass(frozen=True)
class FakeReceptiveField:
    left_frames: int = 2
    right_frames: int = 2


class FakeVocoder:
    """A unit lasts 1 to 3 frames of 4 samples, whose value is the unit's number."""

    sample_rate = 16000
    code_hop_samples = 4
    receptive_field = FakeReceptiveField()

    def __init__(self) -> None:
        self.num_units_seen: list[int] = []

    def __call__(self, x: Mapping[str, Tensor], dur_prediction: bool = False) -> tuple[Tensor, Tensor]:
        code = x["code"]
        self.num_units_seen.append(code.size(1))
        durations = code % 3 + 1 if dur_prediction else torch.ones_like(code)
        return code[0].repeat_interleave(durations[0] * 4).float(), durations


def vocabulary(symbols: tuple[str, ...] = TEXT_SYMBOLS) -> Vocabulary:
    return Vocabulary(symbols)


def load_fake(encoder: FakeStreamingEncoder | FakeChunkEncoder | None = None, seed: int = 0) -> LoadedModel:
    """A loaded fake model, incremental unless another encoder is given."""
    return LoadedModel(
        model=FakeModel(encoder or FakeStreamingEncoder(), seed).eval(),
        arch="echostream",
        asr_vocabulary=vocabulary(),
        st_vocabulary=vocabulary(),
        text_vocabulary=vocabulary(),
        unit_vocabulary=vocabulary(UNIT_SYMBOLS),
        unit_blank=len(UNIT_SYMBOLS) - 1,
    )
