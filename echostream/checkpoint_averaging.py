"""Average the weights of several checkpoints: `python -m echostream.checkpoint_averaging`.

The flags are those of fairseq's `scripts/average_checkpoints.py`, which its packages leave out; unlike that
script this one runs no code of a checkpoint.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from echostream.compat import CheckpointError, load_checkpoint

_EPOCH_NAME = re.compile(r"checkpoint(\d+)\.pt")
_UPDATE_NAME = re.compile(r"checkpoint_\d+_(\d+)\.pt")


def average_checkpoints(paths: Sequence[Path]) -> dict[str, Any]:
    """Mean of the weights of checkpoints of one model.

    Floating-point weights are averaged in float32 and keep their type; others (counters) are the last
    one's. Tied weights stay equal. The optimizer's state is left out, since it belongs to no average.

    Args:
        paths: at least one checkpoint; the last one gives everything but the weights.
    Returns:
        A checkpoint to save.
    Raises:
        FileNotFoundError: for a missing file.
        CheckpointError: for a corrupt file, or when names or shapes differ.
    """
    if not paths:
        raise ValueError("there is no checkpoint to average")
    sums: dict[str, Tensor] = {}
    state: dict[str, Any] = {}
    for path in paths:
        state = load_checkpoint(path)
        weights = state.get("model")
        if not isinstance(weights, dict):
            raise CheckpointError(f"{path}: not a fairseq checkpoint: it holds no model")
        if not sums:
            sums = {name: torch.zeros_like(weight, dtype=torch.float32) for name, weight in weights.items()}
        _check_same_model(path, paths[0], weights, sums)
        for name, weight in weights.items():
            sums[name] += weight.float()
    averaged = {}
    for name, weight in state["model"].items():
        mean = sums[name] / len(paths)
        averaged[name] = mean.to(weight.dtype) if weight.is_floating_point() else weight
    state["model"] = averaged
    state.pop("last_optimizer_state", None)
    return state


def _check_same_model(path: Path, first: Path, weights: dict[str, Tensor], sums: dict[str, Tensor]) -> None:
    differing = sorted(set(weights) ^ set(sums))
    differing += [name for name in weights if name in sums and weights[name].shape != sums[name].shape]
    if differing:
        raise CheckpointError(
            f"{path}: not the same model as {first}: {len(differing)} weights differ in name or shape, such "
            f"as {differing[0]}"
        )


def last_checkpoints(
    folder: Path, count: int, *, by_update: bool, upper_bound: int | None = None
) -> list[Path]:
    """The newest `count` epoch checkpoints (checkpoint7.pt) or update checkpoints (checkpoint_7_14000.pt).

    Args:
        folder: where they are.
        count: how many.
        by_update: update checkpoints instead of epoch checkpoints.
        upper_bound: leave out epochs, or updates, beyond this number.
    Returns:
        Paths, the oldest first.
    Raises:
        FileNotFoundError: when there are fewer.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of checkpoints")
    pattern = _UPDATE_NAME if by_update else _EPOCH_NAME
    found = []
    for path in folder.iterdir():
        match = pattern.fullmatch(path.name)
        if match is not None and (upper_bound is None or int(match[1]) <= upper_bound):
            found.append((int(match[1]), path))
    if len(found) < count:
        kind = "update" if by_update else "epoch"
        raise FileNotFoundError(
            f"{folder}: {count} {kind} checkpoints were asked for, but {len(found)} are there"
        )
    return [path for _, path in sorted(found)[-count:]]


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m echostream.checkpoint_averaging", description=__doc__)
    parser.add_argument("--inputs", nargs="+", required=True, help="checkpoints, or one folder of them")
    parser.add_argument("--output", required=True, help="where the averaged checkpoint goes")
    number = parser.add_mutually_exclusive_group()
    number.add_argument(
        "--num-epoch-checkpoints", type=int, metavar="N", help="average the last N epochs' ones"
    )
    number.add_argument(
        "--num-update-checkpoints", type=int, metavar="N", help="average the last N updates' ones"
    )
    parser.add_argument(
        "--checkpoint-upper-bound", type=int, metavar="N", help="leave out epochs, or updates, beyond N"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Average as the command line says.

    Raises:
        SystemExit: with the reason, for bad arguments or files.
    """
    parser = build_parser()
    args = parser.parse_args(arguments)
    paths = [Path(name) for name in args.inputs]
    by_update = args.num_update_checkpoints is not None
    count = args.num_update_checkpoints if by_update else args.num_epoch_checkpoints
    try:
        if count is not None:
            if len(paths) != 1 or count < 1:
                parser.error(
                    "--num-epoch-checkpoints and --num-update-checkpoints take one folder and N >= 1"
                )
            paths = last_checkpoints(
                paths[0], count, by_update=by_update, upper_bound=args.checkpoint_upper_bound
            )
        elif args.checkpoint_upper_bound is not None:
            parser.error("--checkpoint-upper-bound needs --num-epoch-checkpoints or --num-update-checkpoints")
        state = average_checkpoints(paths)
    except (FileNotFoundError, CheckpointError) as error:
        sys.exit(f"error: {error}")
    torch.save(state, args.output)
    print(f"averaged {', '.join(map(str, paths))} into {args.output}")


if __name__ == "__main__":
    main()
