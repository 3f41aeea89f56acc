"""Discrete target units: k-means over stretches of log-mel frames at 50 Hz, with a duration penalty.

    python -m echostream.corpus.units train --wavs wavs.txt --num-units 1000 --output kmeans.npz
    python -m echostream.corpus.units quantize --wavs wavs.txt --model kmeans.npz --output units.tsv

One unit stands for a frame of 320 samples at 16 kHz, so frames x 320 is the waveform's length. A frame is
clustered together with its neighbours: the units of a word then depend much less on where the frames happen
to begin in it, so that they can be predicted from text. Units of one voice are a stand-in for those of a
self-supervised speech model: good for comparing systems, not comparable with published numbers.

Reference: the duration-penalised assignment is that of Kamper and van Niekerk, "Towards unsupervised phone
and word segmentation using self-supervised vector-quantized neural networks" (2021).
"""

from __future__ import annotations

import argparse
import functools
import sys
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from echostream.corpus.steps import write_text
from echostream.data.audio import SAMPLE_RATE, read_audio

Features = npt.NDArray[np.float32]
Units = npt.NDArray[np.int64]

HOP_SAMPLES = 320
WINDOW_SAMPLES = 800
NUM_FFT = 1024
NUM_MEL_BINS = 80
LOG_FLOOR = 1e-5
# Neighbours on each side that a frame is clustered with: 140 ms together.
CONTEXT_FRAMES = 3
NUM_FEATURES = (2 * CONTEXT_FRAMES + 1) * NUM_MEL_BINS
MAX_TRAINING_FRAMES = 60_000
# Features and centroids are rounded to this many digits. Sums in another order (other processors, other
# numbers of threads) then give the same bytes, unless a value lies exactly on a rounding border.
DECIMALS = 4
# Bounds the memory of a batch of assignments: frames x units.
BATCH_COSTS = 10_000_000


@functools.lru_cache(maxsize=1)
def _mel_filters() -> npt.NDArray[np.float64]:
    """Triangular filters, evenly spaced in mel from 0 to 8 kHz: [bins, NUM_FFT / 2 + 1]."""
    highest_mel = 2595.0 * np.log10(1.0 + SAMPLE_RATE / 2 / 700.0)
    edges_hz = 700.0 * (10.0 ** (np.linspace(0.0, highest_mel, NUM_MEL_BINS + 2) / 2595.0) - 1.0)
    frequencies = np.arange(NUM_FFT // 2 + 1) * SAMPLE_RATE / NUM_FFT
    rising = (frequencies - edges_hz[:-2, None]) / (edges_hz[1:-1] - edges_hz[:-2])[:, None]
    falling = (edges_hz[2:, None] - frequencies) / (edges_hz[2:] - edges_hz[1:-1])[:, None]
    return np.maximum(0.0, np.minimum(rising, falling))


def log_mel(samples: npt.ArrayLike) -> Features:
    """Log-mel frames of 20 ms, each centred on its own 320 samples.

    Args:
        samples: [samples] at 16 kHz; a last part shorter than 320 samples gives no frame.

    Returns:
        [samples // 320, 80] float32.
    """
    signal = np.asarray(samples, dtype=np.float64)
    frames = signal.size // HOP_SAMPLES
    margin = (WINDOW_SAMPLES - HOP_SAMPLES) // 2
    padded = np.pad(signal[: frames * HOP_SAMPLES], margin)
    if not frames:
        return np.zeros((0, NUM_MEL_BINS), dtype=np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES]
    power = np.abs(np.fft.rfft(windows * np.hanning(WINDOW_SAMPLES), NUM_FFT)) ** 2
    logs = np.log(np.maximum(power @ _mel_filters().T, LOG_FLOOR))
    return np.round(logs, DECIMALS).astype(np.float32)


def with_context(frames: Features) -> Features:
    """Each frame between its neighbours, in order of time; at the ends the outermost frame stands for those
    that are missing.

    Args:
        frames: [frames, 80].

    Returns:
        [frames, 560].
    """
    if not len(frames):
        return np.zeros((0, NUM_FEATURES), dtype=np.float32)
    padded = np.pad(frames, ((CONTEXT_FRAMES, CONTEXT_FRAMES), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * CONTEXT_FRAMES + 1, axis=0)
    return np.ascontiguousarray(windows.transpose(0, 2, 1)).reshape(len(frames), -1)


def distances(features: npt.NDArray, centroids: npt.NDArray) -> npt.NDArray[np.float64]:
    """Squared distances of frames [..., D] to centroids [K, D] in double precision: [..., K]."""
    x = features.astype(np.float64, copy=False)
    c = centroids.astype(np.float64, copy=False)
    return np.maximum(0.0, (x**2).sum(-1, keepdims=True) - 2.0 * (x @ c.T) + (c**2).sum(-1))


@dataclass(frozen=True)
class UnitModel:
    """Cluster centres, and the mean squared distance of frames to them, the unit of the duration penalty.

    Attributes:
        centroids: [K, 560] float32, stretches of seven log-mel frames.
        distortion: mean squared distance over the training frames.
    """

    centroids: Features
    distortion: float

    @property
    def num_units(self) -> int:
        """K, the number of units."""
        return len(self.centroids)

    def save(self, path: Path) -> None:
        """Write an `.npz`; the same model always gives the same bytes."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, centroids=self.centroids, distortion=np.float64(self.distortion))

    @classmethod
    def load(cls, path: Path) -> UnitModel:
        """Read a model; pickled data is refused.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is not a unit model.
        """
        if not path.is_file():
            raise FileNotFoundError(f"there is no unit model {path}: train one with `units train`")
        try:
            with np.load(path, allow_pickle=False) as data:
                centroids, distortion = data["centroids"], float(data["distortion"])
        except (ValueError, KeyError, TypeError, zipfile.BadZipFile, AttributeError) as error:
            raise ValueError(f"{path} is not a unit model (centroids, distortion): {error}") from error
        if centroids.ndim != 2 or centroids.shape[1] != NUM_FEATURES:
            raise ValueError(f"{path}: centroids are {centroids.shape}, not [units, {NUM_FEATURES}]")
        return cls(centroids.astype(np.float32), distortion)


def train_units(
    features: Sequence[Features], num_units: int, seed: int, *, max_iterations: int = 20
) -> UnitModel:
    """Cluster frames with their neighbours by k-means; of more than 60,000, that many are drawn by the seed.

    Args:
        features: log-mel frames [frames, 80] of each utterance.
        num_units: K.
        seed: 0 to 2^32 - 1.
        max_iterations: iterations at most.

    Raises:
        ValueError: there are fewer frames, or fewer different ones, than units.
    """
    num_frames = sum(map(len, features))
    if num_units < 1 or num_units > num_frames:
        raise ValueError(
            f"{num_units} units cannot be learnt from {num_frames} frames of 20 ms: "
            "lower --num-units (at least 1) or give more speech"
        )
    frames = _draw_frames(features, np.random.default_rng(seed))
    num_different = len(np.unique(frames, axis=0))
    if num_different < num_units:
        raise ValueError(f"the frames hold only {num_different} different values: lower --num-units")
    # One start and one thread: the sums, and so the units, do not depend on the machine's cores.
    with threadpool_limits(limits=1):
        kmeans = KMeans(num_units, n_init=1, max_iter=max_iterations, random_state=seed)
        kmeans.fit(frames.astype(np.float64))
    centroids = np.round(kmeans.cluster_centers_, DECIMALS).astype(np.float32)
    return UnitModel(centroids, round(float(kmeans.inertia_) / len(frames), DECIMALS))


def _draw_frames(features: Sequence[Features], rng: np.random.Generator) -> Features:
    """At most MAX_TRAINING_FRAMES frames of all utterances, with their context: [frames, 560].

    Context is added to the drawn frames alone: all of them would take seven times the memory.
    """
    drawn = np.arange(sum(map(len, features)))
    if len(drawn) > MAX_TRAINING_FRAMES:
        drawn = np.sort(rng.choice(drawn, MAX_TRAINING_FRAMES, replace=False))
    ends = np.cumsum([len(item) for item in features])
    parts = np.split(drawn, np.searchsorted(drawn, ends[:-1]))
    return np.concatenate(
        [
            with_context(item)[part - (end - len(item))]
            for item, part, end in zip(features, parts, ends, strict=True)
        ]
    )


def assign_units(features: Sequence[Features], model: UnitModel, duration_penalty: float) -> list[Units]:
    """The unit of each frame: the sequence of least squared distance plus a penalty for each change of unit.

    Args:
        features: [frames, 80] of each utterance.
        model: the centres.
        duration_penalty: cost of a change in multiples of the model's distortion; 0 gives the nearest centre.

    Returns:
        [frames] units of each utterance.

    Raises:
        ValueError: the penalty is negative.
    """
    if duration_penalty < 0:
        raise ValueError(f"the duration penalty is {duration_penalty}: it must not be negative")
    order = sorted(range(len(features)), key=lambda index: (len(features[index]), index))
    units: dict[int, Units] = {}
    while order:
        frames_in_longest = max(1, len(features[order[-1]]))
        size = max(1, BATCH_COSTS // (frames_in_longest * model.num_units))
        order, batch = order[:-size], order[-size:]
        paths = _viterbi([features[index] for index in batch], model, duration_penalty * model.distortion)
        units.update(zip(batch, paths, strict=True))
    return [units[index] for index in range(len(features))]


def _viterbi(features: list[Features], model: UnitModel, penalty: float) -> list[Units]:
    lengths = [len(item) for item in features]
    longest, rows = max(lengths, default=0), np.arange(len(features))
    # Frames behind the end of a shorter row cost nothing: the best path stays on its last unit.
    costs = np.zeros((longest, len(features), model.num_units))
    for row, item in enumerate(features):
        costs[: len(item), row] = distances(with_context(item), model.centroids)
    total = np.zeros((len(features), model.num_units))
    changed = np.zeros(costs.shape, dtype=bool)
    best = np.zeros((longest, len(features)), dtype=np.int64)
    for step in range(longest):
        if step:
            best[step] = total.argmin(axis=1)
            change = total[rows, best[step]][:, None] + penalty
            changed[step] = change < total
            total = np.minimum(total, change)
        total = total + costs[step]
    paths = np.zeros((longest, len(features)), dtype=np.int64)
    state = total.argmin(axis=1) if longest else rows
    for step in range(longest - 1, -1, -1):
        paths[step] = state
        state = np.where(changed[step, rows, state], best[step], state)
    return [paths[:length, row] for row, length in enumerate(lengths)]


def reduce_units(units: npt.ArrayLike) -> tuple[list[int], list[int]]:
    """Units without repeats and how many frames each lasts; the durations sum to the number of frames."""
    frames = np.asarray(units, dtype=np.int64)
    if not frames.size:
        return [], []
    starts = np.flatnonzero(np.r_[True, frames[1:] != frames[:-1]])
    return frames[starts].tolist(), np.diff(np.r_[starts, frames.size]).tolist()


def expand_units(units: Sequence[int], durations: Sequence[int]) -> list[int]:
    """The inverse of `reduce_units`."""
    return [unit for unit, duration in zip(units, durations, strict=True) for _ in range(duration)]


def extract_log_mels(paths: Sequence[Path], num_jobs: int = 1) -> list[Features]:
    """Log-mel frames of audio files of any rate, in the order of the paths."""
    with ThreadPoolExecutor(max_workers=num_jobs) as pool:
        return list(pool.map(lambda path: log_mel(read_audio(path, sample_rate=SAMPLE_RATE)), paths))


def _read_paths(listing: Path) -> list[Path]:
    if not listing.is_file():
        raise FileNotFoundError(f"there is no list of audio files {listing}")
    paths = [Path(line) for line in listing.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not paths:
        raise ValueError(f"{listing} names no audio file: write one path a line")
    return paths


def main(arguments: Sequence[str] | None = None) -> int:
    """Learn units from a list of audio files, or write each file's units (tsv: audio, units, durations)."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="learn units")
    quantize = commands.add_parser("quantize", help="write the units of audio files")
    for command in (train, quantize):
        command.add_argument("--wavs", type=Path, required=True, help="file with one audio path a line")
        command.add_argument("--output", type=Path, required=True)
        command.add_argument("--jobs", type=int, default=1)
    train.add_argument("--num-units", type=int, default=1000)
    train.add_argument("--seed", type=int, default=1)
    quantize.add_argument("--model", type=Path, required=True)
    quantize.add_argument("--duration-penalty", type=float, default=1.0)
    args = parser.parse_args(arguments)
    try:
        paths = _read_paths(args.wavs)
        features = extract_log_mels(paths, args.jobs)
        if args.command == "train":
            train_units(features, args.num_units, args.seed).save(args.output)
            return 0
        lines = ["audio\tunits\tdurations\n"]
        units = assign_units(features, UnitModel.load(args.model), args.duration_penalty)
        for path, frames in zip(paths, units, strict=True):
            reduced, durations = reduce_units(frames)
            lines.append(f"{path}\t{' '.join(map(str, reduced))}\t{' '.join(map(str, durations))}\n")
        write_text(args.output, "".join(lines))
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
