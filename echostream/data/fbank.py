"""Log-mel filter-bank features and global normalisation: one code path for files and for streams.

Features are Kaldi's: 80 mel bins, windows of 25 ms every 10 ms, a frame only where a whole window fits
("snip edges"), no dither, samples scaled to 16-bit integers' range.
"""

import functools
import zipfile
from pathlib import Path

import kaldi_native_fbank
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from echostream.data.audio import Samples, StreamingResampler, to_mono

SAMPLE_RATE = 16000
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


class StreamingFbank:
    """Incremental filter bank; for any chunking its frames equal those of the whole signal bit for bit.

    A frame depends on its own window alone, so the state is the samples that no finished hop has used up
    (at most one window).

    Dimensions: n samples at 16 kHz, F frames of 10 ms.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Make the object as if newly built."""
        self._rest: Samples = np.zeros(0, dtype=np.float32)
        self._finished = False

    def clone(self) -> "StreamingFbank":
        """An independent copy that goes on from here."""
        other = StreamingFbank()
        other._rest = self._rest.copy()
        other._finished = self._finished
        return other

    @property
    def num_bytes(self) -> int:
        """Size of the state."""
        return self._rest.nbytes

    def push(self, samples: npt.ArrayLike, *, is_final: bool = False) -> Tensor:
        """Features of the windows that the next samples complete.

        Args:
            samples: `[n]` in [-1, 1] at 16 kHz, n >= 0.
            is_final: no more samples will come.
        Returns:
            float32 `[F, 80]`, F may be 0.
        Raises:
            AudioError: for samples of another shape or that are not finite.
            RuntimeError: after a final call.
        """
        if self._finished:
            raise RuntimeError("the filter bank got its final samples already; call reset() first")
        signal = np.concatenate([self._rest, to_mono(samples)])
        self._finished = is_final
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
        self._rest = signal[num_frames * HOP_SAMPLES :].copy()
        return torch.from_numpy(output)


def extract_fbank(samples: npt.ArrayLike) -> Tensor:
    """Features of a whole signal.

    Args:
        samples: `[n]` in [-1, 1] at 16 kHz.
    Returns:
        float32 `[F, 80]`; F is 0 for less than 25 ms.
    """
    return StreamingFbank().push(samples, is_final=True)


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


class StreamingFrontEnd:
    """Samples at any rate in, normalised features out; equal to the whole signal's bit for bit.

    The sample rate is fixed by the first call until `reset()`.

    Args:
        cmvn: normalisation, or None for plain features.
    """

    def __init__(self, cmvn: GlobalCMVN | None = None) -> None:
        self.cmvn = cmvn
        self.reset()

    def reset(self) -> None:
        """Make the object as if newly built."""
        self._resampler: StreamingResampler | None = None
        self._fbank = StreamingFbank()

    def clone(self) -> "StreamingFrontEnd":
        """An independent copy that goes on from here."""
        other = StreamingFrontEnd(self.cmvn)
        other._resampler = None if self._resampler is None else self._resampler.clone()
        other._fbank = self._fbank.clone()
        return other

    @property
    def num_bytes(self) -> int:
        """Size of the state."""
        return self._fbank.num_bytes + (self._resampler.num_bytes if self._resampler is not None else 0)

    def push(self, samples: npt.ArrayLike, sample_rate: int, *, is_final: bool = False) -> Tensor:
        """Features that the next samples complete.

        Args:
            samples: `[n]` or `[n, channels]` in [-1, 1], n >= 0.
            sample_rate: their rate in Hz.
            is_final: no more samples will come.
        Returns:
            float32 `[F, 80]`.
        Raises:
            AudioError: for bad samples or a bad rate.
            ValueError: when the rate changes in mid-stream.
        """
        if self._resampler is None:
            self._resampler = StreamingResampler(sample_rate, SAMPLE_RATE)
        if sample_rate != self._resampler.from_rate:
            raise ValueError(
                f"the sample rate changed from {self._resampler.from_rate} to {sample_rate} Hz; "
                "reset() starts a new stream"
            )
        fbank = self._fbank.push(self._resampler.push(samples, is_final=is_final), is_final=is_final)
        return fbank if self.cmvn is None else self.cmvn(fbank)
