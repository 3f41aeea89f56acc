"""What a run says about each of its utterances: texts, latencies, steps.

Dimensions:
    N: utterances of the run, in the order of instances.log.
"""

import csv
import json
import math
import re
from pathlib import Path

import numpy as np

from echostream.evaluation.bootstrap import Measure, mean_measure, ratio_measure
from echostream.evaluation.metrics import PROCESSING
from echostream.evaluation.normalization import normalize
from echostream.evaluation.quality_files import quality_file
from echostream.evaluation.results import SPEECH, ReportError, Run, read_log
from echostream.evaluation.text_statistics import (
    DEFAULT_TOKENIZER,
    bleu_measure,
    chrf_measure,
    wer_measure,
)
from echostream.inference.step_record import STEPS_FILE, StepRecord

TOLERANCE = 0.01
"""How far a score that is computed again may be from the one in scores.tsv, which is rounded."""


def quality_measure(run: Run, metric: str) -> Measure:
    """The run's quality from the texts of its utterances.

    Args:
        run: the run.
        metric: one of its task's.
    Raises:
        ReportError: when the texts are missing, or do not give the score of scores.tsv.
    """
    log = read_log(run.folder)
    references = [str(entry.get("reference") or "") for entry in log]
    if run.task is SPEECH:
        suffix = metric.removeprefix(SPEECH.quality)
        hypotheses = read_transcripts(run.folder, len(log), suffix)
        references = [normalize(text) for text in references]
    else:
        hypotheses = [str(entry["prediction"]) for entry in log]
    if metric == "WER":
        measure = wer_measure(hypotheses, references)
    elif metric == "CHRF":
        measure = chrf_measure(hypotheses, references)
    else:
        measure = bleu_measure(hypotheses, references, _tokenizer(run, metric))
    return _checked(measure, run, metric)


def latency_measure(run: Run, metric: str) -> Measure:
    """The mean of a latency metric over the utterances that wrote something; the ratio of times for
    `PROCESSING`.

    Args:
        run: the run.
        metric: a column of metrics.tsv, with its suffix.
    Raises:
        ReportError: when it is missing, or does not give the score of scores.tsv.
    """
    path = run.folder / "metrics.tsv"
    if not path.is_file():
        raise ReportError(f"{run.folder}: has no metrics.tsv, the latencies of each utterance; run it again")
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    if len(rows) != run.num_utterances or metric not in rows[0]:
        raise ReportError(
            f"{path}: holds {len(rows)} utterances of {run.num_utterances}, "
            f"{'with' if rows and metric in rows[0] else 'without'} {metric}; run it again"
        )
    values = np.array([float(row[metric]) if row[metric] else math.nan for row in rows])
    if metric == PROCESSING:
        source_ms = np.array([float(entry["source_length"]) for entry in read_log(run.folder)])
        measure = ratio_measure(np.nan_to_num(values) * source_ms, source_ms)
    else:
        measure = mean_measure(values)
    return _checked(measure, run, metric)


def read_transcripts(folder: Path, num_utterances: int, suffix: str = "") -> list[str]:
    """What the recogniser heard in each utterance, normalised; `suffix` is that of the ASR_BLEU.

    Raises:
        ReportError: when they are missing or of another run.
    """
    path = folder / f"asr_transcripts{suffix.lower()}.txt"
    if not path.is_file():
        raise ReportError(f"{path}: not there, though ASR_BLEU writes it; run it again with FORCE=1")
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    if len(lines) != num_utterances:
        raise ReportError(
            f"{path}: holds {len(lines)} transcripts of {num_utterances} utterances: it is of another run"
        )
    return lines


def read_steps(run: Run) -> list[StepRecord] | None:
    """The steps of each utterance, [N]; None when the run did not write them.

    Raises:
        ReportError: when they are damaged or of another run.
    """
    path = run.folder / STEPS_FILE
    if not path.is_file():
        return None
    try:
        records = [StepRecord.from_json(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    except ValueError as error:
        raise ReportError(f"{path}: {error}; run it again") from error
    if len(records) != run.num_utterances:
        raise ReportError(
            f"{path}: holds {len(records)} utterances of {run.num_utterances}, as when a run was interrupted "
            "and continued: remove it to do without, or run it again with FORCE=1"
        )
    return records


def _tokenizer(run: Run, metric: str) -> str:
    """sacreBLEU's tokenizer behind a run's BLEU, from the signature; the default where none was kept."""
    path = quality_file(run.folder, metric)
    if not path.is_file():
        return DEFAULT_TOKENIZER
    signature = json.loads(path.read_text(encoding="utf-8"))["signature"]
    match = re.search(r"tok:([^|]+)", signature)
    if match is None:
        raise ReportError(f"{path}: its signature names no tokenizer: {signature}")
    return match[1]


def _checked(measure: Measure, run: Run, metric: str) -> Measure:
    score = run.score(metric)
    if not math.isclose(measure.value, score, abs_tol=TOLERANCE):
        raise ReportError(
            f"{run.folder}: its utterances give {metric} {measure.value:.3f}, but scores.tsv says "
            f"{score:.3f}: the files are of different runs, or it was scored with other settings (such as "
            "--sacrebleu-tokenizer); run it again with FORCE=1"
        )
    return measure
