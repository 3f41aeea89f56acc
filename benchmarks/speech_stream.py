"""French speech without end: sentences of the mini corpus with pauses, stretches of noise, and silence."""

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from echostream.corpus.grammar import Grammar
from echostream.corpus.lexicon import load_lexicon
from echostream.corpus.synthesis import PITCHES, SPEEDS_WPM, TRAIN_VOICES, Utterance, speak
from echostream.data.audio import SAMPLE_RATE

Samples = npt.NDArray[np.float32]
PAUSE_S = (0.2, 1.5)
NOISE_S = (3.0, 8.0)
SILENCE_S = (5.0, 20.0)
NOISE_EVERY, SILENCE_EVERY = 12, 17  # sentences
NOISE_LEVEL = 0.02


def french_speech(num_sentences: int, seed: int = 1) -> Iterator[Samples]:
    """Pieces of an endless signal at 16 kHz, each made when it is asked for.

    The voice, its speed and its pitch change with each sentence.

    Args:
        num_sentences: different sentences; after the last one they come again.
        seed: everything follows from it.
    Yields:
        float32 `[n]` in [-1, 1].
    Raises:
        MissingProgramError: without espeak-ng.
        SynthesisError: when it fails.
    """
    rng = random.Random(seed)
    generator = np.random.default_rng(seed)
    stream = Grammar(load_lexicon(), heldout=False).stream(rng)
    sentences = [sentence.fr for _, sentence in zip(range(num_sentences), stream, strict=False)]
    number = 0
    while True:
        number += 1
        text = sentences[number % len(sentences)]
        voice, speed_wpm, pitch = rng.choice(TRAIN_VOICES), rng.choice(SPEEDS_WPM), rng.choice(PITCHES)
        yield speak(Utterance(text, Path("speech.wav"), "espeak-ng", voice, speed_wpm, pitch))
        yield _silence(rng.uniform(*PAUSE_S))
        if number % NOISE_EVERY == 0:
            num_samples = round(rng.uniform(*NOISE_S) * SAMPLE_RATE)
            yield NOISE_LEVEL * generator.standard_normal(num_samples, dtype=np.float32)
        if number % SILENCE_EVERY == 0:
            yield _silence(rng.uniform(*SILENCE_S))


def in_chunks(pieces: Iterator[Samples], chunk_samples: int) -> Iterator[Samples]:
    """The same signal in chunks `[chunk_samples]`; a rest at the end of a finite signal is left out."""
    waiting = np.zeros(0, dtype=np.float32)
    for piece in pieces:
        waiting = np.concatenate([waiting, piece])
        while waiting.size >= chunk_samples:
            yield waiting[:chunk_samples]
            waiting = waiting[chunk_samples:].copy()


def _silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * SAMPLE_RATE), dtype=np.float32)
