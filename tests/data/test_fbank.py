"""Features: streaming equals offline bit for bit, and both are Kaldi's."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echostream.data.audio import AudioError, Samples, resample
from echostream.data.fbank import (
    NUM_MEL_BINS,
    SAMPLE_RATE,
    Fbank,
    FrontEnd,
    GlobalCMVN,
    extract_fbank,
    num_fbank_frames,
)
from echostream.streaming import StreamFinishedError


def speech_like(num_samples: int, rate: int = SAMPLE_RATE) -> Samples:
    time = np.arange(num_samples) / rate
    voice = sum(np.sin(2 * np.pi * 120 * k * time + k) / k for k in range(1, 30))
    breath = np.random.default_rng(1).standard_normal(num_samples)
    return (0.05 * voice * (1 + np.sin(7 * time)) + 0.01 * breath).astype(np.float32)


def cmvn() -> GlobalCMVN:
    return GlobalCMVN(torch.linspace(5, 15, NUM_MEL_BINS), torch.linspace(1, 3, NUM_MEL_BINS))


@pytest.mark.parametrize(
    ("num_samples", "frames"),
    [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2), (5120, 30)],
)
def test_snip_edges(num_samples: int, frames: int) -> None:
    assert num_fbank_frames(num_samples) == frames
    assert extract_fbank(speech_like(num_samples)).shape == (frames, NUM_MEL_BINS)


@settings(max_examples=40, deadline=None)
@given(num_samples=st.integers(0, 8000), cuts=st.lists(st.integers(0, 8000), max_size=8))
def test_streaming_equals_offline_bit_for_bit(num_samples: int, cuts: list[int]) -> None:
    signal = speech_like(num_samples)
    fbank = Fbank()
    state = fbank.init_state()
    borders = sorted(min(cut, num_samples) for cut in cuts)
    frames = [fbank.streaming_forward(piece, state) for piece in np.split(signal, borders)]
    assert state.num_bytes < 4 * 400
    frames.append(fbank.streaming_forward([], state, is_final=True))
    assert torch.equal(torch.cat(frames), extract_fbank(signal))


def test_blocks_of_long_signals_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    signal = speech_like(16000)
    whole = extract_fbank(signal)
    monkeypatch.setattr("echostream.data.fbank._BLOCK_SAMPLES", 1600)
    assert torch.equal(extract_fbank(signal), whole)


def mel_filter_bank() -> npt.NDArray[np.float64]:
    """Kaldi's triangles on the mel scale, written out: [80, 257]."""

    def mel(hertz: npt.ArrayLike) -> npt.NDArray[np.float64]:
        return 1127.0 * np.log1p(np.asarray(hertz, dtype=np.float64) / 700.0)

    edges = np.linspace(mel(20.0), mel(8000.0), NUM_MEL_BINS + 2)
    bins = mel(np.arange(257) * SAMPLE_RATE / 512)
    rising = (bins[None] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins[None]) / (edges[2:] - edges[1:-1])[:, None]
    bank: npt.NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    return bank


def test_agrees_with_the_definition() -> None:
    signal = speech_like(4000)
    frames = np.lib.stride_tricks.sliding_window_view(signal.astype(np.float64) * 32768, 400)[::160]
    frames = frames - frames.mean(axis=1, keepdims=True)
    frames = frames - 0.97 * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)) ** 0.85
    power = np.abs(np.fft.rfft(frames * window, 512)) ** 2
    expected = np.log(np.maximum(power @ mel_filter_bank().T, np.finfo(np.float32).eps))
    np.testing.assert_allclose(extract_fbank(signal).numpy(), expected, atol=2e-2)


def test_final_reset_and_clone() -> None:
    fbank = Fbank()
    state = fbank.init_state()
    fbank.streaming_forward(speech_like(1000), state)
    other = state.clone()
    rest = speech_like(700)
    expected = fbank.streaming_forward(rest, other)
    assert torch.equal(fbank.streaming_forward(rest, state, is_final=True), expected)
    with pytest.raises(StreamFinishedError, match="reset"):
        fbank.streaming_forward(rest, state)
    state.reset()
    assert torch.equal(fbank.streaming_forward(rest, state), extract_fbank(rest))
    with pytest.raises(AudioError, match="finite"):
        fbank.streaming_forward([float("nan")], state)


def test_cmvn(tmp_path: Path) -> None:
    path = tmp_path / "gcmvn.npz"
    np.savez(path, mean=cmvn().mean.numpy(), std=cmvn().std.numpy())
    features = extract_fbank(speech_like(1600))
    expected = (features - cmvn().mean) / cmvn().std
    assert torch.equal(GlobalCMVN.from_npz(path)(features), expected)


def test_bad_cmvn(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        GlobalCMVN.from_npz(tmp_path / "none.npz")
    path = tmp_path / "bad.npz"
    path.write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"bad.npz"):
        GlobalCMVN.from_npz(path)
    np.savez(path, mean=np.zeros(80))
    with pytest.raises(ValueError, match="lacks std"):
        GlobalCMVN.from_npz(path)
    np.savez(path, mean=np.zeros(40), std=np.ones(40))
    with pytest.raises(ValueError, match="80 finite values"):
        GlobalCMVN.from_npz(path)
    np.savez(path, mean=np.zeros(80), std=np.zeros(80))
    with pytest.raises(ValueError, match="positive"):
        GlobalCMVN.from_npz(path)


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_front_end_equals_offline(rate: int) -> None:
    signal = speech_like(rate // 2, rate)
    stereo = np.stack([signal, signal], axis=1)
    expected = cmvn()(extract_fbank(resample(signal, rate, SAMPLE_RATE)))
    front_end = FrontEnd(cmvn())
    state = front_end.init_state()
    frames = [
        front_end.streaming_forward(piece, state, sample_rate=rate) for piece in np.array_split(stereo, 7)
    ]
    other = state.clone()
    nothing = np.zeros(0)
    tail = front_end.streaming_forward(nothing, state, sample_rate=rate, is_final=True)
    assert torch.equal(torch.cat([*frames, tail]), expected)
    assert torch.equal(front_end.streaming_forward(nothing, other, sample_rate=rate, is_final=True), tail)
    state.reset()
    assert torch.equal(front_end.streaming_forward(signal, state, sample_rate=rate, is_final=True), expected)
    assert torch.equal(front_end.forward(signal, rate), expected)


def test_front_end_refuses_a_change_of_rate() -> None:
    front_end = FrontEnd()
    state = front_end.init_state()
    front_end.streaming_forward(np.zeros(100), state, sample_rate=16000)
    with pytest.raises(ValueError, match="16000 to 8000"):
        front_end.streaming_forward(np.zeros(100), state, sample_rate=8000)
    state.reset()
    front_end.streaming_forward(np.zeros(100), state, sample_rate=8000)
