"""The step units: target speech to discrete units without repeats, by mHuBERT and k-means."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from echostream.corpus.units import reduce_units
from echostream.cvss.blocks import Block
from echostream.cvss.kmeans import read_centroids
from echostream.cvss.sources import Sources
from echostream.cvss.unusable import Unusable
from echostream.data.audio import SAMPLE_RATE, AudioError, read_audio
from echostream.data.hubert_units import HOP_SAMPLES, HubertFeatures, UnitExtractor

STEP = "units"


@dataclass(frozen=True)
class UnitModels:
    """The models that make units; one place on disk, one layer, one device."""

    hubert: Path
    kmeans: Path
    layer: int = 11
    device: str = "cpu"

    def fingerprint(self) -> dict[str, Any]:
        """The contents of both files and the layer: what the units depend on."""
        return {**_digests(self.hubert, self.kmeans), "layer": self.layer}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.lru_cache(maxsize=2)
def _digests(hubert: Path, kmeans: Path) -> dict[str, str]:
    return {"hubert": _digest(hubert), "kmeans": _digest(kmeans)}


@functools.lru_cache(maxsize=1)
def load_extractor(models: UnitModels) -> UnitExtractor:
    """The models, loaded once in a process.

    Raises:
        FileNotFoundError, KMeansError, CheckpointError, ValueError: they are missing or do not fit.
    """
    centroids = read_centroids(models.kmeans)
    return UnitExtractor(HubertFeatures(models.hubert, layer=models.layer, device=models.device), centroids)


@dataclass(frozen=True)
class UnitWork:
    """Makes a block's units; see `blocks.BlockWork`.

    Attributes:
        sources: where the target speech is.
        models: mHuBERT and k-means.
        fingerprint: of the models, made once by the caller (`models.fingerprint()`).
    """

    sources: Sources
    models: UnitModels
    fingerprint: Mapping[str, Any]
    name: str = STEP
    columns: tuple[str, ...] = ("id", "units", "durations")

    def inputs(self, block: Block) -> Mapping[str, Any]:
        """The folder of the speech, and the models."""
        return {"speech": str(self.sources.cvss_root.resolve()), **self.fingerprint}

    def files(self, block: Block) -> list[str]:
        """No file beside the table."""
        return []

    def seconds(self, row: Mapping[str, str]) -> float:
        """Duration of the target speech, in whole unit frames."""
        return sum(map(int, row["durations"].split())) * HOP_SAMPLES / SAMPLE_RATE

    def process(self, output: Path, block: Block) -> tuple[list[tuple[object, ...]], list[Unusable]]:
        """Units without repeats, and how many frames of 20 ms each lasts."""
        extractor = load_extractor(self.models)
        rows: list[tuple[object, ...]] = []
        unusable: list[Unusable] = []
        for pair in block.pairs:
            path = self.sources.target_audio(block.split, pair.clip)
            try:
                frames = extractor(read_audio(path, sample_rate=SAMPLE_RATE))
            except AudioError as error:
                unusable.append(Unusable(block.split, pair.id, str(path), str(error)))
                continue
            reduced, durations = reduce_units(frames)
            rows.append((pair.id, " ".join(map(str, reduced)), " ".join(map(str, durations))))
        return rows, unusable
