"""Source audio that is in memory only while it is being heard.

For: SimulEval 1.1.4. Symptom: the audio of all utterances is read before the first one is evaluated, as
Python floats (about 0.6 MB a second), and kept to the end.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile


def locate_source(name: str, folder: Path) -> str:
    """The path of a source that a list in `folder` names.

    A relative one that is not in the working directory, where SimulEval looks for it, is beside the list.
    """
    beside = folder.absolute() / name
    return str(beside) if not Path(name).exists() and beside.exists() else name


class SourceAudio(Sequence[Any]):
    """The samples of a file, as SimulEval's list of them: a float, or a list of one for each channel.

    They are read at the first need, and again after `release`. Slices are lists.

    Args:
        path: an audio file.
    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is no audio file.
    """

    def __init__(self, path: str | Path) -> None:
        if not Path(path).is_file():
            raise FileNotFoundError(f"{path}: no such audio file; check the list that --source names")
        self.path = path
        self._samples: npt.NDArray[np.float32] | None = None
        try:
            self._num_samples = int(soundfile.info(path).frames)
        except soundfile.LibsndfileError as error:
            raise ValueError(f"{path}: cannot be read as audio: {error}") from error

    @property
    def num_held_bytes(self) -> int:
        """What is in memory."""
        return 0 if self._samples is None else self._samples.nbytes

    def load(self) -> npt.NDArray[np.float32]:
        """Read the file, unless it is in memory: `[samples]` or `[samples, channels]`."""
        if self._samples is None:
            self._samples, _ = soundfile.read(self.path, dtype="float32")
            self._num_samples = len(self._samples)
        return self._samples

    def release(self) -> None:
        """Drop the samples; the length stays known."""
        self._samples = None

    def __len__(self) -> int:
        return self._num_samples

    def __getitem__(self, index: Any) -> Any:
        return self.load()[index].tolist()
