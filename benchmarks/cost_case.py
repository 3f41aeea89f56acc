"""One system on speech of one length at one chunk size, in a process of its own: prints one JSON object.

`benchmarks/streaming_cost.py` starts it. What a recomputed stream costs grows with the square of its length
and more; a long one is therefore sampled: chunks spread over the length are run for real, each from the state
that its predecessors would have left, and the costs of the chunks between them are interpolated linearly,
separately for chunks that write 0, 1 and 2 subwords.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.forced_writing import SAMPLE_RATE, SYSTEMS, ForcedTranslator, num_due_subwords
from benchmarks.random_models import SIZES, ModelSize, random_model, random_vocoder
from benchmarks.stage_meter import (
    REST,
    STAGES,
    StageMeter,
    StepCost,
    clock,
    peak_memory_bytes,
    reset_peak_memory,
    resident_memory_bytes,
)
from echostream.inference.session import Session

Samples = npt.NDArray[np.float32]
WARM_UP_CHUNKS = 6
MINUTE_MS = 60000
SYLLABLE_HZ = 4.0


@dataclass(frozen=True)
class Case:
    """What is measured.

    Args:
        system: name of one of `SYSTEMS`.
        seconds: length of the speech.
        chunk_ms: source audio between two decisions.
        num_samples: chunks of a kind that are run for real; 0: every chunk is run.
        threads: of torch.
        device: of the model.
    """

    system: str
    seconds: int
    chunk_ms: int
    num_samples: int = 0
    threads: int = 1
    device: str = "cpu"

    @property
    def chunk_samples(self) -> int:
        """Samples of a chunk."""
        return self.chunk_ms * SAMPLE_RATE // 1000

    @property
    def num_chunks(self) -> int:
        """Whole chunks of the speech."""
        return self.seconds * SAMPLE_RATE // self.chunk_samples

    def num_new_subwords(self, index: int) -> int:
        """Subwords that chunk `index`, from 0, writes."""
        return num_due_subwords((index + 1) * self.chunk_ms) - num_due_subwords(index * self.chunk_ms)


def speech_like_noise(seconds: float, seed: int = 0) -> Samples:
    """White noise whose level rises and falls four times a second, `[n]` at 16 kHz."""
    num_samples = round(seconds * SAMPLE_RATE)
    noise = np.random.default_rng(seed).standard_normal(num_samples, dtype=np.float32)
    time_s = np.arange(num_samples, dtype=np.float32) / SAMPLE_RATE
    level = 0.06 + 0.04 * np.sin(2 * np.pi * SYLLABLE_HZ * time_s)
    return (noise * level).astype(np.float32)


def measure(case: Case, size: ModelSize) -> dict[str, Any]:
    """Build the system, run it, and return what it cost.

    Args:
        case: what is measured.
        size: of the model.
    Returns:
        what `benchmarks/cost_tables.py` shows, as JSON has it; times in seconds.
    """
    torch.set_num_threads(case.threads)
    system = SYSTEMS[case.system]
    translator = ForcedTranslator(
        random_model(system.arch, size, case.device),
        random_vocoder(size, case.device),
        is_recomputed=system.is_recomputed,
    )
    read, clock_name = clock(case.device, case.threads)
    run = CostRun(case, translator, read)
    run.warm_up()
    before_bytes = resident_memory_bytes()
    reset_peak_memory()
    costs = run.sampled() if case.num_samples else run.complete()
    result = {
        **asdict(case),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "clock": clock_name,
        "is_sampled": case.num_samples > 0,
        **summary(case, costs),
        "encoder_state_bytes": run.encoder_state_bytes,
        "session_state_bytes": run.session_state_bytes,
        "model_bytes": before_bytes,
        "peak_bytes": peak_memory_bytes(),
    }
    if case.device != "cpu":
        result["peak_device_bytes"] = torch.cuda.max_memory_allocated(case.device)
    return result


class CostRun:
    """Runs the steps of a case.

    Args:
        case: what is measured.
        translator: makes its sessions.
        read: the clock.
    """

    def __init__(self, case: Case, translator: ForcedTranslator, read: Any) -> None:
        self.case = case
        self.translator = translator
        self.read = read
        self.source = speech_like_noise(case.seconds)
        self.encoder_state_bytes: int | None = None
        self.session_state_bytes = 0

    def warm_up(self) -> None:
        """Run a short stream, so that what torch does once is not measured."""
        session = self.translator.start(self.case.chunk_ms)
        session.step(speech_like_noise(WARM_UP_CHUNKS * self.case.chunk_ms / 1000, seed=1), is_final=True)

    def complete(self) -> list[StepCost]:
        """Cost of every step: each chunk, and the end."""
        size = self.case.chunk_samples
        meter = StageMeter(self.translator.start(self.case.chunk_ms), self.read)
        costs = []
        for index in range(self.case.num_chunks):
            costs.append(meter.step(self.source[index * size : (index + 1) * size]))
            self._note_state(meter.session)
        costs.append(meter.step(self.source[self.case.num_chunks * size :], is_final=True))
        return costs

    def sampled(self) -> list[StepCost]:
        """Cost of every step, most of them interpolated; see the module's documentation."""
        costs: dict[int, StepCost] = {}
        for indices in self._chunks_by_subwords().values():
            known = {index: self._step_at(index) for index in spread(indices, self.case.num_samples)}
            costs.update(interpolate(known, indices))
        end = self._step_at(self.case.num_chunks, is_final=True)
        return [*(costs[index] for index in range(self.case.num_chunks)), end]

    def _chunks_by_subwords(self) -> Mapping[int, Sequence[int]]:
        """Chunks by how many subwords they write."""
        groups: dict[int, list[int]] = {}
        for index in range(self.case.num_chunks):
            groups.setdefault(self.case.num_new_subwords(index), []).append(index)
        return groups

    def _step_at(self, index: int, *, is_final: bool = False) -> StepCost:
        size = self.case.chunk_samples
        heard = torch.from_numpy(self.source[: index * size].copy())
        meter = StageMeter(self.translator.start_after(self.case.chunk_ms, heard), self.read)
        cost = meter.step(self.source[index * size : (index + 1) * size], is_final=is_final)
        self._note_state(meter.session)
        return cost

    def _note_state(self, session: Session) -> None:
        state = session.state
        self.session_state_bytes = max(self.session_state_bytes, state.num_bytes)
        encoder = getattr(state.pipeline, "encoder", None)
        if encoder is not None:
            self.encoder_state_bytes = max(self.encoder_state_bytes or 0, encoder.num_bytes)


def spread(indices: Sequence[int], count: int) -> list[int]:
    """At most `count` of the indices, evenly spread, the first and the last among them."""
    positions = np.linspace(0, len(indices) - 1, min(count, len(indices))).round().astype(int)
    return [indices[position] for position in positions]


def interpolate(known: Mapping[int, StepCost], indices: Sequence[int]) -> dict[int, StepCost]:
    """Costs of all steps between those that are known."""
    positions = list(known)

    def line(values: Sequence[float]) -> list[float]:
        return [float(value) for value in np.interp(indices, positions, values)]

    totals, walls = (
        line([cost.total for cost in known.values()]),
        line([cost.wall_s for cost in known.values()]),
    )
    stages = {name: line([cost.stages[name] for cost in known.values()]) for name in (*STAGES, REST)}
    return {
        index: StepCost(
            totals[number], walls[number], {name: values[number] for name, values in stages.items()}
        )
        for number, index in enumerate(indices)
    }


def summary(case: Case, costs: Sequence[StepCost]) -> dict[str, Any]:
    """Sums of all steps of a case, and percentiles of those that write, in the first and the last minute."""
    total_s = sum(cost.total for cost in costs)
    steps = [cost.total for cost in costs[:-1]]
    minute = min(len(steps), max(1, MINUTE_MS // case.chunk_ms))
    # Which steps write depends on where text segments began; a step that only reads decodes no text.
    first, last = (
        percentiles([cost.total for cost in part if cost.stages["text"] > 0])
        for part in (costs[:minute], costs[len(steps) - minute : len(steps)])
    )
    return {
        "num_steps": len(costs),
        "total_s": total_s,
        "wall_s": sum(cost.wall_s for cost in costs),
        "real_time_factor": total_s / case.seconds,
        "stages_s": {name: sum(cost.stages[name] for cost in costs) for name in (*STAGES, REST)},
        "last_step_s": costs[-1].total,
        "first_minute": first,
        "last_minute": last,
        "p50_ratio": last["p50_s"] / first["p50_s"],
        "steps_s": [round(step, 5) for step in steps],
    }


def percentiles(steps_s: Sequence[float]) -> dict[str, float]:
    """The middle, and the slow end."""
    return {f"p{rank}_s": float(np.percentile(steps_s, rank)) for rank in (50, 95, 99)}


def main() -> None:
    """Measure the case of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--system", choices=list(SYSTEMS), required=True)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--chunk-ms", type=int, required=True)
    parser.add_argument("--num-samples", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", choices=list(SIZES), default="base")
    args = vars(parser.parse_args())
    size = SIZES[args.pop("size")]
    print(json.dumps(measure(Case(**args), size)))


if __name__ == "__main__":
    main()
