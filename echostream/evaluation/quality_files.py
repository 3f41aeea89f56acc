"""What stands beside scores.tsv for each measure of quality: the score in full and how it came about."""

import json
from pathlib import Path


def quality_file(folder: Path, metric: str) -> Path:
    """The file of a metric: `bleu.json`, `asr_bleu.json`."""
    return folder / f"{metric.lower()}.json"


def write_quality(
    folder: Path, metric: str, *, score: float, signature: str, **notes: str | float | int
) -> None:
    """Keep a score with its signature and whatever else one must know to compare it."""
    content = {"score": score, "signature": signature, **notes}
    quality_file(folder, metric).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
