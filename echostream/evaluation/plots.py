"""Curves of quality over latency."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Curve:
    """Points of one system: latency in ms, quality, and what is written beside each."""

    label: str
    points: Sequence[tuple[float, float]]
    notes: Sequence[str] = ()
    is_published: bool = False


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
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("matplotlib is not installed: pip install 'echostream[evaluation]'") from error
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for curve in curves:
        latencies, qualities = zip(*curve.points, strict=True)
        style: dict[str, Any] = {"marker": "o"}
        if curve.is_published:
            style = {"color": "0.5", "linestyle": ":", "marker": "s"}
        axes.plot(latencies, qualities, label=curve.label, **style)
        for point, note in zip(curve.points, curve.notes, strict=False):
            axes.annotate(note, point, textcoords="offset points", xytext=(4, 5), fontsize=7)
    for number, (label, quality) in enumerate((levels or {}).items()):
        axes.axhline(quality, linestyle="--", linewidth=1, color=f"C{number}", label=label)
    axes.set(title=title, xlabel=latency_label, ylabel=quality_label)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=150)
