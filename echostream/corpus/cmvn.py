"""Global mean and standard deviation of fbank features, for the transform global_cmvn.

python -m echostream.corpus.cmvn --wavs train_wavs.txt --output gcmvn.npz
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from echostream.data.audio import read_audio
from echostream.data.fbank import NUM_MEL_BINS, SAMPLE_RATE, extract_fbank

Moments = tuple[int, npt.NDArray[np.float64], npt.NDArray[np.float64]]

DECIMALS = 5
MIN_STD = 1e-3


def feature_moments(features: npt.NDArray[np.float32]) -> Moments:
    """Number of fbank frames [frames, 80], and the sums of features and their squares, [80] each."""
    values = features.astype(np.float64)
    return len(values), values.sum(axis=0), (values**2).sum(axis=0)


def utterance_moments(path: Path) -> Moments:
    """The moments of an audio file's features."""
    return feature_moments(extract_fbank(read_audio(path, sample_rate=SAMPLE_RATE)).numpy())


def global_statistics(moments: Iterable[Moments]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Mean and standard deviation [80] over all frames, summed in double precision and rounded to 5 digits.

    Raises:
        ValueError: there is no frame at all.
    """
    frames, sums, squares = 0, np.zeros(NUM_MEL_BINS), np.zeros(NUM_MEL_BINS)
    for count, utterance_sums, utterance_squares in moments:
        frames += count
        sums += utterance_sums
        squares += utterance_squares
    if not frames:
        raise ValueError("no audio for the statistics: every file is shorter than one frame of 25 ms")
    mean = sums / frames
    std = np.sqrt(np.maximum(squares / frames - mean**2, MIN_STD**2))
    return np.round(mean, DECIMALS).astype(np.float32), np.round(std, DECIMALS).astype(np.float32)


def write_statistics(paths: Sequence[Path], output: Path, num_jobs: int = 1) -> None:
    """Write the statistics of audio files as the npz (mean, std) that fairseq's global_cmvn reads."""
    with ThreadPoolExecutor(max_workers=num_jobs) as pool:
        # map keeps the order of the paths, so that the sums do not depend on the number of jobs.
        save_statistics(pool.map(utterance_moments, paths), output)


def save_statistics(moments: Iterable[Moments], output: Path) -> None:
    """Write the npz (mean, std) of moments that were taken before."""
    mean, std = global_statistics(moments)
    output.parent.mkdir(parents=True, exist_ok=True)
    np.savez(output, mean=mean, std=std)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the global CMVN statistics of a list of audio files (one path a line)."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--wavs", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args(arguments)
    try:
        if not args.wavs.is_file():
            raise FileNotFoundError(f"there is no list of audio files {args.wavs}")
        paths = [Path(line) for line in args.wavs.read_text(encoding="utf-8").splitlines() if line.strip()]
        write_statistics(paths, args.output, args.jobs)
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
