"""What each stage of a session's step costs, in time or in operations, and memory as Linux tells it."""

import functools
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from echostream.inference.session import Session

STAGES = ("fbank", "encoder", "heads", "text", "units", "vocoder")
REST = "rest"
"""What a step does beside its stages: cutting chunks, the policy, words."""

# The method of a pipeline that is a stage; of two for the heads, the first that there is holds all their work
# (in the incremental pipeline also the projection of encoder frames for the text decoder's attention).
_METHODS: dict[str, tuple[str, ...]] = {
    "fbank": ("_extract",),
    "encoder": ("_encode",),
    "heads": ("_take_frames", "_recognise"),
    "text": ("extend_text",),
    "units": ("extend_units",),
    "vocoder": ("speak",),
}


@dataclass
class StepCost:
    """Cost of one step.

    Args:
        total: of the whole step.
        wall_s: by the wall clock.
        stages: of each stage, and of the rest.
    """

    total: float
    wall_s: float
    stages: dict[str, float] = field(default_factory=dict)


class StageMeter:
    """Reads a counter before and after each stage of a session's steps.

    Args:
        session: whose pipeline's methods are wrapped.
        read: the counter, which only grows; `clock` for time.
    """

    def __init__(self, session: Session, read: Callable[[], float]) -> None:
        self.session = session
        self.read = read
        self._stages = dict.fromkeys(STAGES, 0.0)
        pipeline = session._pipeline
        for stage, names in _METHODS.items():
            name = next(name for name in names if hasattr(pipeline, name))
            setattr(pipeline, name, self._measured(stage, getattr(pipeline, name)))

    def _measured(self, stage: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def measured(*args: Any, **kwargs: Any) -> Any:
            before = self.read()
            result = method(*args, **kwargs)
            self._stages[stage] += self.read() - before
            return result

        return measured

    def step(self, samples: npt.ArrayLike, *, is_final: bool = False) -> StepCost:
        """Run one step of the session."""
        self._stages = dict.fromkeys(STAGES, 0.0)
        wall, before = time.perf_counter(), self.read()
        self.session.step(samples, is_final=is_final)
        total = self.read() - before
        wall_s = time.perf_counter() - wall
        return StepCost(total, wall_s, {**self._stages, REST: total - sum(self._stages.values())})


def clock(device: str, num_threads: int) -> tuple[Callable[[], float], str]:
    """The clock to measure with, and what it is: on one thread processor time, which other programs on the
    machine do not lengthen much; otherwise the wall clock, which waits for the device.
    """
    if device == "cpu" and num_threads == 1:
        return time.process_time, "processor time"

    def wall() -> float:
        if device != "cpu":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    return wall, "wall clock"


def reset_peak_memory() -> None:
    """Start the measurement of peak resident memory anew."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_memory_bytes() -> int:
    """Peak resident memory since `reset_peak_memory`."""
    return _status_bytes("VmHWM")


def resident_memory_bytes() -> int:
    """Resident memory now."""
    return _status_bytes("VmRSS")


def _status_bytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {name}")


def machine() -> dict[str, str]:
    """What the figures were taken on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.machine()
    return {"cpu": name, "torch": torch.__version__, "python": platform.python_version()}
