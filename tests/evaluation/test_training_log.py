"""Tables of training, from lines as fairseq-train prints them."""

import json
from pathlib import Path

import pytest

from echostream.evaluation.training_log import (
    LOSSES,
    TrainingLogError,
    log_table,
    main,
    read_training_log,
)


def line(name: str, values: dict[str, object]) -> str:
    texts = {key: value if key == "epoch" else str(value) for key, value in values.items()}
    return f"2026-11-27 22:19:31 | INFO | {name} | {json.dumps(texts)}\n"


def batch(update: int, seconds: int, batch_size: int) -> str:
    return line("train_inner", {"num_updates": update, "train_wall": seconds, "bsz": batch_size})


def validation(update: int, loss: float) -> str:
    losses = {f"dev_{name}_loss": loss + place for place, name in enumerate(LOSSES)}
    return line("dev", {"epoch": 1, **losses, "dev_num_updates": update})


def test_seconds_and_sentences_add_up_over_an_interruption(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    before = batch(100, 60, 10) + validation(100, 9.0) + batch(200, 50, 12)  # then it stopped, before saving
    again = batch(200, 55, 12) + batch(300, 65, 14) + validation(300, 4.5)
    path.write_text("a line of another kind\n" + before + again, encoding="utf-8")
    log = read_training_log(path, "ours")
    assert log.training_s == {100: 60, 200: 115, 300: 180}
    assert log.sentences == {100: 1000, 200: 2200, 300: 3600}
    assert log.dev[300] == {"asr_ctc": 4.5, "st_ctc": 5.5, "mt": 6.5, "unit_ctc": 7.5}
    assert "| 300 | 3 | 3600 | 4.500 | 5.500 | 6.500 | 7.500 |" in log_table(log)


def test_command_line_writes_table_and_curves(tmp_path: Path) -> None:
    path = tmp_path / "one" / "train.log"
    path.parent.mkdir()
    path.write_text(batch(100, 60, 10) + validation(100, 9.0), encoding="utf-8")
    main([str(path), str(path), "--names", "one", "two", "--output", str(tmp_path)])
    text = (tmp_path / "training.md").read_text(encoding="utf-8")
    assert text.count("## one") == text.count("## two") == 1
    assert (tmp_path / "training.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit, match="1 names for 2 logs"):
        main([str(path), str(path), "--names", "one", "--output", str(tmp_path)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing of it\n", "no validation"),
        ('… | dev | {"dev_num_updates": "3"}\n', "line 1: not a line of fairseq's log"),
        ('… | train_inner | {"num_updates": 3\n', "no validation"),
        ('… | dev | {"a": }\n', "line 1"),
    ],
)
def test_a_log_that_cannot_be_read_is_an_error(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TrainingLogError, match=message):
        read_training_log(path, "ours")
