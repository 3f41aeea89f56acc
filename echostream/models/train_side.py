"""Training of one side of a two-pass model: text first, then units on a text side that stays as it is."""

from collections.abc import Iterable

from torch import nn

TRAIN_SIDES = ("both", "text", "units")
"""What is trained. Text: encoder, CTC heads and MT decoder; units: text-to-unit encoder and unit decoder."""


def frozen_modules(
    side: str, modules: Iterable[nn.Module], unit_side: Iterable[nn.Module]
) -> list[nn.Module]:
    """Return what is not trained.

    Args:
        side: of `TRAIN_SIDES`.
        modules: all parts of the model.
        unit_side: those of them that belong to the unit side.
    """
    if side == "both":
        return []
    units = list(unit_side)
    if side == "text":
        return units
    return [module for module in modules if all(module is not unit for unit in units)]
