"""The recogniser behind ASR-BLEU, chosen by `--asr-model` or `--asr-command`."""

import functools
from argparse import ArgumentParser, Namespace
from pathlib import Path

from echostream.evaluation.recogniser import PocketSphinxTranscriber
from echostream.evaluation.transcription import (
    CommandTranscriber,
    RememberingTranscriber,
    Transcriber,
    TranscriptionError,
)
from echostream.evaluation.whisper_asr import WhisperTranscriber

WHISPER = "whisper"
POCKETSPHINX = "pocketsphinx"
FAIRSEQ_PREFIX = "fairseq:"
DEFAULT_BEAM = 5


def add_asr_args(parser: ArgumentParser) -> None:
    """The recogniser behind ASR_BLEU."""
    parser.add_argument(
        "--asr-model",
        type=str,
        default=None,
        help=f"recogniser for ASR_BLEU, loaded once: {WHISPER} (Whisper-base), {POCKETSPHINX} (light), the "
        f"folder of a CTranslate2 Whisper model, or {FAIRSEQ_PREFIX}FILE, a wav2vec 2.0 CTC checkpoint",
    )
    parser.add_argument(
        "--asr-command",
        type=str,
        default=None,
        help="in place of --asr-model: program that prints the transcript of a wav file; {wav} stands for it",
    )
    parser.add_argument(
        "--asr-beam", type=int, default=DEFAULT_BEAM, help="beam of Whisper (default: %(default)s)"
    )


def transcriber_of(args: Namespace, language: str = "en") -> Transcriber:
    """Load the recogniser of the options, which hears each file once.

    Raises:
        TranscriptionError: without a recogniser, with two, or for one that cannot be loaded.
    """
    model, command = getattr(args, "asr_model", None), getattr(args, "asr_command", None)
    if model is None and command is None:
        raise TranscriptionError(
            "ASR_BLEU needs a recogniser: give --asr-model whisper (or pocketsphinx, which is lighter), or "
            "--asr-command 'PROGRAM {wav}', a program that prints the transcript of a wav file; to have "
            "latencies only, leave ASR_BLEU out of --quality-metrics"
        )
    if model is not None and command is not None:
        raise TranscriptionError("--asr-model and --asr-command name two recognisers: give one of them")
    if command is not None:
        return RememberingTranscriber(CommandTranscriber(command))
    return load_model(model, getattr(args, "asr_beam", DEFAULT_BEAM), language)


@functools.cache
def load_model(name: str, beam: int, language: str) -> Transcriber:
    """Load a recogniser by the name that `--asr-model` takes; a second call returns the same.

    Raises:
        TranscriptionError: for an unknown name, or one that cannot be loaded.
    """
    if name == WHISPER:
        return RememberingTranscriber(WhisperTranscriber(beam=beam, language=language))
    if name == POCKETSPHINX:
        if language != "en":
            raise TranscriptionError(f"--asr-model {name} knows English only, not {language!r}")
        return RememberingTranscriber(PocketSphinxTranscriber())
    if name.startswith(FAIRSEQ_PREFIX):
        return RememberingTranscriber(_load_wav2vec2(Path(name.removeprefix(FAIRSEQ_PREFIX))))
    if Path(name).is_dir():
        return RememberingTranscriber(WhisperTranscriber(Path(name), beam=beam, language=language))
    raise TranscriptionError(
        f"--asr-model {name}: there is no such folder, and the names known are {WHISPER}, {POCKETSPHINX} and "
        f"{FAIRSEQ_PREFIX}FILE"
    )


def _load_wav2vec2(checkpoint: Path) -> Transcriber:
    from echostream.compat import CheckpointError
    from echostream.data.wav2vec2_ctc import Wav2Vec2Transcriber  # imports fairseq, which takes seconds

    try:
        return Wav2Vec2Transcriber(checkpoint)
    except (FileNotFoundError, CheckpointError) as error:
        raise TranscriptionError(f"--asr-model {FAIRSEQ_PREFIX}{checkpoint}: {error}") from error
