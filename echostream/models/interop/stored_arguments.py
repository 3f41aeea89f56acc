"""The arguments that fairseq keeps in a checkpoint, whichever way it stored them."""

from argparse import Namespace
from collections.abc import Iterator
from typing import Any


def settings_of(node: Any) -> dict[str, Any] | None:
    """Return the dictionary behind a namespace or a dictionary, not a copy; None for anything else."""
    if isinstance(node, Namespace):
        return vars(node)
    return node if isinstance(node, dict) else None


def stored_arguments(state: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the settings that a checkpoint holds by where they stand, such as ``cfg.model``.

    A checkpoint of fairseq before 0.10 has one namespace, ``args``; a later one has a section for each part.
    Changing these dictionaries changes the checkpoint.
    """
    found: dict[str, dict[str, Any]] = {}
    for root in ("args", "cfg"):
        settings = settings_of(state.get(root))
        if settings is not None:
            found |= dict(_sections(root, settings))
    return found


def _sections(where: str, settings: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield where, settings
    for name, value in settings.items():
        inner = settings_of(value)
        if inner is not None:
            yield from _sections(f"{where}.{name}", inner)


def model_arguments(state: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of the model; empty when the checkpoint has none."""
    stored = stored_arguments(state)
    return stored.get("cfg.model") or stored.get("args") or {}
