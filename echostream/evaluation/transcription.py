"""Transcribing wav files with a recogniser that is on this machine."""

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

PLACEHOLDER = "{wav}"


class TranscriptionError(RuntimeError):
    """Speech output could not be transcribed, so no score can be computed."""


class Transcriber(Protocol):
    """A recogniser."""

    name: str

    def transcribe(self, wav: Path) -> str: ...


class CommandTranscriber:
    """Any program that prints the transcript of a wav file.

    Args:
        command: its command line; `{wav}` stands for the file, which is appended where there is none.
    Raises:
        TranscriptionError: when there is no such program.
    """

    def __init__(self, command: str) -> None:
        self.name = command
        self._words = shlex.split(command)
        if not self._words:
            raise TranscriptionError("--asr-command is empty")
        if shutil.which(self._words[0]) is None:
            raise TranscriptionError(f"--asr-command: there is no program {self._words[0]}")
        if not any(PLACEHOLDER in word for word in self._words):
            self._words.append(PLACEHOLDER)

    def transcribe(self, wav: Path) -> str:
        """The transcript of a file.

        Raises:
            TranscriptionError: when the program fails.
        """
        words = [word.replace(PLACEHOLDER, str(wav)) for word in self._words]
        result = subprocess.run(words, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise TranscriptionError(
                f"{shlex.join(words)} failed with exit code {result.returncode}: "
                f"{result.stderr.strip()[-500:]}"
            )
        return " ".join(result.stdout.split())


def transcribe_all(transcriber: Transcriber, wavs: Sequence[Path | None]) -> list[str]:
    """Transcripts in order; None (no speech was produced) gives an empty one.

    Raises:
        TranscriptionError: when a file is missing or the recogniser fails.
    """
    transcripts = []
    for wav in wavs:
        if wav is not None and not wav.is_file():
            raise TranscriptionError(f"{wav}: no such output; SimulEval's folder was moved or changed")
        transcripts.append("" if wav is None else transcriber.transcribe(wav))
    return transcripts
