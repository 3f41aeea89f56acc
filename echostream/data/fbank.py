"""Log-mel filter-bank features and global normalisation: one code path for files and for streams.

Features are Kaldi's: 80 mel bins, windows of 25 ms every 10 ms, a frame only where a whole window fits
("snip edges"), no dither, samples scaled to 16-bit integers' range.
"""

import functools
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import kaldi_native_fbank
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from echostream.data.audio import SAMPLE_RATE as SAMPLE_RATE
from echostream.data.audio import AudioError, Resampler, ResamplerState, Samples, check_sample_rate, to_mono
from echostream.streaming import StreamState

NUM_MEL_BINS = 80
WINDOW_SAMPLES = 400
HOP_SAMPLES = 160

_SCALE = np.float32(1 << 15)
_BLOCK_SAMPLES = 1 << 20  # bounds the memory of one call of the extractor


@functools.lru_cache(maxsize=1)
def _options() -> kaldi_native_fbank.FbankOptions:
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = SAMPLE_RATE
    options.frame_opts.frame_length_ms = 1000 * WINDOW_SAMPLES / SAMPLE_RATE
    options.frame_opts.frame_shift_ms = 1000 * HOP_SAMPLES / SAMPLE_RATE
    options.frame_opts.dither = 0.0
    options.frame_opts.snip_edges = True
    options.mel_opts.num_bins = NUM_MEL_BINS
    return options


def num_fbank_frames(num_samples: int) -> int:
    """Frames that `num_samples` samples at 16 kHz give: one for each whole window."""
    return 0 if num_samples < WINDOW_SAMPLES else 1 + (num_samples - WINDOW_SAMPLES) // HOP_SAMPLES


@dataclass
class FbankState(StreamState):
    """What the filter bank remembers of one stream.

    Args:
        rest: `[n]`, float32, samples that no finished hop has used up; fewer than one window.
    """

    rest: Tensor

    def reset(self) -> None:
        """Forget the signal."""
        self.finished = False
        self.rest = self.rest.new_zeros(0)


class Fbank:
    """Incremental filter bank; for any chunking its frames equal those of the whole signal bit for bit.

    A frame depends on its own window alone.

    Dimensions: n samples at 16 kHz, F frames of 10 ms.
    """

    def forward(self, samples: npt.ArrayLike) -> Tensor:
        """Features of a whole signal, `[n]` in [-1, 1], to float32 `[F, 80]`; F is 0 for less than 25 ms."""
        return self.streaming_forward(samples, self.init_state(), is_final=True)

    def init_state(self) -> FbankState:
        """Return the state of one stream at its start."""
        return FbankState(torch.zeros(0))

    def streaming_forward(
        self, samples: npt.ArrayLike, state: FbankState, *, is_final: bool = False
    ) -> Tensor:
        """Features of the windows that the next samples complete.

        Args:
            samples: `[n]` in [-1, 1] at 16 kHz, n >= 0.
            state: from `init_state`, changed in place.
            is_final: no more samples will come.
        Returns:
            float32 `[F, 80]`, F may be 0.
        Raises:
            AudioError: for bad samples; the state is as it was.
            StreamFinishedError: if the stream is closed already.
        """
        return self.advance(to_mono(samples), state, is_final=is_final)

    def advance(self, mono: Samples, state: FbankState, *, is_final: bool = False) -> Tensor:
        """Do what `streaming_forward` does, for samples `[n]` that `to_mono` has checked, however loud."""
        state.begin_step(is_final=is_final)
        signal = np.concatenate([state.rest.numpy(), mono])
        num_frames = num_fbank_frames(signal.size)
        output = np.empty((num_frames, NUM_MEL_BINS), dtype=np.float32)
        frames_a_block = _BLOCK_SAMPLES // HOP_SAMPLES
        for begin in range(0, num_frames, frames_a_block):
            end = min(begin + frames_a_block, num_frames)
            block = signal[begin * HOP_SAMPLES : (end - 1) * HOP_SAMPLES + WINDOW_SAMPLES]
            extractor = kaldi_native_fbank.OnlineFbank(_options())
            extractor.accept_waveform(SAMPLE_RATE, block * _SCALE)
            for frame in range(end - begin):
                output[begin + frame] = extractor.get_frame(frame)
        state.rest = torch.from_numpy(signal[num_frames * HOP_SAMPLES :].copy())
        return torch.from_numpy(output)


def extract_fbank(samples: npt.ArrayLike) -> Tensor:
    """Features of a whole signal, like `Fbank.forward`, however loud: augmented speech is no recording."""
    fbank = Fbank()
    return fbank.advance(to_mono(samples, max_amplitude=math.inf), fbank.init_state(), is_final=True)


class GlobalCMVN:
    """Normalisation with the corpus' mean and standard deviation, the same for every frame.

    Args:
        mean: `[80]`.
        std: `[80]`, positive.
    Raises:
        ValueError: for another shape or values that cannot normalise.
    """

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        for name, value in (("mean", mean), ("std", std)):
            if value.shape != (NUM_MEL_BINS,) or not bool(torch.isfinite(value).all()):
                raise ValueError(
                    f"global CMVN: {name} must be {NUM_MEL_BINS} finite values, not {list(value.shape)}"
                )
        if not bool((std > 0).all()):
            raise ValueError("global CMVN: std must be positive in every mel bin")
        self.mean = mean.float()
        self.std = std.float()

    @classmethod
    def from_npz(cls, path: str | Path) -> "GlobalCMVN":
        """Read `mean` and `std` from an npz file.

        Raises:
            FileNotFoundError: when there is no such file.
            ValueError: when it is no npz file with both arrays.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"{path}: no such global CMVN file; compute it from the training set")
        arrays: dict[str, npt.NDArray[np.float32]] = {}
        try:
            with np.load(path, allow_pickle=False) as npz:
                arrays = {name: np.asarray(npz[name], np.float32) for name in ("mean", "std") if name in npz}
        except (OSError, EOFError, AttributeError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: not an npz file with the arrays mean and std ({error})") from error
        missing = {"mean", "std"} - set(arrays)
        if missing:
            raise ValueError(f"{path}: lacks {', '.join(sorted(missing))}; mean and std are needed")
        return cls(torch.from_numpy(arrays["mean"]), torch.from_numpy(arrays["std"]))

    def __call__(self, fbank: Tensor) -> Tensor:
        """Normalise `[F, 80]` (or `[…, 80]`)."""
        return (fbank - self.mean.to(fbank)) / self.std.to(fbank)


@dataclass
class FrontEndState(StreamState):
    """What the front end remembers of one stream.

    Args:
        fbank: the filter bank's state.
        resampler: the resampler's state; None as long as the rate is not known.
        sample_rate: rate of the stream in Hz; 0 as long as it is not known.
        has_fixed_rate: whether the rate was given with the state, rather than with the first samples.
    """

    fbank: FbankState
    resampler: ResamplerState | None = None
    sample_rate: int = 0
    has_fixed_rate: bool = False

    def reset(self) -> None:
        """Start a new stream; it may have another rate, unless the rate was given with the state."""
        self.finished = False
        self.fbank.reset()
        if self.has_fixed_rate and self.resampler is not None:
            self.resampler.reset()
        else:
            self.resampler = None
            self.sample_rate = 0


@functools.lru_cache(maxsize=8)
def _resampler(sample_rate: int) -> Resampler:
    return Resampler(sample_rate, SAMPLE_RATE)


class FrontEnd:
    """Samples at any rate in, normalised features out; streaming equals the whole signal bit for bit.

    Args:
        cmvn: normalisation, or None for plain features.
    """

    def __init__(self, cmvn: GlobalCMVN | None = None) -> None:
        self.cmvn = cmvn
        self._fbank = Fbank()

    def forward(self, samples: npt.ArrayLike, sample_rate: int) -> Tensor:
        """Features `[F, 80]` of a whole signal, `[n]` or `[n, channels]`."""
        return self.streaming_forward(samples, self.init_state(), sample_rate=sample_rate, is_final=True)

    def init_state(self, sample_rate: int | None = None) -> FrontEndState:
        """Return the state of one stream at its start, for a rate in Hz or for that of its first samples.

        Raises:
            AudioError: for a bad rate.
        """
        state = FrontEndState(self._fbank.init_state())
        if sample_rate is not None:
            state.resampler = _resampler(check_sample_rate(sample_rate)).init_state()
            state.sample_rate, state.has_fixed_rate = int(sample_rate), True
        return state

    def streaming_forward(
        self, samples: npt.ArrayLike, state: FrontEndState, *, sample_rate: int, is_final: bool = False
    ) -> Tensor:
        """Features that the next samples complete.

        Args:
            samples: `[n]` or `[n, channels]`, n >= 0; see `to_mono`.
            state: from `init_state`, changed in place.
            sample_rate: their rate in Hz.
            is_final: no more samples will come.
        Returns:
            float32 `[F, 80]`.
        Raises:
            AudioError: for bad samples, a bad rate, or another one than before; the state is as it was.
            StreamFinishedError: if the stream is closed already.
        """
        rate = check_sample_rate(sample_rate)
        if state.resampler is not None and rate != state.sample_rate:
            raise AudioError(
                f"the sample rate changed from {state.sample_rate} to {rate} Hz within a stream; "
                "start a new stream for it"
            )
        resampler = _resampler(rate)
        mono = to_mono(samples)
        state.begin_step(is_final=is_final)
        if state.resampler is None:
            state.resampler, state.sample_rate = resampler.init_state(), rate
        resampled = resampler.advance(mono, state.resampler, is_final=is_final)
        fbank = self._fbank.advance(resampled, state.fbank, is_final=is_final)
        return fbank if self.cmvn is None else self.cmvn(fbank)
