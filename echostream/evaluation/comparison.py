"""Two systems on the same utterances: differences with intervals, at the same chunk size and latency."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tqdm import tqdm

from echostream.evaluation.bootstrap import (
    CONFIDENCE,
    NUM_DRAWS,
    Array,
    Drawn,
    Interval,
    QualityCurve,
    draw_counts,
    mean_of,
)
from echostream.evaluation.markdown import NOTHING, table, with_interval
from echostream.evaluation.metrics import LOWER_IS_BETTER, Kind, digits, with_unit
from echostream.evaluation.results import ReportError, Run, Task
from echostream.evaluation.utterances import latency_measure, quality_measure


@dataclass(frozen=True)
class System:
    """A system's runs of one task; figures are means over the runs of a chunk size.

    Args:
        name: what it is called.
        runs: by chunk size in ms, one for each seed.
        qualities: by metric and chunk size, the task's own first; empty when quality was not measured.
        latencies: by metric, with its suffix, and chunk size.
    """

    name: str
    runs: dict[int, list[Run]]
    qualities: dict[str, dict[int, Drawn]]
    latencies: dict[str, dict[int, Drawn]]

    @property
    def task(self) -> Task:
        """What was evaluated."""
        return next(iter(self.runs.values()))[0].task

    def curve(self, latency: str) -> QualityCurve:
        """Quality over a latency."""
        return QualityCurve(
            list(self.latencies[latency].values()), list(self.qualities[self.task.quality].values())
        )


def pair_of(runs: Iterable[Run], wanted: Sequence[str] | None) -> tuple[str, str] | None:
    """Names of the two systems to compare: the wanted ones if they are there, or the only two."""
    names = tuple(dict.fromkeys(run.system for run in runs))
    if wanted is not None:
        return (wanted[0], wanted[1]) if set(wanted) <= set(names) else None
    return (names[0], names[1]) if len(names) == 2 else None


def comparison(
    runs: Sequence[Run], pair: tuple[str, str], kinds: Sequence[Kind], latency: str, *, latency_only: bool
) -> list[str]:
    """The section of a report that compares two systems of a task.

    Args:
        runs: runs of one task on the same utterances.
        pair: the names of the systems; differences are the first less the second.
        kinds: kinds of latency that were measured.
        latency: the metric for equal latency, without a suffix.
        latency_only: whether quality was not measured.
    Raises:
        ReportError: when something is missing in a run.
    """
    counts = draw_counts(runs[0].num_utterances)
    qualities = [] if latency_only else measured_qualities(runs[0].task, runs)
    latencies = [name for kind in kinds for name in kind.metrics if any(name in run.scores for run in runs)]
    first, second = (_draw(runs, name, qualities, latencies, counts) for name in pair)
    chunks = [chunk for chunk in first.runs if chunk in second.runs]
    lines = [
        f"### Comparison: {first.name} less {second.name}",
        "",
        f"Differences with {100 * CONFIDENCE:.0f} % intervals: paired bootstrap over the "
        f"{runs[0].num_utterances} utterances, {NUM_DRAWS} draws. Bold: the interval excludes zero.",
    ]
    lines += [_seeds(system) for system in (first, second) if _num_seeds(system) > 1]
    if not chunks:
        lines += ["", "The two have no chunk size in common."]
    for metric in qualities if chunks else []:
        lines += ["", *_same_chunk(first, second, chunks, metric)]
    for kind in kinds:
        if chunks:
            lines += ["", f"Latencies at the same chunk size, {kind.title.lower()}:", ""]
            lines += _latency_table(first, second, chunks, kind)
        if not latency_only:
            lines += ["", *_equal_latency(first, second, latency + kind.suffix)]
    return lines


def measured_qualities(task: Task, runs: Iterable[Run]) -> list[str]:
    """Metrics of quality of a task: its own, and those beside it that any of its runs has."""
    seen = {name for run in runs for name in run.scores}
    return [task.quality, *(name for name in task.other_qualities if name in seen)]


def _draw(
    runs: Iterable[Run], name: str, qualities: Sequence[str], latencies: Sequence[str], counts: Array
) -> System:
    """Draw all scores of a system."""
    system = System(name, {}, {metric: {} for metric in qualities}, {metric: {} for metric in latencies})
    for run in runs:
        if run.system == name:
            system.runs.setdefault(run.chunk_ms, []).append(run)
    progress = tqdm(system.runs.items(), desc=f"bootstrap, {name}", unit="chunk size", disable=None)
    for chunk_ms, repeats in progress:
        for metrics, measure in ((system.qualities, quality_measure), (system.latencies, latency_measure)):
            for metric, figures in metrics.items():
                figures[chunk_ms] = mean_of([measure(run, metric).drawn(counts) for run in repeats])
    return system


def _num_seeds(system: System) -> int:
    return max(len(repeats) for repeats in system.runs.values())


def _seeds(system: System) -> str:
    return (
        f"{system.name}: mean of up to {_num_seeds(system)} models; the interval is of the utterances, not "
        "of the models, whose spread is above."
    )


def _same_chunk(first: System, second: System, chunks: Sequence[int], metric: str) -> list[str]:
    rows = []
    for chunk in chunks:
        one, other = (system.qualities[metric][chunk] for system in (first, second))
        figures = [with_interval(_interval(figure), 2) for figure in (one, other)]
        rows.append([str(chunk), *figures, *_difference(one - other, first, second)])
    header = ["chunk (ms)", first.name, second.name, "difference", "better"]
    return [f"{metric} at the same chunk size:", "", *table(header, rows)]


def _latency_table(first: System, second: System, chunks: Sequence[int], kind: Kind) -> list[str]:
    rows = []
    for metric in kind.metrics:
        if metric in first.latencies:
            one, other = first.latencies[metric], second.latencies[metric]
            cells = [_cell(one[chunk] - other[chunk], digits(metric)) for chunk in chunks]
            rows.append([with_unit(metric), *cells])
    return table(["", *(f"{chunk} ms" for chunk in chunks)], rows)


def _equal_latency(first: System, second: System, latency: str) -> list[str]:
    """Quality of the second, read off its curve, at the latencies of the first; and over the shared range."""
    title = f"{first.task.quality} at equal {latency}"
    values = [[figure.value for figure in system.latencies[latency].values()] for system in (first, second)]
    low, high = max(map(min, values)), min(map(max, values))
    if low >= high:
        return [f"{title}: not known, since the two share no range of it."]
    curve, other = first.curve(latency), second.curve(latency)
    rows = []
    for chunk, at in first.latencies[latency].items():
        own = first.qualities[first.task.quality][chunk]
        cells = [NOTHING] * 3
        if low <= at.value <= high:
            theirs = other.quality_at(at)
            cells = [f"{theirs.value:.2f}", *_difference(own - theirs, first, second)]
        rows.append([str(chunk), f"{at.value:.0f}", f"{own.value:.2f}", *cells])
    means = [system.mean_quality(low, high) for system in (curve, other)]
    cells = [*(f"{mean.value:.2f}" for mean in means), *_difference(means[0] - means[1], first, second)]
    rows.append(["mean", f"{low:.0f} to {high:.0f}", *cells])
    header = ["chunk (ms)", with_unit(latency), first.name, second.name, "difference", "better"]
    explanation = (
        f"{title}: {second.name} is read off straight lines between its chunk sizes; {NOTHING} where it was "
        f"not run at such a latency. The last line is the mean over the {latency} that both reach."
    )
    return [explanation, "", *table(header, rows)]


def _difference(figure: Drawn, first: System, second: System) -> list[str]:
    """Cells: the difference in quality, and which system is better if that is shown."""
    interval = _interval(figure)
    better = NOTHING
    if interval.excludes_zero:
        is_first = (interval.value > 0) != (first.task.quality in LOWER_IS_BETTER)
        better = first.name if is_first else second.name
    return [_cell(figure, 2), better]


def _cell(figure: Drawn, decimals: int) -> str:
    interval = _interval(figure)
    text = with_interval(interval, decimals, is_signed=True)
    return f"**{text}**" if interval.excludes_zero else text


def _interval(figure: Drawn) -> Interval:
    try:
        return figure.interval()
    except ValueError as error:
        raise ReportError(f"no interval can be given: {error}; evaluate on more utterances") from error
