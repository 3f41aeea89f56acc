"""Result folders of the evaluation scripts: one run of SimulEval for each chunk size, or offline scores."""

import csv
import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from echostream.evaluation.quality_files import quality_file

RUN_FOLDER = re.compile(r"chunk_size=(\d+)")
AWARE_SUFFIX = "_CA"
OFFLINE_SCORES = "scores.txt"


class ReportError(ValueError):
    """Results that cannot be reported; the message names the folder and says how to complete it."""


@dataclass(frozen=True)
class Task:
    """A kind of evaluation.

    Args:
        name: short name, used for files.
        title: in words.
        quality: the metric of quality, a column of scores.tsv.
        other_qualities: metrics that stand beside it where they were measured.
        script: the script in scripts/fr-en that runs it.
        offline: the offline score on the same scale: a line of scores.txt, and the score in that line.
    """

    name: str
    title: str
    quality: str
    script: str
    offline: tuple[str, str]
    other_qualities: tuple[str, ...] = ()


SPEECH = Task(
    "s2st",
    "Simultaneous speech-to-speech translation",
    "ASR_BLEU",
    "simuleval.simul-s2st.sh",
    ("translation, speech", "BLEU"),
    ("ASR_BLEU_NO_SILENCE",),
)
TEXT = Task(
    "s2tt",
    "Simultaneous speech-to-text translation",
    "BLEU",
    "simuleval.simul-s2tt.sh",
    ("translation, text", "BLEU"),
    ("CHRF",),
)
RECOGNITION = Task(
    "asr", "Streaming recognition", "WER", "simuleval.streaming-asr.sh", ("recognition", "WER")
)
TASKS = (SPEECH, TEXT, RECOGNITION)


@dataclass(frozen=True)
class Run:
    """One run of SimulEval.

    Args:
        system: what it is called in the report.
        task: what was evaluated.
        chunk_ms: the chunk size.
        folder: where it is.
        scores: columns of scores.tsv; nan where SimulEval left the cell empty.
        num_utterances: how many utterances were scored.
        test_set: a digest of their references.
        quality_note: how the quality was measured, where it is noted down.
        repeat: its number, from 1, among the runs of this system, task and chunk size: one for each seed.
    """

    system: str
    task: Task
    chunk_ms: int
    folder: Path
    scores: Mapping[str, float]
    num_utterances: int
    test_set: str
    quality_note: str
    repeat: int = 1

    @property
    def label(self) -> str:
        """The system, and which of its runs it is where there are several."""
        return self.system if self.repeat == 1 else f"{self.system} ({self.repeat})"

    @property
    def scores_file(self) -> Path:
        """The file that its numbers come from."""
        return self.folder / "scores.tsv"

    def score(self, metric: str) -> float:
        """Return a score.

        Raises:
            ReportError: when it is missing or undefined.
        """
        again = f"FORCE=1 CHUNK_SIZES_MS={self.chunk_ms} scripts/fr-en/{self.task.script}"
        if metric not in self.scores:
            hint = {"ASR_BLEU": " with ASR_COMMAND set to a recogniser"}.get(metric, "")
            if metric.endswith(AWARE_SUFFIX):
                hint = " with COMPUTATION_AWARE=1"
            raise ReportError(f"{self.scores_file} has no {metric}; run {again}{hint}")
        value = self.scores[metric]
        if math.isnan(value):
            raise ReportError(
                f"{self.scores_file}: {metric} is undefined, as it is when a system writes nothing; see "
                f"{self.folder / 'instances.log'}, and run {again}"
            )
        return value


@dataclass(frozen=True)
class OfflineScore:
    """One line of offline scores: what was scored, with its scores by name; see ``folder``."""

    system: str
    output: str
    scores: Mapping[str, float]
    note: str
    file: Path


def read_results(
    folders: Iterable[Path], names: Iterable[str] | None = None
) -> tuple[list[Run], list[OfflineScore]]:
    """Read result folders, each of one system.

    Args:
        folders: folders with ``chunk_size=…`` in them, or with scores.txt of the offline script.
        names: what the systems are called; by default, as the folders. Folders of one name are of one
            system: of its tasks, and of models of it that differ in their seed (`Run.repeat`).

    Raises:
        ReportError: for a folder without results, an unfinished run, or folders of one name without names.
    """
    paths = list(folders)
    systems = [path.absolute().name for path in paths] if names is None else list(names)
    if len(systems) != len(paths):
        raise ReportError(f"--names needs one name for each folder: {len(systems)} for {len(paths)}")
    if names is None and len(set(systems)) < len(systems):
        raise ReportError(f"two systems have the same name; tell them apart with --names: {systems}")
    runs: list[Run] = []
    offline: list[OfflineScore] = []
    for path, system in zip(paths, systems, strict=True):
        inner = [child for child in sorted(path.glob("chunk_size=*")) if RUN_FOLDER.fullmatch(child.name)]
        found = [read_run(child, system) for child in inner]
        scores = read_offline_scores(path, system) if (path / OFFLINE_SCORES).is_file() else []
        if not found and not scores:
            raise ReportError(
                f"{path}: holds no results: neither folders chunk_size=… of the simuleval scripts nor "
                f"{OFFLINE_SCORES} of pred.offline-s2st.sh"
            )
        runs += sorted(found, key=lambda run: run.chunk_ms)
        offline += scores
    return _number_repeats(runs), offline


def _number_repeats(runs: Iterable[Run]) -> list[Run]:
    seen: Counter[tuple[str, str, int]] = Counter()
    numbered = []
    for run in runs:
        key = (run.system, run.task.name, run.chunk_ms)
        seen[key] += 1
        numbered.append(replace(run, repeat=seen[key]))
    return numbered


def read_run(folder: Path, system: str) -> Run:
    """Read one run of SimulEval.

    Raises:
        ReportError: when it is not finished.
    """
    match = RUN_FOLDER.fullmatch(folder.name)
    missing = [
        name for name in ("scores.tsv", "instances.log", "config.yaml") if not (folder / name).is_file()
    ]
    if match is None or missing:
        raise ReportError(
            f"{folder}: not a finished run: it has no {', '.join(missing)}; run its script again"
        )
    scores = _read_scores(folder / "scores.tsv")
    references = [str(entry.get("reference") or "") for entry in read_log(folder)]
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    task = SPEECH if config["target_type"] == "speech" else RECOGNITION if "WER" in scores else TEXT
    return Run(
        system=system,
        task=task,
        chunk_ms=int(match[1]),
        folder=folder,
        scores=scores,
        num_utterances=len(references),
        test_set=hashlib.sha256("\n".join(references).encode()).hexdigest(),
        quality_note=_quality_note(folder, task.quality),
    )


def _read_scores(path: Path) -> dict[str, float]:
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    if len(rows) != 1:
        raise ReportError(f"{path}: must hold one line of scores, not {len(rows)}")
    try:
        return {name: float(value) if value else math.nan for name, value in rows[0].items()}
    except (TypeError, ValueError) as error:
        raise ReportError(f"{path}: not a table of numbers: {error}") from error


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Read instances.log of a run, an entry for each utterance.

    Raises:
        ReportError: when a line is cut short.
    """
    path = folder / "instances.log"
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    except json.JSONDecodeError as error:
        raise ReportError(f"{path}: a line is cut short: the run was interrupted; run it again") from error


def _quality_note(folder: Path, metric: str) -> str:
    path = quality_file(folder, metric)
    if not path.is_file():
        return ""
    note = json.loads(path.read_text(encoding="utf-8"))
    recogniser = (note["normalization"], f"recogniser: {note['recogniser']}") if "recogniser" in note else ()
    return "; ".join([note["signature"], *recogniser])


def read_offline_scores(folder: Path, system: str) -> list[OfflineScore]:
    """Read the scores that the offline script writes, those of its speech among them if there are.

    Raises:
        ReportError: for a line of another form.
    """
    path = folder / OFFLINE_SCORES
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            output, *scores, signature = line.split("\t")
            values = {name: float(value) for name, value in (score.split() for score in scores)}
        except ValueError as error:
            raise ReportError(f"{path}: not a line of scores: {line!r}") from error
        found.append(OfflineScore(system, output, values, signature, path))
    note = quality_file(folder, SPEECH.quality)
    if note.is_file():
        score = float(json.loads(note.read_text(encoding="utf-8"))["score"])
        signature = _quality_note(folder, SPEECH.quality)
        found.append(OfflineScore(system, SPEECH.offline[0], {"BLEU": score}, signature, note))
    return found
