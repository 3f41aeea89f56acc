"""The settings of the corpus that the tests build."""

from pathlib import Path
from typing import Any

from echostream.corpus.mini import MiniConfig

TINY_SIZES = {"train": 8, "dev": 2, "test": 2, "test_hard": 3}


def tiny_config(output: Path, **changes: Any) -> MiniConfig:
    """A configuration of a few sentences, with changes."""
    settings: dict[str, Any] = {"sizes": TINY_SIZES, "num_units": 20, "vocab_size": 60, **changes}
    return MiniConfig(output=output, **settings)
