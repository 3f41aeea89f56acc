"""Source features of one utterance from whatever the manifest names: audio, or features computed before."""

import io
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from echostream.data.audio import SAMPLE_RATE, AudioError, read_archive_entry, read_audio
from echostream.data.fbank import NUM_MEL_BINS, WINDOW_SAMPLES, extract_fbank

Features = npt.NDArray[np.float32]

_NPY_MAGIC = b"\x93NUMPY"
_INT16_RANGE = np.float32(1 << 15)


class WaveformTransform(Protocol):
    """fairseq's waveform transforms: `[channels, samples]` in 16-bit range and the rate in, the same out."""

    def __call__(
        self, source: npt.NDArray[np.float32], sample_rate: int
    ) -> tuple[npt.NDArray[np.float32], int]: ...


def _load_npy(source: io.BytesIO | Path, location: str) -> Features:
    try:
        features = np.load(source, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise AudioError(f"{location}: not a readable npy file ({error})") from error
    if features.ndim != 2 or features.shape[1] != NUM_MEL_BINS or features.shape[0] == 0:
        raise AudioError(f"{location}: features must be [frames, {NUM_MEL_BINS}], not {list(features.shape)}")
    if not np.isfinite(features).all():
        raise AudioError(f"{location}: the features hold values that are not finite")
    return np.ascontiguousarray(features, dtype=np.float32)


def load_source_features(location: str, waveform_transforms: WaveformTransform | None = None) -> Features:
    """Log-mel features before normalisation.

    Args:
        location: wav, flac, ogg, mp3 (any rate and channels), npy, or `archive.zip:offset:length` of one.
        waveform_transforms: fairseq's, for the training split; ignored for features computed before.
    Returns:
        float32 `[frames, 80]`, at least one frame.
    Raises:
        AudioError: naming the file, when it cannot be read or is shorter than one window of 25 ms.
    """
    if location.endswith(".npy"):
        return _load_npy(Path(location), location)
    entry = read_archive_entry(location)
    if entry is not None and entry.startswith(_NPY_MAGIC):
        return _load_npy(io.BytesIO(entry), location)
    samples = read_audio(location, sample_rate=SAMPLE_RATE)
    if waveform_transforms is not None:
        scaled, _ = waveform_transforms(samples[None, :] * _INT16_RANGE, SAMPLE_RATE)
        samples = (scaled[0] / _INT16_RANGE).astype(np.float32)
    features: Features = extract_fbank(samples).numpy()
    if features.shape[0] == 0:
        raise AudioError(
            f"{location}: {len(samples)} samples are less than one window of {WINDOW_SAMPLES} samples at "
            f"{SAMPLE_RATE} Hz; remove it from the manifest"
        )
    return features
