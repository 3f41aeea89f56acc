"""A light English recogniser for ASR-BLEU: `python -m echostream.evaluation.recogniser FILE.wav`.

PocketSphinx with the model that its package brings. It errs often, on natural speech too: compare its scores
with each other and with that of the reference speech, not with published ASR-BLEU.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from echostream.data.audio import SAMPLE_RATE, AudioError, read_audio


def transcribe(path: str | Path) -> str:
    """Return the transcript of an audio file, of any sample rate; empty for silence.

    Raises:
        AudioError: if the file cannot be read.
        ImportError: without pocketsphinx, with the command that installs it.
    """
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise ImportError("pocketsphinx is not installed: pip install 'echostream[evaluation]'") from error
    samples = read_audio(path, sample_rate=SAMPLE_RATE)
    decoder = Decoder(samprate=SAMPLE_RATE, loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw((samples.clip(-1, 1) * 32767).astype(np.int16).tobytes(), full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return hypothesis.hypstr if hypothesis is not None else ""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m echostream.evaluation.recogniser",
        description="Print the transcript of English speech.",
    )
    parser.add_argument("wav", help="audio file")
    args = parser.parse_args(argv)
    try:
        print(transcribe(args.wav))
    except (AudioError, ImportError) as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()
