"""How long the steps of a run took, over the utterance."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from echostream.evaluation.markdown import NOTHING, table
from echostream.evaluation.plots import StepCurve, plot_step_times
from echostream.evaluation.results import ReportError, Run
from echostream.evaluation.utterances import read_steps
from echostream.inference.step_record import STEPS_FILE, StepRecord

MIN_UTTERANCES = 5
"""A curve ends where fewer utterances are that long; all count when the run has fewer."""


@dataclass(frozen=True)
class StepTimes:
    """Times of the steps of a run in ms; the last step of an utterance, which flushes, stands apart.

    Args:
        label: the system.
        chunk_ms: source audio of a step.
        by_index: for each step of an utterance, its time in the utterances that are so long.
        final: time of each utterance's last step.
        real_time_factor: time of all steps over the length of the source.
    """

    label: str
    chunk_ms: int
    by_index: Sequence[npt.NDArray[np.float64]]
    final: npt.NDArray[np.float64]
    real_time_factor: float

    @classmethod
    def of(cls, label: str, chunk_ms: int, records: Sequence[StepRecord]) -> "StepTimes":
        """Put the steps of a run together."""
        longest = max(len(record.compute_ms) for record in records)
        by_index = [
            np.array([record.compute_ms[i] for record in records if i < len(record.compute_ms) - 1])
            for i in range(longest - 1)
        ]
        return cls(
            label,
            chunk_ms,
            by_index,
            np.array([record.compute_ms[-1] for record in records]),
            sum(sum(record.compute_ms) for record in records)
            / sum(record.heard_ms[-1] for record in records),
        )

    def curve(self) -> StepCurve:
        """Percentiles of each step that enough utterances have."""
        least = min(MIN_UTTERANCES, len(self.final))
        shown = [times for times in self.by_index if times.size >= least]
        heard_s = [(index + 1) * self.chunk_ms / 1000 for index in range(len(shown))]
        p50, p95 = ([float(np.percentile(times, percent)) for times in shown] for percent in (50, 95))
        return StepCurve(self.label, heard_s, p50, p95)


def step_time_section(runs: Sequence[Run], path: Path | None, title: str) -> list[str]:
    """The section of a report on step times.

    Args:
        runs: of one task.
        path: for a PNG of the curves; None: the table only.
        title: of the PNG.
    Raises:
        ReportError: when only some of the runs have step times.
        ImportError: without matplotlib.
    """
    times = []
    missing = []
    for run in runs:
        records = read_steps(run)
        if records is None:
            missing.append(run)
        else:
            times.append(StepTimes.of(run.label, run.chunk_ms, records))
    heading = ["### Step times", ""]
    if not times:
        return [*heading, f"Not recorded: the runs have no {STEPS_FILE}, which EchoStream's agents write."]
    if missing:
        raise ReportError(
            f"{missing[0].folder}: has no {STEPS_FILE}, which other runs have; run it again with FORCE=1"
        )
    image = []
    if path is not None:
        panels: dict[int, list[StepCurve]] = {}
        for item in sorted(times, key=lambda item: item.chunk_ms):
            panels.setdefault(item.chunk_ms, []).append(item.curve())
        plot_step_times(path, panels, title=title)
        image = ["", f"![{title}]({path.name})"]
    return [
        *heading,
        "Time in ms of a step, p50 / p95 over the utterances, by its number in the utterance; the last step "
        "of each utterance, which writes all that is left, stands apart. The real-time factor is the time of "
        "all steps over the length of the source. Times hold for the machine of the run.",
        "",
        *_table(times),
        *image,
    ]


def _table(times: Sequence[StepTimes]) -> list[str]:
    longest = max(len(item.by_index) for item in times)
    spans = []
    first = 0
    while first < longest:
        end = max(1, 2 * first)
        spans.append((first, end))
        first = end
    names = [str(end) if end - begin == 1 else f"{begin + 1} to {min(end, longest)}" for begin, end in spans]
    rows = []
    for item in times:
        cells = [_percentiles(item.by_index[begin:end]) for begin, end in spans]
        last = [_percentiles([item.final]), f"{item.real_time_factor:.3f}"]
        rows.append([item.label, str(item.chunk_ms), *cells, *last])
    return table(["system", "chunk (ms)", *names, "last", "real-time factor"], rows)


def _percentiles(times: Sequence[npt.NDArray[np.float64]]) -> str:
    values = np.concatenate([np.zeros(0), *times])
    if not values.size:
        return NOTHING
    return " / ".join(f"{np.percentile(values, percent):.1f}" for percent in (50, 95))
