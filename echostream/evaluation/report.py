"""A report of results side by side: `python -m echostream.evaluation.report RESULTS… --output report`.

Each RESULTS is the folder of one system: of a simuleval script (`chunk_size=320` … in it) or of the offline
script. The report is report.md with tables, a PNG of each latency-quality curve, and the file that each
number is from. Ideal and computation-aware latencies have tables and curves of their own. A score that is
missing is an error.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from echostream.evaluation import published
from echostream.evaluation.plots import Curve, plot_curves
from echostream.evaluation.results import (
    AWARE_SUFFIX,
    TASKS,
    OfflineScore,
    ReportError,
    Run,
    Task,
    read_results,
)

# Latency metrics in the order of the columns, with their units.
UNITS = {
    "AL": "ms",
    "LAAL": "ms",
    "DAL": "ms",
    "AP": "",
    "ATD": "ms",
    "StartOffset": "ms",
    "EndOffset": "ms",
    "NumChunks": "",
    "DiscontinuitySum": "ms",
    "DiscontinuityAve": "ms",
    "DiscontinuityNum": "",
    "RTF": "",
}
PUBLISHED_LATENCY = "AL"


@dataclass(frozen=True)
class Options:
    """What the report shows.

    Args:
        output: its folder.
        latency: the metric of the curves' horizontal axis, without a suffix.
        latency_only: whether quality was not measured and is left out.
        cvss_c: the pair of languages of CVSS-C that the data are; None for other data.
    """

    output: Path
    latency: str = "AL"
    latency_only: bool = False
    cvss_c: str | None = None


@dataclass(frozen=True)
class Kind:
    """Ideal or computation-aware latencies."""

    name: str
    title: str
    suffix: str
    explanation: str


IDEAL = Kind("ideal", "Ideal latencies", "", "As if computing took no time.")
AWARE = Kind(
    "computation_aware",
    "Computation-aware latencies",
    AWARE_SUFFIX,
    "With the time that computing took: they hold for the machine of the run.",
)


def write_report(runs: Sequence[Run], offline: Sequence[OfflineScore], options: Options) -> Path:
    """Write report.md and its curves; return the path of report.md.

    Raises:
        ReportError: when a score is missing, or runs of one task are not of the same utterances.
        ImportError: without matplotlib.
    """
    options.output.mkdir(parents=True, exist_ok=True)
    lines = ["# Results", ""]
    for task in TASKS:
        chosen = [run for run in runs if run.task is task]
        if chosen:
            lines += _task_section(task, chosen, offline, options)
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
        lines += ["", f"### {kind.title}", "", kind.explanation, "", *_table(task, runs, kind, options)]
        if not options.latency_only:
            image = f"{task.name}_{kind.name}.png"
            foreign = _published_curves(task, kind, options)
            _plot(options.output / image, task, runs, offline, kind, options, foreign)
            lines += ["", f"![{task.title}, {kind.title.lower()}]({image})"]
            for curve in foreign:
                pairs = ", ".join(f"{latency:.0f} ms: {quality:.2f}" for latency, quality in curve.points)
                lines += ["", f"Grey: {curve.label}; {pairs}."]
    if AWARE not in kinds:
        lines += ["", "Computation-aware latencies were not measured; COMPUTATION_AWARE=1 adds them."]
    return [*lines, ""]


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
    metrics = [name for name in UNITS if any(name + kind.suffix in run.scores for run in runs)]
    if options.latency not in metrics:
        raise ReportError(
            f"{runs[0].scores_file} has no {options.latency}{kind.suffix}; choose another --latency"
        )
    header = ["system", "chunk (ms)"]
    header += [] if options.latency_only else [task.quality]
    header += [f"{name}{kind.suffix}" + (f" ({UNITS[name]})" if UNITS[name] else "") for name in metrics]
    rows = []
    for run in runs:
        quality = [] if options.latency_only else [f"{run.score(task.quality):.2f}"]
        latencies = [
            f"{run.score(name + kind.suffix):.{0 if UNITS[name] == 'ms' else 2}f}" for name in metrics
        ]
        rows.append(
            [run.system, str(run.chunk_ms), *quality, *latencies, _link(run.scores_file, options.output)]
        )
    return _markdown_table([*header, "from"], rows)


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
        own = [run for run in runs if run.system == system]
        points = [(run.score(options.latency + kind.suffix), run.score(task.quality)) for run in own]
        curves.append(Curve(system, points, [f"{run.chunk_ms} ms" for run in own]))
    output, score = task.offline
    levels = {f"{item.system}, offline": item.scores[score] for item in offline if item.output == output}
    plot_curves(
        path,
        [*curves, *foreign],
        title=f"{task.title}: {kind.title.lower()}",
        latency_label=f"{options.latency}{kind.suffix} (ms), {kind.name.replace('_', '-')}",
        quality_label=f"{task.quality}{' (%, lower is better)' if task.quality == 'WER' else ''}",
        levels=levels,
    )


def _published_curves(task: Task, kind: Kind, options: Options) -> list[Curve]:
    if options.cvss_c is None or options.latency != PUBLISHED_LATENCY:
        return []
    table = published.IDEAL if kind is IDEAL else published.AWARE
    points = table[options.cvss_c].get(task.name)
    return [Curve(published.LABEL, points, is_published=True)] if points else []


def _offline_section(offline: Sequence[OfflineScore], output: Path) -> list[str]:
    rows = [
        [
            item.system,
            item.output,
            *(f"{item.scores[name]:.2f}" if name in item.scores else "–" for name in ("BLEU", "WER")),
            item.note,
            _link(item.file, output),
        ]
        for item in offline
    ]
    header = ["system", "output", "BLEU", "WER", "signature", "from"]
    return ["## Offline", "", "The whole source is heard first.", "", *_markdown_table(header, rows), ""]


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]  # signatures have them
    return [f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *escaped)]


def _link(path: Path, folder: Path) -> str:
    relative = Path(os.path.relpath(path.absolute(), folder.absolute())).as_posix()
    return f"[{path.parent.name}/{path.name}]({relative})"


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m echostream.evaluation.report", description=__doc__)
    parser.add_argument("results", nargs="+", type=Path, help="result folder of one system each")
    parser.add_argument("--output", required=True, type=Path, help="folder of the report")
    parser.add_argument("--names", nargs="+", help="what the systems are called (default: their folders)")
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
    options = Options(args.output, args.latency, args.latency_only, args.cvss_c)
    try:
        runs, offline = read_results(args.results, args.names)
        print(write_report(runs, offline, options))
    except (ReportError, ImportError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
