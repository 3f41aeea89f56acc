"""The plots of the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 150


@dataclass(frozen=True)
class Curve:
    """Points of one system: latency in ms, quality, and what is written beside each.

    Args:
        label: the system.
        points: latency and quality.
        notes: of the points.
        spreads: least and greatest quality behind each point, where it is the mean of several runs.
        is_published: the points are not of our runs.
    """

    label: str
    points: Sequence[tuple[float, float]]
    notes: Sequence[str] = ()
    spreads: Sequence[tuple[float, float]] = ()
    is_published: bool = False


@dataclass(frozen=True)
class StepCurve:
    """Time of a step of one system over the utterance: seconds heard, median and 95th percentile in ms."""

    label: str
    heard_s: Sequence[float]
    p50_ms: Sequence[float]
    p95_ms: Sequence[float]


def new_figure(width_inches: float, height_inches: float) -> "Figure":
    """An empty figure.

    Raises:
        ImportError: without matplotlib, with the command that installs it.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("matplotlib is not installed: pip install 'echostream[evaluation]'") from error
    return Figure(figsize=(width_inches, height_inches), layout="constrained")


def plot_curves(
    path: Path,
    curves: Sequence[Curve],
    *,
    title: str,
    latency_label: str,
    quality_label: str,
    levels: Mapping[str, float] | None = None,
) -> None:
    """Write a PNG file.

    Args:
        path: the file.
        curves: one line each; published ones are grey.
        title: says which kind of latency it is.
        latency_label: of the horizontal axis.
        quality_label: of the vertical axis.
        levels: qualities without a latency, drawn as horizontal lines, by label.

    Raises:
        ImportError: without matplotlib, with the command that installs it.
    """
    figure = new_figure(7, 4.5)
    axes = figure.subplots()
    for curve in curves:
        latencies, qualities = zip(*curve.points, strict=True)
        style: dict[str, Any] = {"marker": "o"}
        if curve.is_published:
            style = {"color": "0.5", "linestyle": ":", "marker": "s"}
        [line] = axes.plot(latencies, qualities, label=curve.label, **style)
        if curve.spreads:
            axes.vlines(latencies, *zip(*curve.spreads, strict=True), color=line.get_color(), alpha=0.5)
        for point, note in zip(curve.points, curve.notes, strict=False):
            axes.annotate(note, point, textcoords="offset points", xytext=(4, 5), fontsize=7)
    for number, (label, quality) in enumerate((levels or {}).items()):
        axes.axhline(quality, linestyle="--", linewidth=1, color=f"C{number}", label=label)
    axes.set(title=title, xlabel=latency_label, ylabel=quality_label)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=DOTS_PER_INCH)


def plot_step_times(path: Path, panels: Mapping[int, Sequence[StepCurve]], *, title: str) -> None:
    """Write a PNG file with a panel for each chunk size.

    Args:
        path: the file.
        panels: by chunk size in ms, a curve for each system.
        title: of the whole.

    Raises:
        ImportError: without matplotlib, with the command that installs it.
    """
    num_columns = min(2, len(panels))
    num_rows = -(-len(panels) // num_columns)
    figure = new_figure(5 * num_columns, 0.6 + 2.6 * num_rows)
    grid = figure.subplots(num_rows, num_columns, squeeze=False)
    for axes, (chunk_ms, curves) in zip(grid.flat, panels.items(), strict=False):
        for number, curve in enumerate(curves):
            style: dict[str, Any] = {"color": f"C{number}", "linewidth": 1}
            axes.plot(curve.heard_s, curve.p50_ms, label=f"{curve.label}, p50", **style)
            axes.plot(curve.heard_s, curve.p95_ms, label=f"{curve.label}, p95", linestyle="--", **style)
        axes.set_title(f"chunks of {chunk_ms} ms", fontsize=9)
        axes.set(xlabel="speech heard (s)", ylabel="one step (ms)")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    grid.flat[0].legend(fontsize=7)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=DOTS_PER_INCH)
