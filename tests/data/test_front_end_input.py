"""What the front end takes for samples, what it refuses, and that a refusal leaves the stream as it was."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from echostream.data.audio import AudioError, to_mono
from echostream.data.fbank import FrontEnd, extract_fbank
from tests.data.front_end_stages import Array, Stage, assert_same_tensors, every_stage, noise, pieces, stream


@every_stage
@pytest.mark.parametrize(("dtype", "full_range"), [("<i2", 2.0**15), (">i2", 2.0**15), ("<i4", 2.0**31)])
def test_integer_pcm_is_scaled_by_its_range(stage: Stage, dtype: str, full_range: float) -> None:
    pcm = np.array([[-full_range, full_range - 1], [1, 0]] * 700).astype(dtype)
    expected = stage.forward((pcm.astype(np.float64) / full_range).astype(np.float32))
    np.testing.assert_array_equal(stream(stage, pieces(pcm, 100)), expected)


def with_value(value: float) -> Array:
    samples = noise(50)
    samples[20] = value
    return samples


BAD_SAMPLES: dict[str, tuple[Callable[[], npt.ArrayLike], str]] = {
    "nan": (lambda: with_value(math.nan), "not finite"),
    "infinity": (lambda: with_value(math.inf), "not finite"),
    "minus infinity": (lambda: with_value(-math.inf), "not finite"),
    "nan in one channel": (lambda: np.stack([with_value(math.nan), noise(50)], axis=1), "not finite"),
    "16-bit scale": (lambda: noise(50) * 32768, "divide the samples of 16-bit audio by 32768"),
    "one loud sample": (lambda: with_value(-8.5), "up to 8.5"),
    "beyond float32": (lambda: [1e300], "divide"),
    "bool": (lambda: noise(50) > 0, "type bool"),
    "uint8": (lambda: np.zeros(50, dtype=np.uint8), "type uint8"),
    "int64": (lambda: [1, 2, 3], "type int64"),
    "complex": (lambda: noise(50) * 1j, "type complex64"),
    "text": (lambda: ["a"], "type <U1"),
    "channels first": (lambda: noise(2, 50), r"\[samples, channels\].*transpose"),
    "no channels": (lambda: noise(50, 0), "shape"),
    "three dimensions": (lambda: noise(5, 2, 2), "shape"),
    "a number": (lambda: 0.5, "shape"),
}


@every_stage
@pytest.mark.parametrize("case", BAD_SAMPLES)
def test_bad_samples_are_refused_and_the_stream_goes_on(stage: Stage, case: str) -> None:
    make, message = BAD_SAMPLES[case]
    signal = noise(2400)
    state = stage.init_state()
    outputs = []
    for part in (*pieces(signal, 800), noise(0)):
        before = state.to_tensors()
        for is_final in (False, True):
            with pytest.raises(AudioError, match=message):
                stage.step(make(), state, is_final=is_final)
        assert_same_tensors(state.to_tensors(), before)
        outputs.append(stage.step(part, state))
    outputs.append(stage.step([], state, is_final=True))
    np.testing.assert_array_equal(np.concatenate(outputs), stage.forward(signal))
    with pytest.raises(AudioError, match=message):
        stage.forward(make())


@pytest.mark.parametrize("knows_rate", [False, True])
@pytest.mark.parametrize("rate", [44100, 0, -48000, 48000.5, math.nan, math.inf, True, "48000"])
def test_another_or_a_bad_rate_is_refused_and_the_stream_goes_on(knows_rate: bool, rate: Any) -> None:
    front_end = FrontEnd()
    signal = noise(4800)
    state = front_end.init_state(48000 if knows_rate else None)
    frames = [front_end.streaming_forward(signal[:2000], state, sample_rate=48000)]
    before = state.to_tensors()
    with pytest.raises(AudioError, match="48000 to 44100" if rate == 44100 else "whole number of Hz"):
        front_end.streaming_forward(signal[2000:], state, sample_rate=rate, is_final=True)
    assert_same_tensors(state.to_tensors(), before)
    frames.append(front_end.streaming_forward(signal[2000:], state, sample_rate=48000, is_final=True))
    assert torch.equal(torch.cat(frames), front_end.forward(signal, 48000))


def test_a_rate_given_with_the_state_holds_from_the_start() -> None:
    front_end = FrontEnd()
    state = front_end.init_state(48000)
    fresh = state.to_tensors()
    for _ in range(2):
        with pytest.raises(AudioError, match="48000 to 16000"):
            front_end.streaming_forward(noise(10), state, sample_rate=16000)
        front_end.streaming_forward(noise(1000), state, sample_rate=48000)
        state.reset()
        assert_same_tensors(state.to_tensors(), fresh)
    with pytest.raises(AudioError, match="whole number"):
        front_end.init_state(0)
    with pytest.raises(AudioError, match="convert the audio"):
        front_end.init_state(191_999)


def test_samples_have_one_form_within() -> None:
    half = np.full(3, 0.5, dtype=np.float16)
    for samples in (half, half.astype(np.float64), list(half), torch.full((3,), 0.5), half[:, None]):
        mono = to_mono(samples)
        assert mono.dtype == np.float32
        assert mono.tolist() == [0.5, 0.5, 0.5]
    assert to_mono(noise(0, 8)).shape == (0,)
    assert to_mono(noise(2, 32)).shape == (2,)
    assert to_mono(with_value(8.0)).max() == 8


def test_augmented_speech_may_be_louder_than_a_recording() -> None:
    louder = extract_fbank(100 * noise(800)) - extract_fbank(noise(800))
    assert louder.mean().item() == pytest.approx(2 * math.log(100), abs=1e-3)
    with pytest.raises(AudioError, match="not finite"):
        extract_fbank([math.nan])
