"""Audio reading and resampling: any file in, the same samples for any chunking."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from echostream.data.audio import (
    AudioError,
    MissingAudioError,
    Resampler,
    Samples,
    read_audio,
    read_audio_native,
    resample,
)


def noise(num_samples: int, seed: int = 0) -> Samples:
    return (np.random.default_rng(seed).standard_normal(num_samples) * 0.1).astype(np.float32)


def sine(rate: int, frequency: float, seconds: float = 0.5) -> Samples:
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(
    rates=st.sampled_from(
        [(48000, 16000), (44100, 16000), (22050, 16000), (8000, 16000), (16000, 16000), (16000, 24000)]
    ),
    num_samples=st.integers(0, 5000),
    cuts=st.lists(st.integers(0, 5000), max_size=6),
)
def test_streaming_equals_whole_signal(rates: tuple[int, int], num_samples: int, cuts: list[int]) -> None:
    signal = noise(num_samples)
    whole = resample(signal, *rates)
    assert whole.size == -(-num_samples * rates[1] // rates[0])
    resampler = Resampler(*rates)
    state = resampler.init_state()
    borders = sorted(min(cut, num_samples) for cut in cuts)
    pieces = [resampler.streaming_forward(piece, state) for piece in np.split(signal, borders)]
    pieces.append(resampler.streaming_forward(np.zeros(0), state, is_final=True))
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


@pytest.mark.parametrize("from_rate", [8000, 11025, 22050, 44100, 48000])
def test_sine_is_kept(from_rate: int) -> None:
    result = resample(sine(from_rate, 1000.0), from_rate, 16000)
    expected = sine(16000, 1000.0)[: result.size]
    assert np.abs(result - expected)[400:-400].max() < 1e-4


def test_agrees_with_soxr_and_removes_what_would_alias() -> None:
    low, high = sine(48000, 3000.0), sine(48000, 11000.0)
    ours = resample(low + high, 48000, 16000)
    theirs = soxr.resample(low + high, 48000, 16000)
    assert np.abs(ours - theirs)[400:-400].max() < 1e-3
    assert np.abs(resample(high, 48000, 16000))[400:-400].max() < 1e-4


@pytest.mark.parametrize("rate", [0, -8000, 16000.5, True])
def test_bad_rates(rate: int) -> None:
    with pytest.raises(AudioError, match="sample rate"):
        Resampler(rate, 16000)


def test_extreme_ratio_is_refused() -> None:
    with pytest.raises(AudioError, match="convert the audio"):
        Resampler(191999, 191998)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_read_any_format_stereo_any_rate(tmp_path: Path, suffix: str) -> None:
    left, right = sine(44100, 440.0), 0.5 * sine(44100, 440.0)
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, np.stack([left, right], axis=1), 44100)
    samples = read_audio(path)
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    expected = 0.75 * sine(16000, 440.0)
    assert abs(samples.size - expected.size) < 1200  # mp3 pads
    power = float(np.sqrt(np.mean(samples[1000:6000] ** 2)))
    assert power == pytest.approx(float(np.sqrt(np.mean(expected[1000:6000] ** 2))), rel=0.02)


def test_read_from_stored_zip(tmp_path: Path) -> None:
    wav = tmp_path / "a.wav"
    soundfile.write(wav, noise(800), 16000)
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as stream:
        stream.writestr("first.txt", "x" * 77)
        stream.write(wav, "a.wav")
    data, whole = wav.read_bytes(), archive.read_bytes()
    entry = f"{archive}:{whole.index(data)}:{len(data)}"
    np.testing.assert_array_equal(read_audio(entry), read_audio(wav))
    with pytest.raises(AudioError, match="archive ends"):
        read_audio(f"{archive}:{len(whole) - 5}:{len(data)}")
    with pytest.raises(AudioError, match="0 bytes"):
        read_audio(f"{archive}:3:0")
    with pytest.raises(MissingAudioError, match=r"missing\.zip"):
        read_audio(f"{tmp_path}/missing.zip:3:10")


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.wav: no such audio file"):
        read_audio(tmp_path / "nowhere.wav")
    with pytest.raises(AudioError, match="not a file"):
        read_audio(tmp_path)
    empty = tmp_path / "empty.wav"
    empty.touch()
    with pytest.raises(AudioError, match=r"empty\.wav: the file is empty"):
        read_audio(empty)
    text = tmp_path / "text.wav"
    text.write_text("this is no audio")
    with pytest.raises(AudioError, match=r"text\.wav: cannot be read"):
        read_audio(text)
    header_only = tmp_path / "header.wav"
    soundfile.write(header_only, np.zeros(0, dtype=np.float32), 16000)
    with pytest.raises(AudioError, match=r"header\.wav: the file holds no samples"):
        read_audio(header_only)
    broken = tmp_path / "nan.wav"
    soundfile.write(broken, np.array([0.0, np.nan], dtype=np.float32), 16000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"nan.wav: .*not finite"):
        read_audio(broken)


def test_native_rate_and_mono(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(441), 44100, subtype="FLOAT")
    samples, rate = read_audio_native(path)
    assert rate == 44100
    np.testing.assert_array_equal(samples, noise(441))


def test_a_file_of_floats_on_the_16_bit_scale_is_named(tmp_path: Path) -> None:
    path = tmp_path / "loud.wav"
    soundfile.write(path, 32768 * noise(441), 16000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"loud\.wav: .*32768"):
        read_audio(path)
