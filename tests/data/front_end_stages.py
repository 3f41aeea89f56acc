"""Resampler, filter bank and front end as stages of one kind, for the tests that they share."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from echostream.data.audio import Resampler, Samples
from echostream.data.fbank import Fbank, FrontEnd, GlobalCMVN, num_fbank_frames
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

    def readers(self, sample: int, num_samples: int) -> range:
        """Outputs that read a sample."""
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

    def readers(self, sample: int, num_samples: int) -> range:
        first = max(0, math.floor((sample - self.half_width) * 16000 / self.rate))
        last = math.ceil((sample + self.half_width) * 16000 / self.rate)
        return range(first, min(last + 1, self.output_length(num_samples)))


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

    def readers(self, sample: int, num_samples: int) -> range:
        first = max(0, -(-(sample - 399) // 160))
        return range(first, min(sample // 160 + 1, num_fbank_frames(num_samples)))


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

    def readers(self, sample: int, num_samples: int) -> range:
        resampled = self.resampler.readers(sample, num_samples)
        length = self.resampler.output_length(num_samples)
        first = self.fbank.readers(resampled.start, length).start
        return range(first, self.fbank.readers(resampled.stop - 1, length).stop)


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
