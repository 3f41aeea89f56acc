"""What streaming costs, for speech of several lengths and chunk sizes, for three systems side by side.

    python benchmarks/streaming_cost.py --output docs/streaming_cost

`echostream` and `streamspeech` run incrementally, `streamspeech-recompute` runs every stage from the start at
every chunk, as the public agent does. All write at the same rate (`benchmarks/forced_writing.py`). Every
figure is taken in a process of its own, the systems in turn. Recomputed streams longer than
--longest-complete are sampled (`benchmarks/cost_case.py`), those longer than --longest-recomputed are not
run. The folder gets results.json, table.md, step_time.png and real_time_factor.png, after each case anew.

    python benchmarks/streaming_cost.py --count-work --output docs/streaming_cost

counts operations in place of time: work.json and work.md.
"""

import argparse
import json
import os
import queue
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.cost_case import Case
from benchmarks.cost_plots import plot_real_time_factors, plot_step_times
from benchmarks.cost_tables import cost_page, work_page
from benchmarks.forced_writing import SYSTEMS, ForcedTranslator, longest_segment_ms
from benchmarks.random_models import SIZES, random_model, random_vocoder
from benchmarks.stage_meter import machine
from benchmarks.work_count import count_operations

NUM_WORK_SEGMENTS = 4


def numbers(text: str) -> list[int]:
    """Read "1,5,10"."""
    return [int(item) for item in text.split(",")]


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the results; made if needed")
    parser.add_argument(
        "--seconds", type=numbers, default=[1, 5, 10, 30, 60, 600], help="lengths of the speech"
    )
    parser.add_argument("--chunks-ms", type=numbers, default=[160, 320, 640], help="chunk sizes")
    parser.add_argument("--systems", type=lambda text: text.split(","), default=list(SYSTEMS))
    parser.add_argument("--size", choices=list(SIZES), default="base", help="of the models")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--samples", type=int, default=16, help="chunks of a kind that a sampled run takes")
    parser.add_argument(
        "--longest-complete", type=int, default=10, help="s; longer recomputed runs are sampled"
    )
    parser.add_argument("--longest-recomputed", type=int, default=60, help="s; longer ones are not run")
    parser.add_argument(
        "--jobs", type=int, default=1, help="cases at a time, each on a processor core of its own"
    )
    parser.add_argument("--count-work", action="store_true", help="count operations in place of time")
    args = parser.parse_args(arguments)
    unknown = set(args.systems) - set(SYSTEMS)
    if unknown:
        parser.error(f"unknown systems {sorted(unknown)}; there are {', '.join(SYSTEMS)}")
    return args


def cases(args: argparse.Namespace) -> Iterator[Case]:
    """What is measured, the systems in turn; the longest complete recomputed run is sampled as well."""
    checked = max((item for item in args.seconds if item <= args.longest_complete), default=0)
    for seconds in args.seconds:
        for chunk_ms in args.chunks_ms:
            for name in args.systems:
                case = Case(name, seconds, chunk_ms, threads=args.threads, device=args.device)
                if not SYSTEMS[name].is_recomputed or seconds <= args.longest_complete:
                    yield case
                if SYSTEMS[name].is_recomputed and checked <= seconds <= args.longest_recomputed:
                    yield replace(case, num_samples=args.samples)


def run_case(case: Case, size: str, cores: "queue.Queue[int] | None" = None) -> dict[str, Any]:
    """Measure a case in a process of its own; with cores to choose from, on one that is free.

    Raises:
        RuntimeError: when the process fails, with what it said.
    """
    core = None if cores is None else cores.get()
    try:
        return _run_on_core(case, size, core)
    finally:
        if cores is not None and core is not None:
            cores.put(core)


def _run_on_core(case: Case, size: str, core: int | None) -> dict[str, Any]:
    command = [] if core is None else ["taskset", "--cpu-list", str(core)]
    command += [sys.executable, str(Path(__file__).with_name("cost_case.py")), "--size", size]
    for name, value in asdict(case).items():
        command += ["--" + name.replace("_", "-"), str(value)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(case.threads)}
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{process.stderr[-4000:]}")
    result: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return result


def settings(args: argparse.Namespace) -> dict[str, Any]:
    """What a page says about its run."""
    return {
        **machine(),
        "size": args.size,
        "threads": args.threads,
        "jobs": args.jobs,
        "device": args.device,
        "date": datetime.now(UTC).date().isoformat(),
        "longest_recomputed_s": args.longest_recomputed,
    }


def write_results(folder: Path, run: dict[str, Any], results: list[dict[str, Any]]) -> None:
    """Write JSON, table and plots of what there is."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(result) for result in results)
    (folder / "results.json").write_text(f'{{"run": {json.dumps(run)},\n"results": [\n{lines}\n]}}\n')
    (folder / "table.md").write_text(cost_page(run, results), encoding="utf-8")
    plot_step_times(results, folder / "step_time.png")
    plot_real_time_factors(results, folder / "real_time_factor.png")


def measure_costs(args: argparse.Namespace) -> None:
    """Run all cases."""
    run, results = settings(args), []
    cores: queue.Queue[int] | None = None
    if args.jobs > 1:
        cores = queue.Queue()
        for core in sorted(os.sched_getaffinity(0))[: args.jobs]:
            cores.put(core)
    all_cases = list(cases(args))
    with ThreadPoolExecutor(max_workers=args.jobs) as pool:
        for case, result in zip(
            all_cases, pool.map(lambda case: run_case(case, args.size, cores), all_cases), strict=True
        ):
            results.append(result)
            print(
                f"{case.system}, {case.seconds} s, {case.chunk_ms} ms chunks: {result['total_s']:.2f} s, "
                f"real-time factor {result['real_time_factor']:.2f}"
                + (", sampled" if result["is_sampled"] else ""),
                flush=True,
            )
            write_results(args.output, run, results)
    print(f"written to {args.output}")


def count_work(args: argparse.Namespace) -> None:
    """Count the operations of the incremental systems, text segment by text segment."""
    counts: list[dict[str, Any]] = []
    size = SIZES[args.size]
    for name in args.systems:
        if SYSTEMS[name].is_recomputed:
            continue
        translator = ForcedTranslator(random_model(SYSTEMS[name].arch, size), random_vocoder(size))
        for chunk_ms in args.chunks_ms:
            segment_ms = longest_segment_ms(chunk_ms)
            print(
                f"{name}, {chunk_ms} ms chunks, {NUM_WORK_SEGMENTS} segments of {segment_ms} ms …", flush=True
            )

            def start(translator: ForcedTranslator = translator, chunk_ms: int = chunk_ms) -> Any:
                return translator.start(chunk_ms)

            segments = count_operations(start, chunk_ms, NUM_WORK_SEGMENTS, segment_ms)
            counts.append(
                {"system": name, "chunk_ms": chunk_ms, "segment_ms": segment_ms, "segments": segments}
            )
    run = settings(args)
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "work.json").write_text(json.dumps({"run": run, "counts": counts}, indent=1) + "\n")
    (args.output / "work.md").write_text(work_page(run, counts), encoding="utf-8")
    print(f"written to {args.output}")


def main(arguments: list[str] | None = None) -> int:
    """Measure or count; a case that fails ends the run, with what there is kept."""
    args = parse_arguments(arguments)
    try:
        (count_work if args.count_work else measure_costs)(args)
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
