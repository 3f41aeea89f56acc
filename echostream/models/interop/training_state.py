"""What fairseq expects in a checkpoint beside weights and arguments."""

from typing import Any

EMPTY_HISTORY = {
    "criterion_name": "",
    "optimizer_name": "",
    "lr_scheduler_state": {},
    "num_updates": 0,
}
OPTIMIZER_STATE = "last_optimizer_state"


def complete_training_state(state: dict[str, Any], *, keep_optimizer: bool) -> list[str]:
    """Add what fairseq cannot load a checkpoint without, in place; return in words what was changed.

    Args:
        state: the checkpoint; stripped ones lack the history of the optimizer and the training's progress.
        keep_optimizer: whether the state of the optimizer, twice the size of the weights, stays.
    """
    changes = []
    for name, value in (
        ("args", None),
        ("optimizer_history", [dict(EMPTY_HISTORY)]),
        ("extra_state", {"train_iterator": {"epoch": 1}, "val_loss": None}),
        ("task_state", {}),
    ):
        if name not in state:
            state[name] = value
            changes.append(f"{name}: was not there; added, as of a training that has not begun")
    if not keep_optimizer and state.pop(OPTIMIZER_STATE, None) is not None:
        changes.append(f"{OPTIMIZER_STATE}: left out")
    return changes
