"""Training of one side: the other stays as it is, bit by bit."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from echostream.compat import load_checkpoint
from tests.data.tiny_corpus import TinyCorpus, build
from tests.tasks.fairseq_commands import ARCHITECTURES, train

UPDATES = ["--max-update", "4", "--save-interval-updates", "1", "--no-epoch-checkpoints"]
TEXT_TERMS = {"mt_loss", "asr_ctc_loss", "st_ctc_loss"}
UNIT_TERMS = {"unit_ctc_loss"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> TinyCorpus:
    return build(tmp_path_factory.mktemp("corpus") / "data", num_sentences=6)


def weights(folder: Path, update: int) -> dict[str, Tensor]:
    (path,) = [*folder.glob(f"checkpoint_*_{update}.pt")] or [folder / "checkpoint_last.pt"]
    state = load_checkpoint(path)
    assert state["optimizer_history"][-1]["num_updates"] == update
    found: dict[str, Tensor] = state["model"]
    return found


def changed(first: dict[str, Tensor], second: dict[str, Tensor]) -> set[str]:
    """The sides that differ."""
    names = {name for name, weight in first.items() if not torch.equal(weight, second[name])}
    unit_side = ("synthesizer_encoder.", "decoder.")
    return {"units" if name.startswith(unit_side) else "text" for name in names}


def terms(records: list[dict[str, Any]]) -> set[str]:
    """The losses that training and validation log."""
    logged = {name.removeprefix("dev_") for record in records for name in record}
    return logged & (TEXT_TERMS | UNIT_TERMS)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_text_first_and_then_units(corpus: TinyCorpus, tmp_path: Path, arch: str) -> None:
    text, units = tmp_path / "text", tmp_path / "units"
    assert terms(train(corpus.root, text, arch, "--train-side", "text", *UPDATES)) == TEXT_TERMS
    assert changed(weights(text, 1), weights(text, 4)) == {"text"}

    trained = str(text / "checkpoint_last.pt")
    flags = ["--train-side", "units", "--finetune-from-model", trained, *UPDATES]
    assert terms(train(corpus.root, units, arch, *flags)) == UNIT_TERMS
    assert changed(weights(text, 4), weights(units, 4)) == {"units"}

    resumed = tmp_path / "resumed"
    resumed.mkdir()
    (half,) = units.glob("checkpoint_*_2.pt")
    (resumed / "checkpoint_last.pt").write_bytes(half.read_bytes())
    train(corpus.root, resumed, arch, *flags)
    assert not changed(weights(units, 4), weights(resumed, 4))


def test_units_need_a_trained_text_side(corpus: TinyCorpus, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name its checkpoint by --finetune-from-model"):
        train(corpus.root, tmp_path, "echostream", "--train-side", "units", *UPDATES)
