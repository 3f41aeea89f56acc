"""A report of results side by side: `python -m echostream.evaluation.report RESULTS… --output report`.

Each RESULTS is the folder of one system: of a simuleval script (`chunk_size=320` … in it) or of the offline
script. The report is report.md with tables, a PNG of each latency-quality curve, and the file that each
number is from. Ideal and computation-aware latencies have tables and curves of their own. Two systems are
compared with intervals from a bootstrap over the utterances; step times and output speech have sections too.
A score that is missing is an error.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from echostream.evaluation import published
from echostream.evaluation.audio_checks import audio_section
from echostream.evaluation.comparison import comparison, measured_qualities, pair_of
from echostream.evaluation.markdown import NOTHING, link, table
from echostream.evaluation.metrics import AWARE, IDEAL, LOWER_IS_BETTER, UNITS, Kind, digits, with_unit
from echostream.evaluation.plots import Curve, plot_curves
from echostream.evaluation.results import (
    AWARE_SUFFIX,
    SPEECH,
    TASKS,
    OfflineScore,
    ReportError,
    Run,
    Task,
    read_results,
)
from echostream.evaluation.step_times import step_time_section

PUBLISHED_LATENCY = "AL"


@dataclass(frozen=True)
class Options:
    """What the report shows.

    Args:
        output: its folder.
        latency: the metric of the curves' horizontal axis, without a suffix.
        latency_only: whether quality was not measured and is left out.
        cvss_c: the pair of languages of CVSS-C that the data are; None for other data.
        compare: the two systems to compare; None: where a task has two, these.
    """

    output: Path
    latency: str = "AL"
    latency_only: bool = False
    cvss_c: str | None = None
    compare: Sequence[str] | None = None


def write_report(runs: Sequence[Run], offline: Sequence[OfflineScore], options: Options) -> Path:
    """Write report.md and its curves; return the path of report.md.

    Raises:
        ReportError: when a score is missing, or runs of one task are not of the same utterances.
        ImportError: without matplotlib.
    """
    options.output.mkdir(parents=True, exist_ok=True)
    by_task = [chosen for task in TASKS if (chosen := [run for run in runs if run.task is task])]
    if options.compare is not None and not any(pair_of(chosen, options.compare) for chosen in by_task):
        raise ReportError(
            f"--compare: no task was run with both {' and '.join(options.compare)}; the systems are "
            f"{', '.join(dict.fromkeys(run.system for run in runs))}"
        )
    lines = ["# Results", ""]
    for chosen in by_task:
        lines += _task_section(chosen[0].task, chosen, offline, options)
    if offline:
        lines += _offline_section(offline, options.output)
    path = options.output / "report.md"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _task_section(
    task: Task, runs: Sequence[Run], offline: Sequence[OfflineScore], options: Options
) -> list[str]:
    _check_comparable(runs)
    lines = [f"## {task.title}", "", f"Utterances: {runs[0].num_utterances}."]
    if options.latency_only:
        lines += ["Quality was not measured."]
    elif runs[0].quality_note:
        lines += [f"{task.quality}: {runs[0].quality_note}."]
    kinds = [IDEAL]
    if any(name.endswith(AWARE_SUFFIX) for run in runs for name in run.scores):
        kinds.append(AWARE)
    for kind in kinds:
        lines += ["", *_kind_section(task, runs, offline, kind, options)]
    if AWARE not in kinds:
        lines += ["", "Computation-aware latencies were not measured; COMPUTATION_AWARE=1 adds them."]
    pair = pair_of(runs, options.compare)
    if pair is not None:
        lines += ["", *comparison(runs, pair, kinds, options.latency, latency_only=options.latency_only)]
    image = None if options.latency_only else options.output / f"{task.name}_steps.png"
    lines += ["", *step_time_section(runs, image, f"{task.title}: time of a step"), ""]
    if task is SPEECH:
        lines += audio_section(runs, options.output)
    return [*lines, ""]


def _kind_section(
    task: Task, runs: Sequence[Run], offline: Sequence[OfflineScore], kind: Kind, options: Options
) -> list[str]:
    """Tables and curve of one kind of latency."""
    lines = [f"### {kind.title}", "", kind.explanation, "", *_table(task, runs, kind, options)]
    if any(run.repeat > 1 for run in runs):
        lines += ["", *_spread_table(task, runs, kind, options)]
    if not options.latency_only:
        image = f"{task.name}_{kind.name}.png"
        foreign = _published_curves(task, kind, options)
        _plot(options.output / image, task, runs, offline, kind, options, foreign)
        lines += ["", f"![{task.title}, {kind.title.lower()}]({image})"]
        for curve in foreign:
            pairs = ", ".join(f"{latency:.0f} ms: {quality:.2f}" for latency, quality in curve.points)
            lines += ["", f"Grey: {curve.label}; {pairs}."]
    return lines


def _check_comparable(runs: Sequence[Run]) -> None:
    first = runs[0]
    for run in runs[1:]:
        if run.quality_note != first.quality_note:
            raise ReportError(
                f"{run.folder}: quality was not measured as in {first.folder} ({run.quality_note!r}, "
                f"{first.quality_note!r}): not comparable; use one ASR_COMMAND, or report them apart"
            )
        if run.test_set != first.test_set:
            raise ReportError(
                f"{run.folder}: has {run.num_utterances} utterances and other references than {first.folder} "
                f"({first.num_utterances}): not comparable; report them apart, or run the one that was "
                f"interrupted again: FORCE=1 scripts/fr-en/{run.task.script}"
            )


def _table(task: Task, runs: Sequence[Run], kind: Kind, options: Options) -> list[str]:
    """Return a table of quality and of one kind of latencies; a metric of one run is asked of all."""
    metrics = [name for name in kind.metrics if any(name in run.scores for run in runs)]
    if options.latency + kind.suffix not in metrics:
        raise ReportError(
            f"{runs[0].scores_file} has no {options.latency}{kind.suffix}; choose another --latency"
        )
    header = ["system", "chunk (ms)"]
    qualities = [] if options.latency_only else measured_qualities(task, runs)
    header += [*qualities, *map(with_unit, metrics)]
    rows = []
    for run in runs:
        scores = [f"{run.score(name):.{digits(name)}f}" for name in (*qualities, *metrics)]
        rows.append([run.label, str(run.chunk_ms), *scores, link(run.scores_file, options.output)])
    return table([*header, "from"], rows)


def _spread_table(task: Task, runs: Sequence[Run], kind: Kind, options: Options) -> list[str]:
    """Return mean, least and greatest score over the runs of a system, one for each seed."""
    metrics = [options.latency + kind.suffix]
    if not options.latency_only:
        metrics.insert(0, task.quality)
    rows = []
    for system, chunk_ms in dict.fromkeys((run.system, run.chunk_ms) for run in runs):
        own = [run for run in runs if (run.system, run.chunk_ms) == (system, chunk_ms)]
        scores = [[run.score(metric) for run in own] for metric in metrics]
        cells = [
            f"{sum(values) / len(values):.{places}f} ({min(values):.{places}f} to {max(values):.{places}f})"
            for values, places in zip(scores, map(digits, metrics), strict=True)
        ]
        rows.append([system, str(chunk_ms), str(len(own)), *cells])
    title = "Spread over the runs of a system, mean (least to greatest):"
    return [title, "", *table(["system", "chunk (ms)", "runs", *map(with_unit, metrics)], rows)]


def _plot(
    path: Path,
    task: Task,
    runs: Sequence[Run],
    offline: Sequence[OfflineScore],
    kind: Kind,
    options: Options,
    foreign: Sequence[Curve],
) -> None:
    curves = []
    for system in dict.fromkeys(run.system for run in runs):
        points: dict[int, list[tuple[float, float]]] = {}
        for run in (run for run in runs if run.system == system):
            point = (run.score(options.latency + kind.suffix), run.score(task.quality))
            points.setdefault(run.chunk_ms, []).append(point)
        curves.append(_curve(system, points))
    output, score = task.offline
    repeats: dict[str, list[float]] = {}
    for item in offline:
        if item.output == output:
            repeats.setdefault(f"{item.system}, offline", []).append(item.scores[score])
    levels = {label: sum(scores) / len(scores) for label, scores in repeats.items()}
    plot_curves(
        path,
        [*curves, *foreign],
        title=f"{task.title}: {kind.title.lower()}",
        latency_label=f"{options.latency}{kind.suffix} (ms), {kind.name.replace('_', '-')}",
        quality_label=f"{task.quality}{' (%, lower is better)' if task.quality in LOWER_IS_BETTER else ''}",
        levels=levels,
    )


def _curve(system: str, points: dict[int, list[tuple[float, float]]]) -> Curve:
    """Return the curve of a system from latency and quality of its runs, by chunk size."""
    means = [
        (sum(latency for latency, _ in own) / len(own), sum(quality for _, quality in own) / len(own))
        for own in points.values()
    ]
    spreads: list[tuple[float, float]] = []
    if any(len(own) > 1 for own in points.values()):
        spreads = [
            (min(quality for _, quality in own), max(quality for _, quality in own))
            for own in points.values()
        ]
    return Curve(system, means, [f"{chunk_ms} ms" for chunk_ms in points], spreads)


def _published_curves(task: Task, kind: Kind, options: Options) -> list[Curve]:
    if options.cvss_c is None or options.latency != PUBLISHED_LATENCY:
        return []
    table = published.IDEAL if kind is IDEAL else published.AWARE
    points = table[options.cvss_c].get(task.name)
    return [Curve(published.LABEL, points, is_published=True)] if points else []


def _offline_section(offline: Sequence[OfflineScore], output: Path) -> list[str]:
    places = {"BLEU": 2, "WER": 2, "LENGTH": 3}
    rows = [
        [
            item.system,
            item.output,
            *(f"{item.scores[name]:.{n}f}" if name in item.scores else NOTHING for name, n in places.items()),
            item.note,
            link(item.file, output),
        ]
        for item in offline
    ]
    header = ["system", "output", "BLEU", "WER", "length / reference", "signature", "from"]
    explanation = "The whole source is heard first. Of units, BLEU, WER and length are counted in units."
    return ["## Offline", "", explanation, "", *table(header, rows), ""]


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m echostream.evaluation.report", description=__doc__)
    parser.add_argument("results", nargs="+", type=Path, help="result folder of one system each")
    parser.add_argument("--output", required=True, type=Path, help="folder of the report")
    parser.add_argument(
        "--names",
        nargs="+",
        help="what the systems are called (default: their folders); folders of one name are of one system: "
        "of other tasks, or of models that differ in their seed",
    )
    parser.add_argument(
        "--compare",
        nargs=2,
        metavar=("FIRST", "SECOND"),
        help="systems to compare, by name (default: where a task has two, these)",
    )
    parser.add_argument(
        "--latency",
        default="AL",
        choices=[name for name, unit in UNITS.items() if unit == "ms"],
        help="metric of the curves (default: AL)",
    )
    parser.add_argument(
        "--latency-only", action="store_true", help="quality was not measured: leave it and the curves out"
    )
    parser.add_argument(
        "--cvss-c",
        choices=list(published.IDEAL),
        help="the data are CVSS-C of these languages: draw StreamSpeech's published results beside",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Raises:
        SystemExit: with the reason, for results that cannot be reported.
    """
    args = build_parser().parse_args(arguments)
    options = Options(args.output, args.latency, args.latency_only, args.cvss_c, args.compare)
    try:
        runs, offline = read_results(args.results, args.names)
        print(write_report(runs, offline, options))
    except (ReportError, ImportError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
