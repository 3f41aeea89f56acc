"""The streaming contract of resampler, filter bank and front end, bit for bit, and what else they promise."""

import tracemalloc
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from echostream.data.fbank import FrontEnd, num_fbank_frames
from echostream.streaming import StreamState
from tests.data.front_end_stages import (
    STAGES,
    Array,
    FrontEndMeter,
    ResamplerStage,
    Stage,
    every_stage,
    noise,
    pieces,
    stream,
)
from tests.streaming_contract import SingleStreamContract, StreamingAdapter


class StageModule(nn.Module):
    """A stage where a module is expected: it has no weights, and computes in float32 only."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage


class StageAdapter(StreamingAdapter):
    """Samples ``[1, n, 1]`` come in; samples ``[1, m, 1]`` or frames ``[1, m, 80]`` go out."""

    input_dim = 1
    batch_size = 1
    tolerances = MappingProxyType({torch.float32: 0.0})  # bit for bit
    is_differentiable = False

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.name = str(stage)
        self.period = stage.rate // 100
        self.num_inputs = stage.rate // 16

    def build(self) -> nn.Module:
        return StageModule(self.stage)

    def random_input(self, batch_size: int, num_inputs: int, dtype: torch.dtype) -> Tensor:
        # So quiet that a change of the filter's outermost taps, a millionth, is not lost in rounding.
        return super().random_input(batch_size, num_inputs, dtype) / 1000

    def changed_input(self, x: Tensor) -> Tensor:
        return x + 4

    def work_meter(self, module: nn.Module) -> FrontEndMeter:
        return FrontEndMeter()

    def output_length(self, num_inputs: int) -> int:
        return self.stage.output_length(num_inputs)

    def num_ready(self, num_inputs: int) -> int:
        return self.stage.num_ready(num_inputs)

    def visible_inputs(self, output_index: int, num_inputs: int) -> range:
        return self.stage.visible_samples(output_index, num_inputs)

    def forward(self, module: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
        return as_batch(self.stage.forward(x[0].numpy()))

    def init_state(self, module: Any, batch_size: int, dtype: torch.dtype) -> StreamState:
        return self.stage.init_state()

    def step(self, module: Any, x: Tensor, state: StreamState, is_final: bool) -> Tensor:
        return as_batch(self.stage.step(x[0].numpy(), state, is_final=is_final))


def as_batch(outputs: Array) -> Tensor:
    """Outputs ``[m]`` or ``[m, D]`` as ``[1, m, D]``."""
    values = torch.from_numpy(outputs)
    return (values if values.dim() == 2 else values[:, None])[None]


@pytest.mark.parametrize("adapter", [StageAdapter(stage) for stage in STAGES], ids=str)
class TestFrontEndContract(SingleStreamContract):
    def test_7_in_place_of_rows(self, adapter: StreamingAdapter) -> None:
        """There are channels in place of rows, and they are averaged."""
        assert isinstance(adapter, StageAdapter)
        signal = noise(3000, 8)
        expected = adapter.stage.forward(signal.mean(axis=1, dtype=np.float32))
        for channels in (signal, np.asfortranarray(signal)):
            np.testing.assert_array_equal(adapter.stage.forward(channels), expected)
            np.testing.assert_array_equal(stream(adapter.stage, pieces(channels, 441)), expected)


@every_stage
def test_an_empty_signal_gives_nothing(stage: Stage) -> None:
    assert len(stage.forward([])) == len(stream(stage, [[]])) == 0


@every_stage
def test_a_snapshot_replays(stage: Stage) -> None:
    signal = noise(4000)
    state = stage.init_state()
    stage.step(signal[:1234], state)
    restored = stage.init_state()
    stage.step(noise(0), restored)  # a front end that does not know its rate learns it here
    restored.load_tensors(state.to_tensors())
    parts = pieces(signal[1234:], 500)
    np.testing.assert_array_equal(stream(stage, parts, restored), stream(stage, parts, state))


@every_stage
def test_the_state_holds_less_than_a_window_and_a_filter(stage: Stage) -> None:
    max_bytes = 4 * 400 + 8 * 220
    state, long = stage.init_state(), noise(100_000)
    for part in pieces(noise(12000), 16):
        stage.step(part, state)
        assert state.num_bytes <= max_bytes
    tracemalloc.start()
    try:
        stage.step(long, state)
        allocated_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A tensor that is a view of numpy's array hides the array's size, but keeps the array.
    assert state.num_bytes <= max_bytes
    assert allocated_bytes <= 4 * max_bytes


@pytest.mark.parametrize("rate", [48000, 44100])
@pytest.mark.parametrize("step_ms", [1, 10, 320])
def test_nothing_is_computed_twice_however_the_samples_come(rate: int, step_ms: int) -> None:
    front_end = FrontEnd()
    state = front_end.init_state(rate)
    with FrontEndMeter() as meter:
        for part in pieces(noise(2 * rate), rate * step_ms // 1000):
            front_end.streaming_forward(part, state, sample_rate=rate)
    assert meter.num_convolved_samples == ResamplerStage(rate).num_ready(2 * rate)
    assert meter.num_frames == num_fbank_frames(meter.num_convolved_samples)
    # A frame's window overlaps the next one: alone it needs all of its samples.
    assert meter.num_windowed_samples <= 400 * meter.num_frames
