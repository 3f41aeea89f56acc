"""The plots of the benchmarks."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

logging.getLogger("matplotlib").setLevel(logging.WARNING)  # fairseq lets all debug messages through

Result = Mapping[str, Any]
DOTS_PER_INCH = 120
MS = 1000


def plot_step_times(results: Sequence[Result], path: Path) -> None:
    """Time of each step over the time of the stream, of the longest speech of each system and chunk size."""
    longest: dict[tuple[str, int], Result] = {}
    for result in sorted(results, key=lambda item: item["seconds"]):
        longest[(result["system"], result["chunk_ms"])] = result
    figure, axes = _axes("speech heard, s", "one step, ms")
    for (system, chunk_ms), result in sorted(longest.items()):
        times_s = [(index + 1) * chunk_ms / MS for index in range(len(result["steps_s"]))]
        label = f"{system}, {chunk_ms} ms chunks" + (" (interpolated)" if result["is_sampled"] else "")
        axes.plot(times_s, [step * MS for step in result["steps_s"]], linewidth=0.7, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _save(figure, axes, path)


def plot_real_time_factors(results: Sequence[Result], path: Path) -> None:
    """Real-time factor over the length of the speech, both logarithmic."""
    figure, axes = _axes("length of the speech, s", "real-time factor")
    for system, chunk_ms in sorted({(result["system"], result["chunk_ms"]) for result in results}):
        points = sorted(
            (result["seconds"], result["real_time_factor"])
            for result in results
            if (result["system"], result["chunk_ms"]) == (system, chunk_ms)
        )
        axes.plot(*zip(*points, strict=True), marker="o", label=f"{system}, {chunk_ms} ms chunks")
    axes.axhline(1.0, color="grey", linestyle=":", linewidth=1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _save(figure, axes, path)


def plot_hour(minutes: Sequence[Mapping[str, float]], path: Path) -> None:
    """Memory and step time of a long session, minute by minute."""
    figure = Figure(figsize=(8, 7))
    memory, steps = figure.subplots(2, 1, sharex=True)
    times = [minute["minute"] for minute in minutes]
    for name, label in (("resident_bytes", "process"), ("state_bytes", "session state")):
        memory.plot(times, [minute[name] / 1e6 for minute in minutes], label=label)
    memory.set_ylabel("memory, MB")
    memory.set_ylim(bottom=0)
    for name in ("p50_s", "p99_s"):
        steps.plot(times, [minute[name] * MS for minute in minutes], label=name.removesuffix("_s"))
    steps.set_ylabel("one step, ms")
    steps.set_ylim(bottom=0)
    steps.set_xlabel("speech heard, minutes")
    memory.grid(alpha=0.3)
    memory.legend()
    _save(figure, steps, path)


def _axes(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8, 5))
    axes = figure.subplots()
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    return figure, axes


def _save(figure: Figure, axes: Axes, path: Path) -> None:
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=DOTS_PER_INCH)
