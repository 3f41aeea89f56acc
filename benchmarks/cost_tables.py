"""The tables of `benchmarks/streaming_cost.py`, in Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.forced_writing import SUBWORD_MS, SYSTEMS, UNITS_A_SUBWORD
from benchmarks.stage_meter import REST, STAGES

Result = Mapping[str, Any]
SUBJECT = "echostream"
RIVAL = "streamspeech-recompute"
SPEED_UP_BARS = {10: 5.0, 30: 17.0, 60: 45.0}
"""By seconds of speech: how many times less than the rival the subject is to cost."""
REAL_TIME_FACTOR_BAR = 0.8
GROWTH_BAR = 1.1
LONG_S = 600
ENCODER_STATE_BAR_BYTES = 10 * 1000 * 1000
MS = 1000
MEGABYTE = 1000 * 1000


def cost_page(run: Mapping[str, Any], results: Sequence[Result]) -> str:
    """All tables of a run; where a stream was run completely and sampled too, the complete run counts."""
    complete = {_case(result) for result in results if not result["is_sampled"]}
    all_results = results
    results = [item for item in results if not (item["is_sampled"] and _case(item) in complete)]
    parts = [
        _heading(run),
        "_Figures with ~ are interpolated between sampled chunks._",
        "Cost, and the rival's cost over the system's own",
        _cost_table(results),
        "Seconds spent in each stage",
        _stage_table(results),
        "Time in ms of a step that writes, in the first and the last minute of the speech",
        _step_table(results),
        "Memory in MB: states at their largest, and the process",
        _memory_table(results),
        *_sampling_check(all_results),
        *_not_run(run, results),
        "Goals",
        _goal_table(results),
    ]
    return (
        "\n\n".join(part if part.startswith(("|", "_")) else f"**{part}**" for part in parts if part) + "\n"
    )


def work_page(run: Mapping[str, Any], counts: Sequence[Mapping[str, Any]]) -> str:
    """The table of counted operations."""
    header = ("system", "chunk ms", "stage", "first segment", "second", "last", "last / second")
    rows = []
    for count in counts:
        scale = 10000 / count["segment_ms"] / 1e6
        for stage in (*STAGES, REST):
            first, second, last = (count["segments"][index][stage] * scale for index in (0, 1, -1))
            ratio = f"{last / second:.4f}" if second else ""
            row = (f"{first:.3f}", f"{second:.3f}", f"{last:.3f}", ratio)
            rows.append((count["system"], count["chunk_ms"], stage, *row))
    title = "**Million operations for 10 s of speech, by text segment of the stream**"
    return f"{_heading(run)}\n\n{title}\n\n{table(header, rows)}\n"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _heading(run: Mapping[str, Any]) -> str:
    together = f", {run['jobs']} cases at a time on cores of their own" if run.get("jobs", 1) > 1 else ""
    return (
        f"_{run['cpu']}, {run['device']}, {run['threads']} thread(s){together}, "
        f"torch {run['torch']}, {run['date']}; "
        f"{run['size']} size, random weights; one subword for each {SUBWORD_MS} ms of source, "
        f"{UNITS_A_SUBWORD} units for each subword._"
    )


def _speed_up(result: Result, results: Sequence[Result]) -> float | None:
    rival = {_case(other): other for other in results}.get((result["seconds"], result["chunk_ms"], RIVAL))
    return None if rival is None else rival["total_s"] / result["total_s"]


def _mark(result: Result) -> str:
    return "~" if result["is_sampled"] else ""


def _case(result: Result) -> tuple[Any, ...]:
    return (result["seconds"], result["chunk_ms"], result["system"])


def _cost_table(results: Sequence[Result]) -> str:
    rows = []
    for result in results:
        mark, ratio = _mark(result), _speed_up(result, results)
        figures = (
            f"{mark}{result['total_s']:.2f}",
            f"{mark}{result['wall_s']:.2f}",
            f"{mark}{result['real_time_factor']:.2f}",
            "" if ratio is None or result["system"] == RIVAL else f"{ratio:.1f}x",
        )
        rows.append((*_case(result), *figures))
    clock = results[0]["clock"] if results else "time"
    header = ("s", "chunk ms", "system", f"{clock} s", "wall s", "real-time factor", f"{RIVAL} / this")
    return table(header, rows)


def _stage_table(results: Sequence[Result]) -> str:
    names = (*STAGES, REST)
    rows = [
        (*_case(result), *(f"{_mark(result)}{result['stages_s'][name]:.2f}" for name in names))
        for result in results
    ]
    return table(("s", "chunk ms", "system", *names), rows)


def _step_table(results: Sequence[Result]) -> str:
    rows = []
    for result in results:
        spans = (
            " / ".join(f"{value * MS:.0f}" for value in result[name].values())
            for name in ("first_minute", "last_minute")
        )
        last = f"{result['last_step_s'] * MS:.0f}"
        rows.append((*_case(result), *(_mark(result) + span for span in spans), last))
    header = ("s", "chunk ms", "system", "first p50 / p95 / p99", "last p50 / p95 / p99", "final step")
    return table(header, rows)


def _memory_table(results: Sequence[Result]) -> str:
    rows = []
    for result in results:
        encoder = result["encoder_state_bytes"]
        figures = (
            "" if encoder is None else f"{encoder / MEGABYTE:.2f}",
            f"{result['session_state_bytes'] / MEGABYTE:.2f}",
            f"{result['model_bytes'] / MEGABYTE:.0f}",
            f"{_mark(result)}{result['peak_bytes'] / MEGABYTE:.0f}",
        )
        rows.append((*_case(result), *figures))
    header = ("s", "chunk ms", "system", "encoder state", "session state", "resident before", "peak resident")
    return table(header, rows)


def _sampling_check(results: Sequence[Result]) -> list[str]:
    complete = {_case(result): result["total_s"] for result in results if not result["is_sampled"]}
    rows = [
        (*_case(result), f"{complete[_case(result)]:.2f}", f"{result['total_s']:.2f}")
        for result in results
        if result["is_sampled"] and _case(result) in complete
    ]
    header = ("s", "chunk ms", "system", "every chunk run, s", "sampled, s")
    return ["Sampling against a complete run", table(header, rows)] if rows else []


def _not_run(run: Mapping[str, Any], results: Sequence[Result]) -> list[str]:
    longest = run["longest_recomputed_s"]
    lengths = sorted({result["seconds"] for result in results if result["seconds"] > longest})
    return [
        f"_{name} at {seconds} s: not run. Its cost grows faster than the square of the length, and a single "
        f"chunk near the end recomputes {seconds} s of speech in every stage._"
        for seconds in lengths
        for name, system in SYSTEMS.items()
        if system.is_recomputed
    ]


def _goal_table(results: Sequence[Result]) -> str:
    rows = []
    for result in results:
        if result["system"] != SUBJECT:
            continue
        seconds, place = result["seconds"], f"{result['seconds']} s, {result['chunk_ms']} ms"
        factor = result["real_time_factor"]
        rows.append(_goal(f"real-time factor, {place}", factor, REAL_TIME_FACTOR_BAR, is_at_most=True))
        ratio = _speed_up(result, results)
        if seconds in SPEED_UP_BARS and ratio is not None:
            rows.append(_goal(f"{RIVAL} / this, {place}", ratio, SPEED_UP_BARS[seconds], is_at_most=False))
        if seconds >= LONG_S:
            growth = result["p50_ratio"]
            rows.append(_goal(f"p50 last / first minute, {place}", growth, GROWTH_BAR, is_at_most=True))
        if result["encoder_state_bytes"] is not None:
            size, bar = result["encoder_state_bytes"] / MEGABYTE, ENCODER_STATE_BAR_BYTES / MEGABYTE
            rows.append(_goal(f"encoder state MB, {place}", size, bar, is_at_most=True))
    return table(("what", "figure", "goal", "reached"), rows)


def _goal(name: str, figure: float, bar: float, *, is_at_most: bool) -> tuple[str, str, str, str]:
    is_reached = figure <= bar if is_at_most else figure >= bar
    return (
        name,
        f"{figure:.2f}",
        f"{'at most' if is_at_most else 'at least'} {bar:g}",
        "yes" if is_reached else "no",
    )
