"""Synthetic speech: French voices of espeak-ng and one English voice of flite, as 16 kHz mono PCM16.

    python -m echostream.corpus.synthesis --texts texts.tsv --engine espeak-ng --voice fr+f2 --output wavs

Formant speech is a learnable stand-in for recordings; results on it say nothing about natural speech.
"""

from __future__ import annotations

import argparse
import csv
import functools
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from echostream.data.audio import SAMPLE_RATE

Samples = npt.NDArray[np.float32]

ENGINES = ("espeak-ng", "flite")
INSTALL_COMMAND = "sudo apt-get install espeak-ng flite"
# Timbres of espeak-ng that its Debian package holds; those of the second list are only heard in test_hard.
# Belgian and Swiss French sound as French does, but for numbers in digits: it is the timbres that differ.
TRAIN_VOICES = (
    "fr+f2",
    "fr+m1",
    "fr+Alicia",
    "fr+michel",
    "fr-be+f4",
    "fr+Andy",
    "fr+m3",
    "fr+linda",
    "fr-be+steph",
    "fr-ch+shelby",
)
HELDOUT_VOICES = ("fr+f5", "fr+m7", "fr-ch+Gene", "fr+anika")
TARGET_VOICE = "slt"
SPEEDS_WPM = (130, 138, 146, 154, 162, 170, 178, 185)
PITCHES = (32, 38, 44, 50, 56, 62, 68)
TRIM_THRESHOLD_DB = -45.0
TRIM_BLOCK_SAMPLES = SAMPLE_RATE // 100


class MissingProgramError(FileNotFoundError):
    """A speech synthesiser is not installed."""

    def __init__(self, program: str) -> None:
        super().__init__(
            f"the program {program} is not installed or not on PATH; install it: {INSTALL_COMMAND}"
        )


class SynthesisError(RuntimeError):
    """A synthesiser failed or gave no speech; the message holds the text and what the program said."""


@dataclass(frozen=True)
class Utterance:
    """One text to speak into one file.

    `speed_wpm` (words a minute) and `pitch` (0 to 99) are espeak-ng's; flite ignores them.
    """

    text: str
    path: Path
    engine: str
    voice: str
    speed_wpm: int = 155
    pitch: int = 50


def require_program(name: str) -> str:
    """The path of a program.

    Raises:
        MissingProgramError: it is not installed; the message has the command that installs it.
    """
    path = shutil.which(name)
    if path is None:
        raise MissingProgramError(name)
    return path


def program_version(name: str) -> str:
    """What a synthesiser says of its version: another version may give other samples."""
    result = subprocess.run([require_program(name), "--version"], capture_output=True, text=True, check=False)
    return " ".join((result.stdout or result.stderr).split())


@functools.lru_cache(maxsize=8)
def espeak_variants(program: str) -> frozenset[str]:
    """The timbres that an espeak-ng has, as they are written after `+`."""
    listing = subprocess.run([program, "--voices=variant"], capture_output=True, text=True, check=True).stdout
    return frozenset(re.findall(r"!v/(\S+)", listing))


def check_voice(engine: str, voice: str) -> None:
    """Refuse a voice that the engine does not have; both engines would silently speak with another one.

    Raises:
        MissingProgramError: the engine is not installed.
        ValueError: the engine or the voice is unknown.
    """
    if engine not in ENGINES:
        raise ValueError(f"unknown engine {engine!r}: choose one of {', '.join(ENGINES)}")
    program = require_program(engine)
    if engine == "flite":
        listing = subprocess.run([program, "-lv"], capture_output=True, text=True, check=False).stdout
        if voice not in listing.split(":")[-1].split():
            raise ValueError(f"flite has no voice {voice!r}; it has {listing.split(':')[-1].strip()}")
        return
    language, _, variant = voice.partition("+")
    spoken = subprocess.run([program, "-v", language, "-q", "a"], capture_output=True, text=True, check=False)
    if spoken.returncode:
        raise ValueError(f"espeak-ng has no voice {language!r}: {spoken.stderr.strip()}")
    if variant and variant not in espeak_variants(program):
        raise ValueError(
            f"espeak-ng has no timbre {variant!r} (voice {voice!r}); see: espeak-ng --voices=variant"
        )


def trim_silence(samples: Samples, *, keep_ms: int = 60, threshold_db: float = TRIM_THRESHOLD_DB) -> Samples:
    """Cut silence at both ends, keeping `keep_ms` of it.

    Args:
        samples: [samples] at 16 kHz.
        keep_ms: how much stays before the first and after the last sound.
        threshold_db: blocks of 10 ms below this level, relative to the loudest block, are silence.
    """
    blocks = np.ceil(samples.size / TRIM_BLOCK_SAMPLES).astype(int)
    padded = np.zeros(blocks * TRIM_BLOCK_SAMPLES, dtype=np.float64)
    padded[: samples.size] = samples
    level = np.sqrt((padded.reshape(blocks, TRIM_BLOCK_SAMPLES) ** 2).mean(axis=1))
    loud = np.flatnonzero(level > level.max(initial=0.0) * 10 ** (threshold_db / 20))
    if not loud.size:
        return samples[:0]
    keep_samples = keep_ms * SAMPLE_RATE // 1000
    first = max(0, loud[0] * TRIM_BLOCK_SAMPLES - keep_samples)
    return samples[first : (loud[-1] + 1) * TRIM_BLOCK_SAMPLES + keep_samples]


def pad_to_multiple(samples: Samples, multiple: int) -> Samples:
    """Append zeros until the length is a multiple."""
    return np.pad(samples, (0, -samples.size % multiple))


def write_wav(path: Path, samples: Samples) -> None:
    """Write 16 kHz mono PCM16; the file is either whole or absent."""
    pcm = np.clip(np.round(samples.astype(np.float64) * 32768.0), -32768, 32767).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    soundfile.write(partial, pcm, SAMPLE_RATE, subtype="PCM_16", format="WAV")
    partial.replace(path)


def _command(utterance: Utterance) -> list[str]:
    """The call that writes a wav to its standard output."""
    program = require_program(utterance.engine)
    if utterance.engine == "flite":
        return [program, "-voice", utterance.voice, "-t", utterance.text, "-o", "/dev/stdout"]
    prosody = ["-s", str(utterance.speed_wpm), "-p", str(utterance.pitch)]
    return [program, "-v", utterance.voice, *prosody, "-b", "1", "--stdout", "--stdin"]


def speak(utterance: Utterance) -> Samples:
    """Synthesise one text, trimmed, at 16 kHz: [samples] in [-1, 1].

    Raises:
        MissingProgramError: the engine is not installed.
        SynthesisError: the engine failed or gave silence.
    """
    if not utterance.text.strip():
        raise SynthesisError(f"there is no text to speak into {utterance.path}")
    result = subprocess.run(
        _command(utterance), input=utterance.text.encode(), capture_output=True, check=False
    )
    if result.returncode or not result.stdout:
        said = result.stderr.decode(errors="replace").strip()
        raise SynthesisError(f"{utterance.engine} failed on {utterance.text!r}: {said or 'no message'}")
    try:
        samples, rate = soundfile.read(io.BytesIO(result.stdout), dtype="float32")
    except soundfile.LibsndfileError as error:
        raise SynthesisError(f"{utterance.engine} gave no wav for {utterance.text!r}: {error}") from error
    trimmed = trim_silence(samples if rate == SAMPLE_RATE else soxr.resample(samples, rate, SAMPLE_RATE))
    if not trimmed.size:
        raise SynthesisError(f"{utterance.engine} gave silence for {utterance.text!r}")
    return trimmed


def synthesize(
    utterances: Iterable[Utterance],
    *,
    num_jobs: int = 1,
    finish: Callable[[Utterance, Samples], Samples] | None = None,
    log: Callable[[str], None] = print,
) -> int:
    """Speak every utterance whose file does not exist yet, and return how many were spoken.

    Args:
        utterances: what to speak; files that exist are kept, so that an interrupted run can go on.
        num_jobs: how many synthesisers run at a time.
        finish: makes what is written from an utterance and its speech; by default that is the speech.
        log: called now and then with the progress.
    """
    missing = [item for item in utterances if not (item.path.is_file() and item.path.stat().st_size)]
    for engine, voice in sorted({(utterance.engine, utterance.voice) for utterance in missing}):
        check_voice(engine, voice)

    def make(utterance: Utterance) -> None:
        speech = speak(utterance)
        write_wav(utterance.path, finish(utterance, speech) if finish else speech)

    with ThreadPoolExecutor(max_workers=num_jobs) as pool:
        for done, _ in enumerate(pool.map(make, missing), start=1):
            if done % 2000 == 0:
                log(f"  {done} of {len(missing)} utterances spoken")
    return len(missing)


def main(arguments: Sequence[str] | None = None) -> int:
    """Speak the texts of a tab-separated file (columns id and --column) into OUTPUT/<id>.wav."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--texts", type=Path, required=True, metavar="TSV")
    parser.add_argument("--column", default="text")
    parser.add_argument("--engine", choices=ENGINES, default="espeak-ng")
    parser.add_argument("--voice", default=TRAIN_VOICES[0])
    parser.add_argument("--speed-wpm", type=int, default=155)
    parser.add_argument("--pitch", type=int, default=50)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args(arguments)
    try:
        with open(args.texts, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        if not rows or not {"id", args.column} <= set(rows[0]):
            raise ValueError(f"{args.texts}: needs lines and the columns id and {args.column}")
        settings = (args.engine, args.voice, args.speed_wpm, args.pitch)
        utterances = [
            Utterance(row[args.column], args.output / f"{row['id']}.wav", *settings) for row in rows
        ]
        print(f"{synthesize(utterances, num_jobs=args.jobs)} utterances spoken into {args.output}")
    except (ValueError, FileNotFoundError, SynthesisError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
