"""BLEU of transcribed speech output, with a recogniser on this machine."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import soundfile
from sacrebleu.metrics.bleu import BLEU
from simuleval.evaluator.scorers.quality_scorer import ASRSacreBLEUScorer, register_quality_scorer

from echostream.evaluation.asr_models import add_asr_args, transcriber_of
from echostream.evaluation.instances import is_speech
from echostream.evaluation.normalization import NORMALIZATION, normalize
from echostream.evaluation.pauses import remove_pauses
from echostream.evaluation.quality_files import quality_file, write_quality
from echostream.evaluation.text_scorers import sacrebleu_score, word_error_rate
from echostream.evaluation.transcription import Transcriber, TranscriptionError, transcribe_all

ASR_BLEU = "ASR_BLEU"
NO_SILENCE = "_NO_SILENCE"
REPORT_NAME = quality_file(Path(), ASR_BLEU).name


def write_asr_bleu(
    folder: Path,
    transcripts: Sequence[str],
    references: Sequence[str],
    *,
    recogniser: str,
    tokenizer: str = "13a",
    suffix: str = "",
) -> float:
    """Score transcripts of speech output; score, signature and transcripts are kept in a folder.

    The file of the score holds the word error rate of the same transcripts too. `suffix` tells several scores
    of one folder apart.
    """
    hypotheses = [normalize(text) for text in transcripts]
    normalized = [normalize(text) for text in references]
    score, signature = sacrebleu_score(BLEU(tokenize=tokenizer), hypotheses, normalized)
    write_quality(
        folder,
        ASR_BLEU + suffix,
        score=score,
        signature=signature,
        normalization=NORMALIZATION,
        recogniser=recogniser,
        wer=word_error_rate(hypotheses, normalized),
        num_utterances=len(hypotheses),
    )
    lines = "".join(f"{text}\n" for text in hypotheses)
    (folder / f"asr_transcripts{suffix.lower()}.txt").write_text(lines, encoding="utf-8")
    return score


@register_quality_scorer(ASR_BLEU)
class LocalASRBLEUScorer(ASRSacreBLEUScorer):
    """ASR-BLEU of the speech as it was heard, pauses between its pieces included.

    For: SimulEval 1.1.4. Symptom: 0.0 with exit code 0 when the ASR cannot run.

    Args:
        transcriber: the recogniser.
        tokenizer: sacrebleu's tokenizer.
        target_lang: language of the output.
    """

    suffix = ""

    def __init__(self, transcriber: Transcriber, tokenizer: str = "13a", target_lang: str = "en") -> None:
        super().__init__(tokenizer, target_lang)
        self._transcriber = transcriber

    @classmethod
    def from_args(cls, args: Namespace) -> "LocalASRBLEUScorer":
        """Make the scorer of SimulEval's options.

        Raises:
            TranscriptionError: without a recogniser, before any evaluation starts.
        """
        language = args.target_speech_lang
        return cls(transcriber_of(args, language), args.sacrebleu_tokenizer, language)

    @staticmethod
    def add_args(parser: ArgumentParser) -> None:
        """Add SimulEval's options and the recogniser's."""
        ASRSacreBLEUScorer.add_args(parser)
        add_asr_args(parser)

    def __call__(self, instances: Mapping[int, Any]) -> float:
        """The corpus score; transcripts and the signature are kept beside the wav files' folder."""
        return write_asr_bleu(
            _folder(next(iter(instances.values()))),
            self.asr_transcribe(instances),
            [instance.reference for instance in instances.values()],
            recogniser=self._transcriber.name,
            tokenizer=self.tokenizer,
            suffix=self.suffix,
        )

    def asr_transcribe(self, instances: Mapping[int, Any]) -> list[str]:
        """Transcripts of the instances' wav files, in order.

        Raises:
            TranscriptionError: for text output, a missing file or a failing recogniser.
        """
        if not all(is_speech(instance) for instance in instances.values()):
            raise TranscriptionError(
                f"{ASR_BLEU + self.suffix} is a metric of speech output; this system writes text: use BLEU"
            )
        spoken = [instance for instance in instances.values() if instance.prediction_length]
        wavs = {instance.index: self.speech(instance) for instance in spoken}
        return transcribe_all(self._transcriber, [wavs.get(i.index) for i in instances.values()])

    def speech(self, instance: Any) -> Path:
        """The wav file to transcribe."""
        return Path(instance.prediction)


@register_quality_scorer(ASR_BLEU + NO_SILENCE)
class NoSilenceASRBLEUScorer(LocalASRBLEUScorer):
    """ASR-BLEU of the speech without the pauses between its pieces; it is kept in `wavs_no_silence`."""

    suffix = NO_SILENCE

    def speech(self, instance: Any) -> Path:
        """The wav file to transcribe: SimulEval's own where there are no pauses.

        Raises:
            TranscriptionError: when the log is not of this file.
        """
        source = Path(instance.prediction)
        if not instance.silences:
            return source
        target = _folder(instance) / f"wavs{self.suffix.lower()}" / source.name
        target.parent.mkdir(exist_ok=True)
        try:
            samples, sample_rate = soundfile.read(source, dtype="int16")
            soundfile.write(target, remove_pauses(samples, sample_rate, instance.intervals), sample_rate)
        except (ValueError, soundfile.LibsndfileError) as error:
            raise TranscriptionError(f"{source}: does not fit instances.log: {error}") from error
        return target


def _folder(instance: Any) -> Path:
    """The output folder, which holds the folder of the wav files."""
    return Path(instance.prediction).absolute().parent.parent
