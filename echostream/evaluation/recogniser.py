"""A light English recogniser for ASR-BLEU: `--asr-model pocketsphinx`.

PocketSphinx with the model that its package brings. It errs often, on natural speech too: compare its scores
with each other and with that of the reference speech, not with published ASR-BLEU.
`python -m echostream.evaluation.recogniser FILE.wav …` prints what it hears.
"""

from __future__ import annotations

import argparse
import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from echostream.data.audio import SAMPLE_RATE, AudioError, read_audio
from echostream.evaluation.transcription import TranscriptionError


class PocketSphinxTranscriber:
    """A recogniser that is loaded once; a transcript does not depend on what was heard before it.

    Raises:
        TranscriptionError: without pocketsphinx, with the command that installs it.
    """

    def __init__(self) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError as error:
            raise TranscriptionError(
                "pocketsphinx is not installed: pip install 'echostream[evaluation]'"
            ) from error
        self._decoder = Decoder(samprate=SAMPLE_RATE, loglevel="FATAL")
        self.name = f"pocketsphinx {importlib.metadata.version('pocketsphinx')}"

    def transcribe(self, wav: Path) -> str:
        """Return the transcript of an audio file, of any sample rate; empty for silence.

        Raises:
            AudioError: if the file cannot be read.
        """
        samples = read_audio(wav, sample_rate=SAMPLE_RATE)
        self._decoder.start_utt()
        # The whole utterance at once: the features are normalised over it, not over earlier ones.
        self._decoder.process_raw((samples.clip(-1, 1) * 32767).astype(np.int16).tobytes(), full_utt=True)
        self._decoder.end_utt()
        hypothesis = self._decoder.hyp()
        return "" if hypothesis is None else str(hypothesis.hypstr)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m echostream.evaluation.recogniser",
        description="Print the transcripts of English speech, one file a line.",
    )
    parser.add_argument("wav", nargs="+", type=Path, help="audio file")
    args = parser.parse_args(argv)
    try:
        transcriber = PocketSphinxTranscriber()
        for wav in args.wav:
            print(transcriber.transcribe(wav))
    except (AudioError, TranscriptionError) as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()
