"""Repairs of SimulEval 1.1.4 through its public names; nothing is edited in its files.

| repair | symptom without it |
|---|---|
| `RepairedSpeechToSpeechInstance` | `--computation-aware` fails for speech: `elapsed` is logged empty |
| `SpeechLogInstance` | Discontinuity* fail, ATD and RTF are wrong: speech logs are read back as text |
| `latency_scorers` | computation-aware EndOffset, RTF and Discontinuity use ideal times |
| `separate_ideal_from_aware` | with `--computation-aware`, AL equals AL_CA: the ideal value is lost |
| `metric_name` | metrics.tsv is overwritten with computation-aware values |
| `write_target_type` | config.yaml says that text output is speech |
| `text_to_speech` | speech made from text cannot be evaluated: KeyError |
| `allow_no_quality` | `--quality-metrics` needs a metric, which speech does not have without a recogniser |
| `asr_bleu`, `text_scorers` | a score that cannot be computed is 0.0 with exit code 0 |
| `find_listed_sources` | the paths in a list of sources hold in one working directory only |
| `source_audio`, `instances` | all audio, in and out, is held in memory as Python floats |

Each can go when SimulEval no longer shows its symptom; `apply` refuses another version, so that
this is looked at.
Not repaired: remote evaluation and `--slurm`.
"""

import functools
import importlib.metadata
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from simuleval import options
from simuleval.data.dataloader.s2t_dataloader import SpeechToSpeechDataloader, SpeechToTextDataloader
from simuleval.evaluator.evaluator import SentenceLevelEvaluator
from simuleval.evaluator.instance import INSTANCE_TYPE_DICT, LogInstance
from simuleval.evaluator.scorers.latency_scorer import LATENCY_SCORERS_NAME_DICT, LatencyScorer

from echostream.evaluation import asr_bleu, latency_scorers, text_scorers, text_to_speech
from echostream.evaluation.instances import (
    MeasuredSpeechToTextInstance,
    RepairedSpeechToSpeechInstance,
    SpeechLogInstance,
    is_speech_log,
)
from echostream.evaluation.source_audio import SourceAudio, locate_source

SIMULEVAL_VERSION = "1.1.4"
REPAIRED_SCORERS = (asr_bleu, latency_scorers, text_scorers)  # importing them registers their scorers

_MARK = "_echostream_repair"


def build_instances_from_log(evaluator: SentenceLevelEvaluator) -> None:
    """Read instances.log: speech as speech, text as text."""
    evaluator.instances = {}
    if evaluator.output is None:
        return
    with (evaluator.output / "instances.log").open(encoding="utf-8") as stream:
        for line in stream:
            kind = SpeechLogInstance if is_speech_log(line) else LogInstance
            instance = kind(line.strip(), evaluator.args.eval_latency_unit)
            instance.set_target_spm_model(evaluator.target_spm_model)
            evaluator.instances[instance.index - evaluator.start_index] = instance


def separate_ideal_from_aware() -> None:
    """Scorers without the suffix _CA score ideal times, whatever `--computation-aware` says."""
    original = SentenceLevelEvaluator.from_args.__func__

    @functools.wraps(original)
    def from_args(cls: type[SentenceLevelEvaluator], args: Namespace) -> SentenceLevelEvaluator:
        evaluator = original(cls, args)
        for name in args.latency_metrics:
            evaluator.latency_scorers[name].computation_aware = False
            if getattr(evaluator.latency_scorers[name], "is_always_aware", False):
                evaluator.latency_scorers.pop(name + "_CA", None)
        return evaluator

    SentenceLevelEvaluator.from_args = classmethod(from_args)


def metric_name(scorer: LatencyScorer) -> str:
    """The metric's column: computation-aware ones have the suffix _CA, as in SimulEval's table."""
    name: str = LATENCY_SCORERS_NAME_DICT[type(scorer).__name__]
    return name + "_CA" if scorer.computation_aware else name


def lazy_source(dataloader: SpeechToTextDataloader, source: str | Path) -> SourceAudio:
    """The source of an utterance, which is not read yet."""
    return SourceAudio(source)


def find_listed_sources() -> None:
    """Relative paths in a list of speech sources hold in the working directory, or else beside the list."""
    for loader in (SpeechToTextDataloader, SpeechToSpeechDataloader):
        original = loader.from_files.__func__

        def from_files(
            cls: type[SpeechToTextDataloader],
            source: str | Path,
            *args: Any,
            original: Callable[..., SpeechToTextDataloader] = original,
            **kwargs: Any,
        ) -> SpeechToTextDataloader:
            dataloader = original(cls, source, *args, **kwargs)
            folder = Path(source).parent
            dataloader.source_list = [locate_source(name, folder) for name in dataloader.source_list]
            return dataloader

        loader.from_files = classmethod(from_files)


def write_target_type() -> None:
    """config.yaml tells the type of the output, not twice that of the input."""
    original = SentenceLevelEvaluator.__init__

    @functools.wraps(original)
    def __init__(evaluator: SentenceLevelEvaluator, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        original(evaluator, *args, **kwargs)
        if evaluator.output is not None:
            config = {"source_type": evaluator.source_type, "target_type": evaluator.target_type}
            (Path(evaluator.output) / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")

    SentenceLevelEvaluator.__init__ = __init__


def allow_no_quality() -> None:
    """`--quality-metrics` without a metric: latencies only.

    For `echostream-eval`; plain `simuleval` has defined its options before an agent is imported.
    """
    original = options.add_evaluator_args

    @functools.wraps(original)
    def add_evaluator_args(parser: ArgumentParser) -> None:
        original(parser)
        # SimulEval's parsers let a later definition of an option take the place of an earlier one.
        parser.add_argument("--quality-metrics", nargs="*", default=["BLEU"], help="Quality metrics, or none")

    options.add_evaluator_args = add_evaluator_args


def apply() -> None:
    """Make every repair; a second call changes nothing.

    Raises:
        RuntimeError: for another version of SimulEval, whose faults may be others.
    """
    version = importlib.metadata.version("simuleval")
    if version != SIMULEVAL_VERSION:
        raise RuntimeError(
            f"simuleval {version} is installed, but the repairs are for {SIMULEVAL_VERSION}: "
            f"pip install simuleval=={SIMULEVAL_VERSION}"
        )
    if hasattr(SentenceLevelEvaluator, _MARK):
        return
    for source in ("speech", "youtube"):
        INSTANCE_TYPE_DICT[f"{source}-speech"] = RepairedSpeechToSpeechInstance
        INSTANCE_TYPE_DICT[f"{source}-text"] = MeasuredSpeechToTextInstance
    SpeechToTextDataloader.preprocess_source = lazy_source
    find_listed_sources()
    text_to_speech.register()
    SentenceLevelEvaluator.build_instances_from_log = build_instances_from_log
    separate_ideal_from_aware()
    LatencyScorer.metric_name = property(metric_name)
    write_target_type()
    allow_no_quality()
    setattr(SentenceLevelEvaluator, _MARK, True)
