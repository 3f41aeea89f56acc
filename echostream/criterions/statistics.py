"""Loss statistics that add up over batches and workers, and the metrics made of them.

Each entry of a logging output is a sum; its key says of what: `sum/<metric>` and `count/<metric>` for a mean
in bits, `part/<metric>` and `whole/<metric>` for a percentage, `number/<metric>` for a plain count.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from fairseq import utils
from fairseq.logging import metrics
from torch import Tensor

Value = float | int | Tensor


class Statistics:
    """Sums of one batch by key; adding the same key again adds up."""

    def __init__(self) -> None:
        self.sums: dict[str, Any] = {}

    def _add(self, key: str, value: Value) -> None:
        detached = value.detach() if isinstance(value, Tensor) else value
        self.sums[key] = self.sums[key] + detached if key in self.sums else detached

    def add_mean(self, metric: str, total: Value, count: Value) -> None:
        """A loss in nats over `count` items."""
        self._add(f"sum/{metric}", total)
        self._add(f"count/{metric}", count)

    def add_rate(self, metric: str, part: Value, whole: Value) -> None:
        """A percentage."""
        self._add(f"part/{metric}", part)
        self._add(f"whole/{metric}", whole)

    def add_number(self, metric: str, number: Value) -> None:
        """A count; it becomes a metric only where it is not zero."""
        self._add(f"number/{metric}", number)

    def merge(self, other: "Statistics", suffix: str = "") -> None:
        """Add another batch's sums, with a suffix to each metric's name."""
        for key, value in other.sums.items():
            self._add(key + suffix, value)


def _total(outputs: Iterable[Mapping[str, Any]], key: str) -> float:
    return float(utils.item(sum(output.get(key, 0) for output in outputs)))


def log_metrics(outputs: list[dict[str, Any]]) -> None:
    """Log every metric that the outputs hold, losses in base 2 as everywhere in fairseq."""
    keys = {key: None for output in outputs for key in output if "/" in key}
    for key in keys:
        kind, metric = key.split("/", maxsplit=1)
        value = _total(outputs, key)
        if kind == "sum":
            count = _total(outputs, f"count/{metric}")
            if count > 0:
                metrics.log_scalar(metric, value / count / math.log(2), count, round=3)
        elif kind == "part":
            whole = _total(outputs, f"whole/{metric}")
            if whole > 0:
                metrics.log_scalar(metric, 100.0 * value / whole, whole, round=2)
        elif kind == "number" and value > 0:
            metrics.log_scalar_sum(metric, value, round=0)
