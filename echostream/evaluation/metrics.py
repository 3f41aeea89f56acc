"""Metrics as reports show them: units, directions, and the two kinds of latency."""

from dataclasses import dataclass

from echostream.evaluation.results import AWARE_SUFFIX

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
PROCESSING = "ProcessingRTF"
"""Time of computing over the length of the source; never ideal, so it has no suffix."""
LOWER_IS_BETTER = frozenset({"WER"})
"""Of the metrics of quality; more is better in the others."""


@dataclass(frozen=True)
class Kind:
    """Ideal or computation-aware latencies.

    Args:
        name: for files.
        title: for headings.
        suffix: of the metrics' names.
        explanation: what they mean.
        metrics: columns of scores.tsv, in the order of the report.
    """

    name: str
    title: str
    suffix: str
    explanation: str
    metrics: tuple[str, ...]


IDEAL = Kind("ideal", "Ideal latencies", "", "As if computing took no time.", tuple(UNITS))
AWARE = Kind(
    "computation_aware",
    "Computation-aware latencies",
    AWARE_SUFFIX,
    "With the time that computing took: they hold for the machine of the run.",
    (*(name + AWARE_SUFFIX for name in UNITS), PROCESSING),
)


def with_unit(metric: str) -> str:
    """A latency metric, with or without the suffix of its kind, and its unit."""
    unit = UNITS.get(metric.removesuffix(AWARE_SUFFIX))
    return f"{metric} ({unit})" if unit else metric


def digits(metric: str) -> int:
    """Decimals that a metric is shown with: none of milliseconds, two of others."""
    return 0 if UNITS.get(metric.removesuffix(AWARE_SUFFIX)) == "ms" else 2
