"""The speech that a run wrote, in the pieces in which it was written."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from echostream.evaluation.pauses import cut_pieces
from echostream.evaluation.results import ReportError

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class OutputAudio:
    """The output of one utterance.

    Args:
        pieces: samples of each write, [n] in [-1, 1].
        sample_rate: in Hz.
    """

    pieces: tuple[Samples, ...]
    sample_rate: int

    @property
    def speech(self) -> Samples:
        """All pieces without the pauses of the playback."""
        return np.concatenate([np.zeros(0, dtype=np.float32), *self.pieces])


def wav_path(folder: Path, entry: Mapping[str, Any]) -> Path:
    """The wav file of an entry of instances.log, in the run's folder wherever that was moved."""
    return folder / "wavs" / Path(entry["prediction"]).name


def read_output(folder: Path, entry: Mapping[str, Any]) -> OutputAudio:
    """Read a wav file and cut the pauses out that SimulEval put where the listener waits.

    Args:
        folder: of the run.
        entry: of instances.log, an utterance that has output.
    Raises:
        ReportError: when the file is missing, or does not fit its entry.
    """
    path = wav_path(folder, entry)
    if not path.is_file():
        raise ReportError(f"{path}: no such output, though {folder / 'instances.log'} names it; run it again")
    samples, rate = soundfile.read(path, dtype="float32", always_2d=False)
    pieces, num_samples = cut_pieces(samples, rate, entry["intervals"])
    if num_samples != samples.size:
        raise ReportError(
            f"{path}: has {samples.size} samples, but its entry in instances.log has {num_samples}: the "
            "files are of different runs"
        )
    return OutputAudio(tuple(pieces), rate)
