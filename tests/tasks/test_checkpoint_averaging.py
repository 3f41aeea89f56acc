"""Averaging of checkpoints: which files, which weights, and clear errors."""

from pathlib import Path
from typing import Any

import pytest
import torch

from echostream.checkpoint_averaging import average_checkpoints, last_checkpoints, main
from echostream.compat import CheckpointError, load_checkpoint


def save(path: Path, value: float, **weights: torch.Tensor) -> Path:
    state: dict[str, Any] = {
        "model": {
            "w": torch.full((2,), value),
            "half": torch.full((2,), value, dtype=torch.bfloat16),
            "count": torch.tensor(int(value)),
            **weights,
        },
        "cfg": {"arch": "echostream"},
        "extra_state": {"value": value},
        "last_optimizer_state": {"step": 1},
    }
    torch.save(state, path)
    return path


def test_mean_of_the_weights(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{number}.pt", value) for number, value in enumerate((1.0, 2.0, 6.0))]
    state = average_checkpoints(paths)
    assert state["model"]["w"].tolist() == [3.0, 3.0]
    assert state["model"]["half"].dtype == torch.bfloat16
    assert state["model"]["half"].tolist() == [3.0, 3.0]
    assert state["model"]["count"].item() == 6
    assert state["cfg"] == {"arch": "echostream"}
    assert state["extra_state"] == {"value": 6.0}
    assert "last_optimizer_state" not in state


def test_which_files(tmp_path: Path) -> None:
    for name in (
        "checkpoint2",
        "checkpoint10",
        "checkpoint9",
        "checkpoint_1_50",
        "checkpoint_2_100",
        "checkpoint_best",
    ):
        save(tmp_path / f"{name}.pt", 1.0)

    def names(count: int, *, by_update: bool, upper_bound: int | None = None) -> list[str]:
        paths = last_checkpoints(tmp_path, count, by_update=by_update, upper_bound=upper_bound)
        return [path.stem for path in paths]

    assert names(2, by_update=False) == ["checkpoint9", "checkpoint10"]
    assert names(2, by_update=False, upper_bound=9) == ["checkpoint2", "checkpoint9"]
    assert names(2, by_update=True) == ["checkpoint_1_50", "checkpoint_2_100"]
    with pytest.raises(FileNotFoundError, match="4 epoch checkpoints were asked for, but 3 are there"):
        names(4, by_update=False)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        last_checkpoints(tmp_path / "none", 1, by_update=False)


def test_other_models_are_refused(tmp_path: Path) -> None:
    first = save(tmp_path / "a.pt", 1.0)
    more = save(tmp_path / "b.pt", 1.0, extra=torch.zeros(1))
    shape = save(tmp_path / "c.pt", 1.0, w=torch.zeros(3))
    with pytest.raises(CheckpointError, match=r"b\.pt: not the same model .* such as extra"):
        average_checkpoints([first, more])
    with pytest.raises(CheckpointError, match=r"c\.pt: not the same model .* such as w"):
        average_checkpoints([first, shape])
    torch.save({"generator": {}}, tmp_path / "d.pt")
    with pytest.raises(CheckpointError, match="holds no model"):
        average_checkpoints([tmp_path / "d.pt"])
    with pytest.raises(ValueError, match="no checkpoint to average"):
        average_checkpoints([])


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = [str(save(tmp_path / f"checkpoint_1_{step}.pt", float(step))) for step in (10, 20, 40)]
    output = str(tmp_path / "out.pt")
    main(["--inputs", *inputs[:2], "--output", output])
    assert load_checkpoint(output)["model"]["w"].tolist() == [15.0, 15.0]
    bound = ["--num-update-checkpoints", "2", "--checkpoint-upper-bound", "20"]
    main(["--inputs", str(tmp_path), "--output", output, *bound])
    assert load_checkpoint(output)["model"]["w"].tolist() == [15.0, 15.0]
    assert "averaged" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"none\.pt: no such checkpoint"):
        main(["--inputs", str(tmp_path / "none.pt"), "--output", output])
    for bad in (["--num-epoch-checkpoints", "0"], ["--checkpoint-upper-bound", "3"]):
        with pytest.raises(SystemExit) as caught:
            main(["--inputs", str(tmp_path), "--output", output, *bad])
        assert caught.value.code == 2
