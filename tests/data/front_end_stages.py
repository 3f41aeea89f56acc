"""Resampler, filter bank and front end as stages of one kind, for the tests that they share."""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from fractions import Fraction
from typing import Any, Self
from unittest.mock import patch

import kaldi_native_fbank
import numpy as np
import numpy.typing as npt
import pytest
import torch

from echostream.data.audio import Resampler, Samples
from echostream.data.fbank import NUM_MEL_BINS, Fbank, FrontEnd, GlobalCMVN, num_fbank_frames
from echostream.streaming import StreamState

Array = npt.NDArray[Any]


class Stage:
    """One stage under test: samples in, samples or frames out, time first."""

    rate = 16000

    def __str__(self) -> str:
        return f"{type(self).__name__}-{self.rate}"

    def forward(self, samples: npt.ArrayLike) -> Array:
        raise NotImplementedError

    def init_state(self) -> StreamState:
        raise NotImplementedError

    def step(self, samples: npt.ArrayLike, state: Any, *, is_final: bool = False) -> Array:
        raise NotImplementedError

    def output_length(self, num_samples: int) -> int:
        raise NotImplementedError

    def num_ready(self, num_samples: int) -> int:
        """Outputs that an open stream has given after so many samples."""
        raise NotImplementedError

    def visible_samples(self, output: int, num_samples: int) -> range:
        """Samples that an output reads."""
        raise NotImplementedError


class ResamplerStage(Stage):
    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.resampler = Resampler(rate, 16000)
        self.half_width = 0 if rate == 16000 else math.ceil(32 / (0.95 * min(1.0, 16000 / rate)))

    def forward(self, samples: npt.ArrayLike) -> Array:
        return self.resampler.forward(samples)

    def init_state(self) -> StreamState:
        return self.resampler.init_state()

    def step(self, samples: npt.ArrayLike, state: Any, *, is_final: bool = False) -> Array:
        return self.resampler.streaming_forward(samples, state, is_final=is_final)

    def output_length(self, num_samples: int) -> int:
        return -(-num_samples * 16000 // self.rate)

    def num_ready(self, num_samples: int) -> int:
        return max(0, self.output_length(num_samples - self.half_width))

    def visible_samples(self, output: int, num_samples: int) -> range:
        center = output * self.rate // 16000
        first = center if self.half_width == 0 else center - self.half_width + 1
        last = min(center + self.half_width, num_samples - 1)
        distance = last - Fraction(output * self.rate, 16000)
        zero_crossings = distance * Fraction(16000, max(16000, self.rate)) * Fraction(95, 100)
        if self.half_width > 0 and zero_crossings and zero_crossings.denominator == 1:
            last -= 1  # at the signal's end: this tap is a zero of the filter
        return range(max(0, first), last + 1)


class FbankStage(Stage):
    def __init__(self) -> None:
        self.fbank = Fbank()

    def forward(self, samples: npt.ArrayLike) -> Array:
        return self.fbank.forward(samples).numpy()

    def init_state(self) -> StreamState:
        return self.fbank.init_state()

    def step(self, samples: npt.ArrayLike, state: Any, *, is_final: bool = False) -> Array:
        return self.fbank.streaming_forward(samples, state, is_final=is_final).numpy()

    def output_length(self, num_samples: int) -> int:
        return num_fbank_frames(num_samples)

    num_ready = output_length

    def visible_samples(self, output: int, num_samples: int) -> range:
        return range(160 * output, 160 * output + 400)


class FrontEndStage(Stage):
    def __init__(self, rate: int, *, knows_rate: bool) -> None:
        self.rate = rate
        self.knows_rate = knows_rate
        self.front_end = FrontEnd(GlobalCMVN(torch.linspace(5, 15, 80), torch.linspace(1, 3, 80)))
        self.resampler, self.fbank = ResamplerStage(rate), FbankStage()

    def __str__(self) -> str:
        return f"{super().__str__()}{'-known' if self.knows_rate else ''}"

    def forward(self, samples: npt.ArrayLike) -> Array:
        return self.front_end.forward(samples, self.rate).numpy()

    def init_state(self) -> StreamState:
        return self.front_end.init_state(self.rate if self.knows_rate else None)

    def step(self, samples: npt.ArrayLike, state: Any, *, is_final: bool = False) -> Array:
        frames = self.front_end.streaming_forward(samples, state, sample_rate=self.rate, is_final=is_final)
        return frames.numpy()

    def output_length(self, num_samples: int) -> int:
        return num_fbank_frames(self.resampler.output_length(num_samples))

    def num_ready(self, num_samples: int) -> int:
        return num_fbank_frames(self.resampler.num_ready(num_samples))

    def visible_samples(self, output: int, num_samples: int) -> range:
        window = self.fbank.visible_samples(output, self.resampler.output_length(num_samples))
        first, last = (
            self.resampler.visible_samples(sample, num_samples) for sample in (window[0], window[-1])
        )
        return range(first.start, last.stop)


STAGES: list[Stage] = [
    ResamplerStage(48000),
    ResamplerStage(44100),
    ResamplerStage(8000),
    ResamplerStage(16000),
    FbankStage(),
    FrontEndStage(48000, knows_rate=False),
    FrontEndStage(44100, knows_rate=True),
    FrontEndStage(16000, knows_rate=True),
]
every_stage = pytest.mark.parametrize("stage", STAGES, ids=str)


class FrontEndMeter:
    """Counts what numpy and the filter bank do, which torch does not see: the values that each step makes."""

    def __init__(self) -> None:
        self.num_copied_samples = self.num_convolved_samples = self.num_resampled_samples = 0
        self.num_windowed_samples = self.num_frames = 0

    @property
    def num_elements(self) -> int:
        num_samples = self.num_copied_samples + self.num_convolved_samples + self.num_resampled_samples
        return num_samples + self.num_windowed_samples + NUM_MEL_BINS * self.num_frames

    def __enter__(self) -> Self:
        meter, concatenate = self, np.concatenate
        convolve, advance = Resampler._convolve, Resampler.advance

        def counting_concatenate(arrays: Sequence[Array]) -> Array:
            result: Array = concatenate(arrays)
            meter.num_copied_samples += result.size
            return result

        def counting_convolve(resampler: Resampler, window: Array, state: Any, count: int) -> Samples:
            meter.num_convolved_samples += count
            return convolve(resampler, window, state, count)

        def counting_advance(resampler: Resampler, mono: Samples, state: Any, *, is_final: bool) -> Samples:
            result = advance(resampler, mono, state, is_final=is_final)
            meter.num_resampled_samples += result.size
            return result

        class CountingFbank(kaldi_native_fbank.OnlineFbank):
            def accept_waveform(self, rate: float, samples: Array) -> None:
                meter.num_windowed_samples += samples.size
                super().accept_waveform(rate, samples)

            def get_frame(self, index: int) -> Array:
                meter.num_frames += 1
                frame: Array = super().get_frame(index)
                return frame

        self.patches = ExitStack()
        self.patches.enter_context(patch.object(np, "concatenate", counting_concatenate))
        self.patches.enter_context(patch.object(Resampler, "_convolve", counting_convolve))
        self.patches.enter_context(patch.object(Resampler, "advance", counting_advance))
        self.patches.enter_context(patch.object(kaldi_native_fbank, "OnlineFbank", CountingFbank))
        return self

    def __exit__(self, *exception: object) -> None:
        self.patches.close()


def noise(num_samples: int, *channels: int, seed: int = 0) -> Samples:
    generator = np.random.default_rng(seed)
    return (generator.standard_normal((num_samples, *channels)) * 0.1).astype(np.float32)


def pieces(samples: Array, step_samples: int) -> list[Array]:
    return [samples[begin : begin + step_samples] for begin in range(0, len(samples), step_samples)]


def stream(stage: Stage, parts: Sequence[npt.ArrayLike], state: StreamState | None = None) -> Array:
    """Stream the parts; the last one closes the stream."""
    state = stage.init_state() if state is None else state
    outputs = [stage.step(part, state, is_final=index == len(parts) - 1) for index, part in enumerate(parts)]
    return np.concatenate(outputs)


def assert_same_tensors(actual: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(actual[name], tensor), name
