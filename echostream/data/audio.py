"""Reading audio of any kind, and resampling it incrementally.

Everything after this module sees mono float32 samples in [-1, 1] at one sample rate.
"""

import functools
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from torch import Tensor

from echostream.streaming import StreamState

Samples = npt.NDArray[np.float32]

SAMPLE_RATE = 16000

MAX_AMPLITUDE = 8.0
"""Floats beyond this are taken for 16-bit samples; loud or resampled audio overshoots 1 by much less."""

MAX_CHANNELS = 32
"""More channels than this are taken for samples: the array is the wrong way round."""

_FULL_RANGES = {2: 2.0**15, 4: 2.0**31}  # of signed integers, by their size in bytes
_ZERO_CROSSINGS = 32  # half width of the resampling filter, in periods of the lower of the two rates
_ROLLOFF = 0.95  # cutoff as a fraction of the lower Nyquist frequency
_KAISER_BETA = 10.0
_MAX_FILTER_VALUES = 1 << 22  # refuses rate pairs whose filter bank would need more than 32 MiB
_GATHER_VALUES = 1 << 15  # bounds one block of output samples to what the processor caches hold


class AudioError(ValueError):
    """Audio that cannot be used; the message names the file and says what is wrong with it."""


class MissingAudioError(AudioError, FileNotFoundError):
    """An audio file, or the archive that should hold it, does not exist."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else "missing audio"


def check_sample_rate(rate: Any) -> int:
    """Return `rate` as an int; a rate that is not a positive whole number of Hz raises AudioError."""
    is_number = isinstance(rate, (int, float, np.integer, np.floating)) and not isinstance(rate, bool)
    if not is_number or rate % 1 != 0 or rate <= 0:
        raise AudioError(f"the sample rate must be a positive whole number of Hz, got {rate!r}")
    return int(rate)


def to_mono(samples: npt.ArrayLike, *, max_amplitude: float = MAX_AMPLITUDE) -> Samples:
    """Bring samples as they come to the one form that is used within: mono float32 in [-1, 1].

    Dimensions: N samples, C channels.

    Args:
        samples: `[N]` or `[N, C]`, whose channels are averaged; floats in [-1, 1], or int16 or int32 PCM,
            which is divided by its full range (2^15, 2^31).
        max_amplitude: floats beyond it are refused, since they are on the scale of integers.
    Returns:
        float32 `[N]`, a copy only where the samples had another form.
    Raises:
        AudioError: for another shape, more than 32 channels, another type, values that are not finite or not
            on the scale of [-1, 1].
    """
    array = np.asarray(samples)
    _check_shape(array.shape)
    if array.dtype.kind == "i" and array.dtype.itemsize in _FULL_RANGES:
        array = array / _FULL_RANGES[array.dtype.itemsize]
    elif array.dtype.kind == "f":
        _check_floats(array, max_amplitude)
    else:
        raise AudioError(
            f"samples of type {array.dtype} are not understood: give floats in [-1, 1], or int16 or int32 PCM"
        )
    array = np.ascontiguousarray(array, dtype=np.float32)
    if array.ndim == 2:
        array = array.mean(axis=1, dtype=np.float32) if array.shape[1] > 1 else array[:, 0]
    return array


def _check_shape(shape: tuple[int, ...]) -> None:
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[1] == 0):
        raise AudioError(f"samples must be [samples] or [samples, channels], got the shape {list(shape)}")
    if len(shape) == 2 and shape[1] > MAX_CHANNELS:
        raise AudioError(
            f"samples of shape {list(shape)} would have {shape[1]} channels, more than {MAX_CHANNELS}: they "
            "must be [samples, channels], so turn the array the other way round (transpose it)"
        )


def _check_floats(array: npt.NDArray[np.floating], max_amplitude: float) -> None:
    peak = max(array.max(initial=0), -array.min(initial=0))  # NaN if there is any
    if not math.isfinite(peak):
        raise AudioError("the audio holds samples that are not finite (NaN or infinity)")
    if peak > max_amplitude:
        raise AudioError(
            f"the audio holds floats up to {peak:.6g}, which are not on the scale of [-1, 1]: divide the "
            "samples of 16-bit audio by 32768, or give them as int16"
        )


@functools.lru_cache(maxsize=32)
def _filter_bank(up: int, down: int) -> tuple[npt.NDArray[np.float64], int]:
    """Windowed-sinc filters of unit sum, one a phase: `[up, taps]`, and the half width in input samples."""
    cutoff = min(1.0, up / down) * _ROLLOFF  # in units of the input Nyquist frequency
    half_width_samples = math.ceil(_ZERO_CROSSINGS / cutoff)
    taps = 2 * half_width_samples
    if up * taps > _MAX_FILTER_VALUES:
        raise AudioError(
            f"the sample rates are in the ratio {up}:{down}, which needs {up} filters of {taps} taps; "
            "convert the audio to a common rate (8000, 16000, 22050, 24000, 44100, 48000 Hz …) first"
        )
    phases = np.arange(up, dtype=np.float64)[:, None] / up
    offsets = np.arange(-half_width_samples + 1, half_width_samples + 1, dtype=np.float64)[None, :] - phases
    window = np.i0(_KAISER_BETA * np.sqrt(np.maximum(0.0, 1.0 - (offsets / half_width_samples) ** 2)))
    filters = np.sinc(cutoff * offsets) * window
    return filters / filters.sum(axis=1, keepdims=True), half_width_samples


@dataclass
class ResamplerState(StreamState):
    """What a `Resampler` remembers of one stream; its size is bounded by the filter's length.

    Args:
        history_samples: zeros that stand before the signal, half a filter.
        window: `[n]`, float64, input samples that coming outputs still read.
        num_dropped_samples: samples of history and signal that lie before the window.
        num_input_samples: samples heard.
        num_output_samples: samples given out.
    """

    history_samples: int
    window: Tensor
    num_dropped_samples: int = 0
    num_input_samples: int = 0
    num_output_samples: int = 0

    def reset(self) -> None:
        """Forget the signal."""
        self.finished = False
        self.window = self.window.new_zeros(self.history_samples)
        self.num_dropped_samples = self.num_input_samples = self.num_output_samples = 0


class Resampler:
    """Polyphase FIR resampler whose output, for any chunking, equals that for the whole signal bit for bit.

    The whole signal of `n` samples gives `ceil(n * to_rate / from_rate)` samples. The look-ahead is 32
    periods of the lower rate (about 2 ms at 16 kHz); equal rates pass samples through without delay.

    Args:
        from_rate: input rate in Hz.
        to_rate: output rate in Hz.
    Raises:
        AudioError: for a rate that is not a positive whole number, or an extreme ratio.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self.from_rate = check_sample_rate(from_rate)
        self.to_rate = check_sample_rate(to_rate)
        divisor = math.gcd(self.from_rate, self.to_rate)
        self._up = self.to_rate // divisor
        self._down = self.from_rate // divisor
        self._is_identity = self._up == self._down
        if not self._is_identity:
            self._filters, self._half_width_samples = _filter_bank(self._up, self._down)

    def forward(self, samples: npt.ArrayLike) -> Samples:
        """Resample a whole signal, `[n]` or `[n, channels]`, to float32 `[ceil(n * to_rate / from_rate)]`."""
        return self.streaming_forward(samples, self.init_state(), is_final=True)

    def init_state(self) -> ResamplerState:
        """Return the state of one stream at its start."""
        history_samples = 0 if self._is_identity else self._half_width_samples - 1
        return ResamplerState(history_samples, torch.zeros(history_samples, dtype=torch.float64))

    def streaming_forward(
        self, samples: npt.ArrayLike, state: ResamplerState, *, is_final: bool = False
    ) -> Samples:
        """Resample the next samples.

        Args:
            samples: `[n]` or `[n, channels]` at `from_rate`, n >= 0.
            state: from `init_state`, changed in place.
            is_final: no more samples will come; flushes.
        Returns:
            float32 `[m]` at `to_rate`, as many as are determined by now.
        Raises:
            AudioError: for bad samples; the state is as it was.
            StreamFinishedError: if the stream is closed already.
        """
        return self.advance(to_mono(samples), state, is_final=is_final)

    def advance(self, mono: Samples, state: ResamplerState, *, is_final: bool = False) -> Samples:
        """Do what `streaming_forward` does, for samples `[n]` that `to_mono` has checked."""
        state.begin_step(is_final=is_final)
        state.num_input_samples += mono.size
        if self._is_identity:
            state.num_output_samples += mono.size
            return mono
        padding_samples = self._half_width_samples if is_final else 0
        window = np.concatenate([state.window.numpy(), mono, np.zeros(padding_samples)])
        count = self._num_available(state) - state.num_output_samples
        output = self._convolve(window, state, count)
        state.num_output_samples += count
        drop = state.num_output_samples * self._down // self._up - state.num_dropped_samples
        drop = min(max(drop, 0), window.size)
        state.num_dropped_samples += drop
        state.window = torch.from_numpy(window[drop:].copy())
        return output

    def _num_available(self, state: ResamplerState) -> int:
        """How many output samples are determined by the input so far."""
        if state.finished:
            return -(-state.num_input_samples * self._up // self._down)
        usable_samples = state.num_input_samples - self._half_width_samples
        # output n needs input floor(n * down / up) + half_width, the last of which must be there
        return max(0, -(-usable_samples * self._up // self._down)) if usable_samples > 0 else 0

    def _convolve(self, window: npt.NDArray[np.float64], state: ResamplerState, count: int) -> Samples:
        output = np.empty(count, dtype=np.float32)
        if count == 0:
            return output
        taps = self._filters.shape[1]
        block = max(1, _GATHER_VALUES // taps)
        # All stretches of the window as rows of a view; numpy's own function for it takes 20 times as long.
        shape = (window.size - taps + 1, taps)
        inputs = np.ndarray(shape, window.dtype, buffer=window, strides=2 * window.strides)
        for begin in range(0, count, block):
            end = min(begin + block, count)
            first = (state.num_output_samples + begin) * self._down
            whole, rest = divmod(first, self._up)
            steps = rest + np.arange(end - begin, dtype=np.int64) * self._down
            positions = whole - state.num_dropped_samples + steps // self._up
            output[begin:end] = (inputs[positions] * self._filters[steps % self._up]).sum(axis=1)
        return output


def resample(samples: npt.ArrayLike, from_rate: int, to_rate: int) -> Samples:
    """Resample a whole signal; see `Resampler`."""
    return Resampler(from_rate, to_rate).forward(samples)


def parse_archive_entry(location: str) -> tuple[str, int, int] | None:
    """Archive, byte offset and byte length of `archive.zip:offset:length` (fairseq's), or None for a file."""
    parts = location.rsplit(":", 2)
    if len(parts) != 3 or not parts[1].isdigit() or not parts[2].isdigit():
        return None
    return parts[0], int(parts[1]), int(parts[2])


def read_archive_entry(location: str) -> bytes | None:
    """Bytes of an uncompressed archive entry; None when `location` is a plain file.

    Raises:
        MissingAudioError: when the archive does not exist.
        AudioError: for an empty entry, or one beyond the archive's end.
    """
    entry = parse_archive_entry(location)
    if entry is None:
        return None
    archive, offset, length = entry
    _check_file(Path(archive))
    if length == 0:
        raise AudioError(f"{location}: the length of the archive entry is 0 bytes")
    with Path(archive).open("rb") as stream:
        stream.seek(offset)
        data = stream.read(length)
    if len(data) != length:
        raise AudioError(
            f"{location}: the archive ends before byte {offset + length}; make the manifest again"
        )
    return data


def _open(path: str | Path) -> tuple[io.BytesIO | str, str]:
    """What soundfile shall read, and the file that must exist; splits `archive.zip:offset:length`."""
    text = str(path)
    data = read_archive_entry(text)
    if data is not None:
        return io.BytesIO(data), text
    _check_file(Path(text))
    return text, text


def _check_file(path: Path) -> None:
    if not path.exists():
        raise MissingAudioError(f"{path}: no such audio file; check the manifest's paths and audio_root")
    if not path.is_file():
        raise AudioError(f"{path}: not a file")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: the file is empty (0 bytes)")


def read_audio_native(path: str | Path) -> tuple[Samples, int]:
    """Read a file at its own sample rate.

    Args:
        path: wav, flac, ogg or mp3 file, or `archive.zip:byte_offset:byte_length` of an uncompressed entry.
    Returns:
        mono float32 `[samples]` in [-1, 1] and the rate in Hz.
    Raises:
        MissingAudioError: when the file does not exist.
        AudioError: when it is empty, not audio, or holds values that are not finite.
    """
    source, name = _open(path)
    try:
        samples, rate = soundfile.read(source, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
        raise AudioError(f"{name}: cannot be read as audio ({error}); use wav, flac, ogg or mp3") from error
    if samples.shape[0] == 0:
        raise AudioError(f"{name}: the file holds no samples")
    try:
        return to_mono(samples), check_sample_rate(rate)
    except AudioError as error:
        raise AudioError(f"{name}: {error}") from error


def read_audio(path: str | Path, *, sample_rate: int = SAMPLE_RATE) -> Samples:
    """Read a file of any rate and channel count as mono samples at `sample_rate`.

    Args:
        path: see `read_audio_native`.
        sample_rate: rate of the result in Hz.
    Returns:
        float32 `[samples]` in [-1, 1] (resampling may overshoot slightly).
    Raises:
        AudioError: see `read_audio_native`.
    """
    samples, rate = read_audio_native(path)
    return resample(samples, rate, sample_rate)
