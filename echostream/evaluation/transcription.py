"""Transcribing wav files with a recogniser that is on this machine; `asr_models` chooses one."""

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

PLACEHOLDER = "{wav}"


class TranscriptionError(RuntimeError):
    """Speech output could not be transcribed, so no score can be computed."""


class Transcriber(Protocol):
    """A recogniser.

    `name` says which, with all that its transcripts depend on: it is kept beside the scores. `transcribe`
    returns the transcript of a wav file, and raises `TranscriptionError` (`AudioError` for a bad file).
    """

    name: str

    def transcribe(self, wav: Path) -> str: ...


class CommandTranscriber:
    """Any program that prints the transcript of a wav file; it is started for each file.

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


class RememberingTranscriber:
    """A recogniser that hears each file once, however many scores need its transcript.

    Args:
        transcriber: who listens.
    """

    def __init__(self, transcriber: Transcriber) -> None:
        self.name = transcriber.name
        self._transcriber = transcriber
        self._transcripts: dict[tuple[Path, int, int], str] = {}

    def transcribe(self, wav: Path) -> str:
        """The transcript of a file; one that was written again is heard again."""
        stat = wav.stat()
        key = (wav.absolute(), stat.st_mtime_ns, stat.st_size)
        if key not in self._transcripts:
            self._transcripts[key] = self._transcriber.transcribe(wav)
        return self._transcripts[key]


def transcribe_all(transcriber: Transcriber, wavs: Sequence[Path | None]) -> list[str]:
    """Transcripts in order; None (no speech was produced) gives an empty one. A terminal sees the progress.

    Raises:
        TranscriptionError: when a file is missing or the recogniser fails.
    """
    for wav in wavs:
        if wav is not None and not wav.is_file():
            raise TranscriptionError(f"{wav}: no such output; SimulEval's folder was moved or changed")
    progress = tqdm(wavs, desc="transcribing", unit="file", disable=None)
    return ["" if wav is None else transcriber.transcribe(wav) for wav in progress]
