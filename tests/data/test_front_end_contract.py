"""The streaming contract of resampler, filter bank and front end.

They work on arrays of samples, one stream a state, so that the seven tests stand here in a form of their own:
equality is bit for bit, the receptive field is measured by changing a sample, and in place of rows of a batch
there are channels.
"""

from typing import Any

import kaldi_native_fbank
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echostream.data.audio import Resampler, Samples
from echostream.data.fbank import FrontEnd, num_fbank_frames
from echostream.streaming import StreamFinishedError
from tests.data.front_end_stages import (
    Array,
    ResamplerStage,
    Stage,
    assert_same_tensors,
    every_stage,
    noise,
    pieces,
    stream,
)


@every_stage
def test_1_streaming_equals_offline_bit_for_bit(stage: Stage) -> None:
    for num_samples in (1, 2, 31, 399, 400, 1199, 1200, 1361, 4801):
        signal = noise(num_samples)
        expected = stage.forward(signal)
        assert len(expected) == stage.output_length(num_samples)
        for step_samples in (1 if num_samples < 1000 else 16, 48, 160, 1000, 4801):
            np.testing.assert_array_equal(stream(stage, pieces(signal, step_samples)), expected)
    assert len(stage.forward([])) == len(stream(stage, [[]])) == 0


@every_stage
def test_2_any_chunking_gives_the_same_output(stage: Stage) -> None:
    @settings(deadline=None, max_examples=25, derandomize=True)
    @given(st.lists(st.integers(0, 900), min_size=1, max_size=10), st.sampled_from([(), (1,), (2,), (8,)]))
    def check(lengths: list[int], channels: tuple[int, ...]) -> None:
        signal = noise(sum(lengths), *channels)
        parts = np.split(signal, np.cumsum(lengths)[:-1])
        np.testing.assert_array_equal(stream(stage, parts), stage.forward(signal))

    check()


@every_stage
def test_2_an_output_comes_as_soon_as_its_samples_are_there(stage: Stage) -> None:
    state = stage.init_state()
    num_outputs = num_samples = 0
    for part in pieces(noise(2500), 7):
        num_outputs += len(stage.step(part, state))
        num_samples += len(part)
        assert num_outputs == stage.num_ready(num_samples)
    assert len(stage.step([], state)) == 0
    rest = len(stage.step([], state, is_final=True))
    assert num_outputs + rest == stage.output_length(num_samples)


@every_stage
def test_3_an_output_reads_the_samples_it_may_and_no_other(stage: Stage) -> None:
    signal = noise(3000)
    before = stage.forward(signal)
    for sample in (0, 1, 159, 160, 700, 1500, 2998, 2999):
        changed = signal.copy()
        changed[sample] += 1
        difference = np.abs(stage.forward(changed) - before).reshape(len(before), -1).max(axis=1)
        readers, read = stage.readers(sample, len(signal)), difference.nonzero()[0]
        if not len(readers):
            assert not len(read)  # after the last window
            continue
        assert read[0] >= readers.start
        assert read[-1] < readers.stop
        # The filter's outermost taps may be lost in rounding, no more.
        assert read[0] <= readers.start + 4
        assert read[-1] >= readers.stop - 5


@every_stage
def test_4_reset_equals_fresh(stage: Stage) -> None:
    parts = pieces(noise(3000), 700)
    expected = stream(stage, parts)
    state = stage.init_state()
    fresh = state.to_tensors()
    stream(stage, pieces(noise(2000, seed=1), 333), state)
    state.reset()
    assert_same_tensors(state.to_tensors(), fresh)
    np.testing.assert_array_equal(stream(stage, parts, state), expected)


@every_stage
def test_4_a_closed_stream_refuses_input(stage: Stage) -> None:
    state = stage.init_state()
    stage.step(noise(1000), state, is_final=True)
    closed = state.to_tensors()
    for rest in (noise(10), noise(0)):
        for is_final in (False, True):
            with pytest.raises(StreamFinishedError, match="reset"):
                stage.step(rest, state, is_final=is_final)
    assert_same_tensors(state.to_tensors(), closed)


@every_stage
def test_4_interleaved_streams_do_not_meet(stage: Stage) -> None:
    signals = [noise(3000, seed=seed) for seed in (1, 2)]
    states = [stage.init_state() for _ in signals]
    outputs: list[list[Array]] = [[], []]
    for begin in range(0, 3000, 700):
        for signal, state, output in zip(signals, states, outputs, strict=True):
            part = signal[begin : begin + 700]
            output.append(stage.step(part, state, is_final=begin + 700 >= 3000))
    for signal, output in zip(signals, outputs, strict=True):
        np.testing.assert_array_equal(np.concatenate(output), stage.forward(signal))


@every_stage
def test_4_clones_and_snapshots_replay(stage: Stage) -> None:
    signal = noise(4000)
    state = stage.init_state()
    stage.step(signal[:1234], state)
    clone, tensors = state.clone(), state.to_tensors()
    restored = stage.init_state()
    stage.step(noise(0), restored)  # a front end that does not know its rate learns it here
    restored.load_tensors(tensors)
    parts = pieces(signal[1234:], 500)
    expected = stream(stage, parts, state)
    for other in (clone, restored):
        np.testing.assert_array_equal(stream(stage, parts, other), expected)


@every_stage
def test_5_the_state_is_bounded(stage: Stage) -> None:
    state = stage.init_state()
    num_bytes = []
    for part in pieces(noise(12000), 16):
        stage.step(part, state)
        num_bytes.append(state.num_bytes)
    middle = len(num_bytes) // 2
    assert max(num_bytes[middle:]) <= max(num_bytes[:middle]) <= 4 * 400 + 8 * 220
    stage.step(noise(100_000), state)
    assert state.num_bytes <= max(num_bytes)


class Work:
    """What the stages compute: outputs of the resampler, samples and frames of the filter bank."""

    def __init__(self) -> None:
        self.resampled = self.samples = self.frames = self.largest_window_samples = 0


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    counted = Work()
    convolve = Resampler._convolve

    def counting_convolve(self: Resampler, window: Array, state: Any, count: int) -> Samples:
        counted.resampled += count
        counted.largest_window_samples = max(counted.largest_window_samples, len(window))
        return convolve(self, window, state, count)

    class CountingFbank(kaldi_native_fbank.OnlineFbank):
        def accept_waveform(self, rate: float, samples: Array) -> None:
            counted.samples += len(samples)
            super().accept_waveform(rate, samples)

        def get_frame(self, index: int) -> Array:
            counted.frames += 1
            frame: Array = super().get_frame(index)
            return frame

    monkeypatch.setattr(Resampler, "_convolve", counting_convolve)
    monkeypatch.setattr("kaldi_native_fbank.OnlineFbank", CountingFbank)
    return counted


@pytest.mark.parametrize("rate", [48000, 44100])
@pytest.mark.parametrize("step_ms", [1, 10, 320])
def test_6_work_is_linear_however_the_samples_come(rate: int, step_ms: int, work: Work) -> None:
    front_end = FrontEnd()
    state = front_end.init_state(rate)
    step_samples = rate * step_ms // 1000
    half_second, totals = noise(rate // 2), []
    for _ in range(4):
        for part in pieces(half_second, step_samples):
            front_end.streaming_forward(part, state, sample_rate=rate)
        totals.append((work.resampled, work.frames, work.samples))
    # Every sample is resampled once, every frame computed once; a window is 400 samples, a hop 160.
    assert totals[-1][0] == ResamplerStage(rate).num_ready(2 * rate)
    assert totals[-1][1] == num_fbank_frames(totals[-1][0])
    assert totals[-1][2] <= 400 * totals[-1][1]
    growth = np.diff(np.array(totals), axis=0)
    assert np.abs(growth - growth[0]).max() <= 400
    assert work.largest_window_samples <= step_samples + 2 * ResamplerStage(rate).half_width + 3


@every_stage
def test_7_channels_are_averaged(stage: Stage) -> None:
    signal = noise(3000, 8)
    expected = stage.forward(signal.mean(axis=1, dtype=np.float32))
    for channels in (signal, np.asfortranarray(signal)):
        np.testing.assert_array_equal(stage.forward(channels), expected)
        np.testing.assert_array_equal(stream(stage, pieces(channels, 441)), expected)
