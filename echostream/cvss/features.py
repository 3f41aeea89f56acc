"""The step features: source fbank of every clip in uncompressed zip archives, and moments for global CMVN.

fairseq reads an entry of such an archive as `archive.zip:offset:length`. With `source="audio"` no archive is
written, and the manifests name the mp3 files; the clips are decoded all the same, for their length, for the
statistics and to find those that cannot be read.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from echostream.corpus.cmvn import Moments, feature_moments, save_statistics
from echostream.cvss.blocks import Block, all_blocks
from echostream.cvss.sources import CorpusError, Sources
from echostream.cvss.unusable import Unusable
from echostream.data.audio import SAMPLE_RATE, AudioError
from echostream.data.fbank import HOP_SAMPLES, NUM_MEL_BINS
from echostream.data.source_features import load_source_features

STEP = "features"
CMVN = "gcmvn.npz"
SOURCES_OF_FEATURES = ("fbank", "audio")
_LOCAL_HEADER_BYTES = 30
# The same features always give the same archive.
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)


def _npy_bytes(features: npt.NDArray[np.float32]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, features, allow_pickle=False)
    return stream.getvalue()


class FeatureArchive:
    """Writes npy files into an uncompressed zip; the archive is either whole or absent.

    Args:
        path: of the archive; its folder is made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._partial = path.with_name(path.name + ".partial")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._archive = zipfile.ZipFile(self._partial, "w", zipfile.ZIP_STORED)

    def __enter__(self) -> FeatureArchive:
        return self

    def __exit__(self, error: object, *_: object) -> None:
        self._archive.close()
        if error is None:
            self._partial.replace(self.path)

    def add(self, name: str, features: npt.NDArray[np.float32]) -> tuple[int, int]:
        """Append `name`.npy; returns the byte offset and length of its content in the archive."""
        entry = zipfile.ZipInfo(f"{name}.npy", date_time=_ZIP_DATE)
        content = _npy_bytes(features)
        self._archive.writestr(entry, content)
        start = entry.header_offset + _LOCAL_HEADER_BYTES + len(entry.filename.encode()) + len(entry.extra)
        return start, len(content)


@dataclass(frozen=True)
class FeatureWork:
    """Reads a block's clips; see `blocks.BlockWork`.

    Attributes:
        sources: where the clips are.
        source: "fbank" writes archives, "audio" refers to the mp3 files.
    """

    sources: Sources
    source: str = "fbank"
    name: str = STEP
    columns: tuple[str, ...] = ("id", "src_audio", "src_n_frames")

    def __post_init__(self) -> None:
        if self.source not in SOURCES_OF_FEATURES:
            raise CorpusError(f"SOURCE is {self.source!r}: it must be {' or '.join(SOURCES_OF_FEATURES)}")

    def inputs(self, block: Block) -> Mapping[str, Any]:
        """The folder of the clips and the kind of manifest."""
        return {"clips": str(self.sources.clips.resolve()), "source": self.source}

    def files(self, block: Block) -> list[str]:
        """The archive, and the moments of training blocks."""
        archive = [f"{STEP}/{block.name}.zip"] if self.source == "fbank" else []
        moments = [f"{STEP}/{block.name}.moments.npz"] if block.split == "train" else []
        return archive + moments

    def seconds(self, row: Mapping[str, str]) -> float:
        """Duration of the source speech."""
        return int(row["src_n_frames"]) * HOP_SAMPLES / SAMPLE_RATE

    def process(self, output: Path, block: Block) -> tuple[list[tuple[object, ...]], list[Unusable]]:
        """Extract the features of a block."""
        if self.source == "audio":
            return self._extract(output, block, None)
        with FeatureArchive(output / STEP / f"{block.name}.zip") as archive:
            return self._extract(output, block, archive)

    def _extract(
        self, output: Path, block: Block, archive: FeatureArchive | None
    ) -> tuple[list[tuple[object, ...]], list[Unusable]]:
        rows: list[tuple[object, ...]] = []
        unusable: list[Unusable] = []
        frames, sums = 0, np.zeros((2, NUM_MEL_BINS))
        for pair in block.pairs:
            path = self.sources.source_audio(pair.clip).resolve()
            try:
                features = load_source_features(str(path))
            except AudioError as error:
                unusable.append(Unusable(block.split, pair.id, str(path), str(error)))
                continue
            location = str(path)
            if archive is not None:
                offset, length = archive.add(pair.id, features)
                location = f"{STEP}/{archive.path.name}:{offset}:{length}"
            rows.append((pair.id, location, len(features)))
            count, first, second = feature_moments(features)
            frames, sums = frames + count, sums + np.stack([first, second])
        if block.split == "train":
            path = output / STEP / f"{block.name}.moments.npz"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, frames=frames, sums=sums[0], squares=sums[1])
        return rows, unusable


def _moments(output: Path) -> Iterator[Moments]:
    for block in all_blocks(output, ("train",)):
        path = output / STEP / f"{block.name}.moments.npz"
        if not path.is_file():
            raise CorpusError(f"{path}: no such file; run the step {STEP} (all its shards)")
        with np.load(path, allow_pickle=False) as data:
            yield int(data["frames"]), data["sums"], data["squares"]


def write_cmvn(output: Path) -> int:
    """Write gcmvn.npz from the training blocks' moments; returns the number of fbank frames.

    Raises:
        CorpusError: a block is missing.
    """
    moments = list(_moments(output))
    save_statistics(moments, output / CMVN)
    return sum(frames for frames, _, _ in moments)
