"""BLEU of transcribed speech output, and text metrics that fail loudly."""

import json
import logging
import math
import unicodedata
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sacrebleu.metrics.bleu import BLEU
from simuleval.evaluator.scorers.quality_scorer import (
    ASRSacreBLEUScorer,
    SacreBLEUScorer,
    WERScorer,
    register_quality_scorer,
)

from echostream.evaluation.instances import is_speech
from echostream.evaluation.transcription import CommandTranscriber, TranscriptionError, transcribe_all

logger = logging.getLogger(__name__)

REPORT_NAME = "asr_bleu.json"


def add_asr_args(parser: ArgumentParser) -> None:
    """The recogniser behind ASR_BLEU."""
    parser.add_argument(
        "--asr-command",
        type=str,
        default=None,
        help="program that prints the transcript of a wav file, for ASR_BLEU; {wav} stands for the file",
    )


def normalize(text: str) -> str:
    """Lower case without punctuation (apostrophes stay), as ASR-BLEU is computed everywhere."""
    kept = (
        character if character == "'" or unicodedata.category(character)[0] not in "PS" else " "
        for character in unicodedata.normalize("NFKC", text.replace("’", "'")).lower()
    )
    return " ".join("".join(kept).split())


def write_asr_bleu(
    folder: Path,
    transcripts: Sequence[str],
    references: Sequence[str],
    *,
    recogniser: str,
    tokenizer: str = "13a",
) -> float:
    """Score transcripts of speech output; score, signature and transcripts are kept in a folder."""
    hypotheses = [normalize(text) for text in transcripts]
    metric = BLEU(tokenize=tokenizer)
    score = float(metric.corpus_score(hypotheses, [[normalize(text) for text in references]]).score)
    report = {
        "score": score,
        "signature": str(metric.get_signature()),
        "normalization": "lower case, no punctuation",
        "recogniser": recogniser,
    }
    (folder / REPORT_NAME).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (folder / "asr_transcripts.txt").write_text("".join(f"{t}\n" for t in hypotheses), encoding="utf-8")
    return score


@register_quality_scorer("ASR_BLEU")
class LocalASRBLEUScorer(ASRSacreBLEUScorer):
    """ASR-BLEU with a recogniser on this machine; a failing recogniser is an error.

    For: SimulEval 1.1.4. Symptom: 0.0 with exit code 0 when the ASR cannot run.

    Args:
        tokenizer: sacrebleu's tokenizer.
        target_lang: language of the output.
        asr_command: see `CommandTranscriber`.
    Raises:
        TranscriptionError: without a recogniser, before any evaluation starts.
    """

    def __init__(
        self, tokenizer: str = "13a", target_lang: str = "en", asr_command: str | None = None
    ) -> None:
        super().__init__(tokenizer, target_lang)
        if asr_command is None:
            raise TranscriptionError(
                "ASR_BLEU needs a recogniser: give --asr-command 'PROGRAM {wav}', a program that prints the "
                "transcript of a wav file; to have latencies only, leave ASR_BLEU out of --quality-metrics"
            )
        self._transcriber = CommandTranscriber(asr_command)

    @classmethod
    def from_args(cls, args: Namespace) -> "LocalASRBLEUScorer":
        """Make the scorer of SimulEval's options."""
        return cls(args.sacrebleu_tokenizer, args.target_speech_lang, getattr(args, "asr_command", None))

    @staticmethod
    def add_args(parser: ArgumentParser) -> None:
        """Add SimulEval's options and the recogniser's."""
        ASRSacreBLEUScorer.add_args(parser)
        add_asr_args(parser)

    def __call__(self, instances: Mapping[int, Any]) -> float:
        """The corpus score; transcripts and the signature are kept beside the wav files' folder."""
        return write_asr_bleu(
            Path(next(iter(instances.values())).prediction).absolute().parent.parent,
            self.asr_transcribe(instances),
            [instance.reference for instance in instances.values()],
            recogniser=self._transcriber.name,
            tokenizer=self.tokenizer,
        )

    def asr_transcribe(self, instances: Mapping[int, Any]) -> list[str]:
        """Transcripts of the instances' wav files, in order.

        Raises:
            TranscriptionError: for text output, a missing file or a failing recogniser.
        """
        if not all(is_speech(instance) for instance in instances.values()):
            raise TranscriptionError(
                "ASR_BLEU is a metric of speech output; this system writes text: use BLEU"
            )
        wavs = [Path(i.prediction) if i.prediction_length else None for i in instances.values()]
        return transcribe_all(self._transcriber, wavs)


def _undefined(name: str, instances: Mapping[int, Any]) -> bool:
    """Whether a text metric has no meaning because the output is speech; says so."""
    if not any(is_speech(instance) for instance in instances.values()):
        return False
    logger.warning("%s compares text, but this system speaks: its value is NaN; ASR_BLEU scores speech", name)
    return True


@register_quality_scorer("BLEU")
class StrictBLEUScorer(SacreBLEUScorer):
    """BLEU that raises where SimulEval 1.1.4 returns 0 after any error, and is NaN for speech output."""

    def __call__(self, instances: Mapping[int, Any]) -> float:
        """The corpus score."""
        if _undefined("BLEU", instances):
            return math.nan
        hypotheses = [instance.prediction for instance in instances.values()]
        references = [instance.reference for instance in instances.values()]
        metric = BLEU(tokenize=self.tokenizer)
        score = float(metric.corpus_score(hypotheses, [references]).score)
        logger.info("BLEU signature: %s", metric.get_signature())
        return score


@register_quality_scorer("WER")
class StrictWERScorer(WERScorer):
    """Word error rate that is NaN for speech output, and an error without reference words."""

    def __call__(self, instances: Mapping[int, Any]) -> float:
        """The corpus score in per cent.

        Raises:
            ValueError: when the references hold no words.
        """
        if _undefined("WER", instances):
            return math.nan
        num_words = sum(len(instance.reference.split()) for instance in instances.values())
        if num_words == 0:
            raise ValueError("WER cannot be computed: the references hold no words")
        distance = sum(
            self.ed.eval(instance.prediction.split(), instance.reference.split())
            for instance in instances.values()
        )
        return 100.0 * distance / num_words
