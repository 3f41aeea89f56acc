"""How a function that repairs another is told from the original."""

from collections.abc import Callable
from typing import Any

_MARK = "_echostream_repair"


def mark(repaired: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a repair made with `functools.wraps`."""
    setattr(repaired, _MARK, True)
    return repaired


def is_repaired(function: Callable[..., Any]) -> bool:
    """Whether `function` is one of the repairs; the original is its `__wrapped__`."""
    return hasattr(function, _MARK)
