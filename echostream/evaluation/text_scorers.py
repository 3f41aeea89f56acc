"""BLEU, chrF and word error rate of text output, which fail loudly.

For: SimulEval 1.1.4. Symptoms: BLEU is 0 after any error, and its signature is lost; there is no chrF.
"""

import logging
import math
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import editdistance
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from simuleval.evaluator.scorers.quality_scorer import (
    QualityScorer,
    SacreBLEUScorer,
    WERScorer,
    register_quality_scorer,
)

from echostream.evaluation.instances import is_speech
from echostream.evaluation.quality_files import write_quality

logger = logging.getLogger(__name__)

WER_SIGNATURE = "words between spaces as they stand; case and punctuation count"


def word_error_rate(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Insertions, deletions and substitutions in per cent of the references' words, over the whole corpus.

    Raises:
        ValueError: when the references hold no words, or the numbers of texts differ.
    """
    num_words = sum(len(reference.split()) for reference in references)
    if num_words == 0:
        raise ValueError("WER cannot be computed: the references hold no words")
    pairs = zip(hypotheses, references, strict=True)
    return 100.0 * sum(editdistance.eval(left.split(), right.split()) for left, right in pairs) / num_words


class TextScorer(QualityScorer):
    """A measure of text output; NaN, with a warning, for speech output.

    The score and its signature are kept in a file beside the log when the folder is known.

    Args:
        folder: SimulEval's `--output`.
    """

    name: str

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__()
        self.folder = folder

    def score(self, hypotheses: Sequence[str], references: Sequence[str]) -> tuple[float, str]:
        """The corpus score and its signature."""
        raise NotImplementedError

    def __call__(self, instances: Mapping[int, Any]) -> float:
        """The corpus score; any error is raised, where SimulEval returns 0."""
        if any(is_speech(instance) for instance in instances.values()):
            logger.warning(
                "%s compares text, but this system speaks: it is NaN; ASR_BLEU scores speech",
                self.name,
            )
            return math.nan
        hypotheses = [instance.prediction for instance in instances.values()]
        references = [instance.reference for instance in instances.values()]
        score, signature = self.score(hypotheses, references)
        logger.info("%s signature: %s", self.name, signature)
        if self.folder is not None:
            write_quality(self.folder, self.name, score=score, signature=signature)
        return score

    @classmethod
    def from_args(cls, args: Namespace) -> "TextScorer":
        """Make the scorer of SimulEval's options."""
        return cls(output_folder(args))


def output_folder(args: Namespace) -> Path | None:
    """SimulEval's `--output`, if there is one."""
    return None if getattr(args, "output", None) is None else Path(args.output)


def sacrebleu_score(
    metric: Metric, hypotheses: Sequence[str], references: Sequence[str]
) -> tuple[float, str]:
    """Corpus score and signature of a metric of sacreBLEU."""
    score = float(metric.corpus_score(list(hypotheses), [list(references)]).score)
    return score, str(metric.get_signature())


@register_quality_scorer("BLEU")
class StrictBLEUScorer(TextScorer):
    """Corpus BLEU (sacreBLEU).

    Args:
        folder: see `TextScorer`.
        tokenizer: sacreBLEU's.
    """

    name = "BLEU"

    def __init__(self, folder: Path | None = None, tokenizer: str = "13a") -> None:
        super().__init__(folder)
        self.tokenizer = tokenizer

    def score(self, hypotheses: Sequence[str], references: Sequence[str]) -> tuple[float, str]:
        """The corpus score and its signature."""
        return sacrebleu_score(BLEU(tokenize=self.tokenizer), hypotheses, references)

    @staticmethod
    def add_args(parser: ArgumentParser) -> None:
        """Add SimulEval's options of BLEU."""
        SacreBLEUScorer.add_args(parser)

    @classmethod
    def from_args(cls, args: Namespace) -> "StrictBLEUScorer":
        """Make the scorer of SimulEval's options."""
        return cls(output_folder(args), args.sacrebleu_tokenizer)


@register_quality_scorer("CHRF")
class CHRFScorer(TextScorer):
    """Corpus chrF2 (sacreBLEU): F-score of character n-grams up to 6, recall counting double."""

    name = "CHRF"

    def score(self, hypotheses: Sequence[str], references: Sequence[str]) -> tuple[float, str]:
        """The corpus score and its signature."""
        return sacrebleu_score(CHRF(), hypotheses, references)


@register_quality_scorer("WER")
class StrictWERScorer(TextScorer):
    """Word error rate in per cent; an error without reference words, where SimulEval returns 0."""

    name = "WER"

    def score(self, hypotheses: Sequence[str], references: Sequence[str]) -> tuple[float, str]:
        """The corpus score and its signature."""
        return word_error_rate(hypotheses, references), WER_SIGNATURE

    @staticmethod
    def add_args(parser: ArgumentParser) -> None:
        """Add SimulEval's options of WER."""
        WERScorer.add_args(parser)
