"""Training with a planted NaN: named, stopped or left out, and never learned from."""

import logging
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq.optim.dynamic_loss_scaler import DynamicLossScaler
from torch import Tensor, nn

from echostream.compat import load_checkpoint
from echostream.criterions import speech_to_unit_2pass_ctc_asr_st as criterion_module
from echostream.data import speech_to_speech_dataset
from echostream.data.source_features import load_source_features
from echostream.tasks.nonfinite_guard import NonFiniteError, NonFiniteGuard
from tests.data.tiny_corpus import TinyCorpus, build
from tests.tasks.fairseq_commands import train

Records = list[dict[str, Any]]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> TinyCorpus:
    return build(tmp_path_factory.mktemp("corpus") / "data")


def plant_utterance(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The features of one utterance are NaN, as after a transform that went wrong."""
    load = load_source_features

    def broken(location: str, *arguments: Any) -> Any:
        features = load(location, *arguments)
        return features * math.nan if location.endswith(f"{name}.wav") else features

    monkeypatch.setattr(speech_to_speech_dataset, "load_source_features", broken)


def plant_term(monkeypatch: pytest.MonkeyPatch, change: Callable[[Tensor], Tensor], call: int) -> None:
    """Change the text loss of one batch."""
    text_term = criterion_module.text_term
    calls = 0

    def broken(*arguments: Any, **options: Any) -> tuple[Tensor, Tensor]:
        nonlocal calls
        calls += 1
        loss, nll_loss = text_term(*arguments, **options)
        return (change(loss) if calls == call else loss), nll_loss

    monkeypatch.setattr(criterion_module, "text_term", broken)


def updates(records: Records) -> Records:
    return [record for record in records if record["logger"] == "train_inner"]


def test_stop_names_losses_utterances_and_checkpoint(
    corpus: TinyCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("--disable-validation", "--save-interval-updates", "1", "--no-epoch-checkpoints")
    train(corpus.root, tmp_path, "streamspeech", "--max-update", "2", *arguments)
    plant_utterance(monkeypatch, "s2")
    with pytest.raises(NonFiniteError) as caught:
        train(corpus.root, tmp_path, "streamspeech", "--max-update", "6", *arguments)
    message = str(caught.value)
    assert "loss not finite: " in message
    for name in ("unit_ctc_loss", "mt_loss", "asr_ctc_loss", "st_ctc_loss", "s2"):
        assert name in message
    assert f"The last good checkpoint is {tmp_path}/checkpoint_last.pt" in message
    assert "--on-nonfinite skip" in message
    weights = load_checkpoint(tmp_path / "checkpoint_last.pt")["model"].values()
    assert all(torch.isfinite(weight).all() for weight in weights)


@pytest.mark.parametrize("arch", ["streamspeech", "echostream"])
def test_skipped_updates_leave_no_trace(
    corpus: TinyCorpus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    arch: str,
) -> None:
    """Two updates an epoch, one with the bad utterance; validation has it too, so it is left out here."""
    plant_utterance(monkeypatch, "s2")
    with caplog.at_level(logging.WARNING, logger="echostream"):
        records = train(
            corpus.root, tmp_path, arch, "--max-update", "4", "--disable-validation", "--on-nonfinite", "skip"
        )
    assert [math.isnan(float(record["loss"])) for record in updates(records)].count(True) == 2
    assert [record["num_updates"] for record in updates(records)] == ["1", "2", "3", "4"]
    assert sum(int(record.get("nonfinite_skips", 0)) for record in updates(records)) == 2
    epochs = [record for record in records if record["logger"] == "train"]
    assert all(math.isfinite(float(epoch["train_loss"])) for epoch in epochs)
    assert "(2 of 10)" in caplog.text
    state = load_checkpoint(tmp_path / "checkpoint_last.pt")
    assert all(torch.isfinite(weight).all() for weight in state["model"].values())
    assert {int(entry["step"]) for entry in state["last_optimizer_state"]["state"].values()} == {2}


@pytest.mark.parametrize("precision", [[], ["--bf16"]])
def test_updates_beside_a_skipped_one_are_as_ever(
    corpus: TinyCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: list[str]
) -> None:
    """With a learning rate of nothing, update n has the same loss and gradient whatever came before."""
    arguments = ("--max-update", "4", "--disable-validation", "--lr", "1e-30", *precision)
    clean = updates(train(corpus.root, tmp_path / "clean", "echostream", *arguments))
    plant_utterance(monkeypatch, "s2")
    records = updates(
        train(corpus.root, tmp_path / "bad", "echostream", *arguments, "--on-nonfinite", "skip")
    )
    whole = [(one, other) for one, other in zip(records, clean, strict=True) if one["loss"] != "nan"]
    assert len(whole) == 2
    for one, other in whole:
        assert (one["loss"], one["gnorm"]) == (other["loss"], other["gnorm"])


def test_too_many_skips_stop(corpus: TinyCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant_utterance(monkeypatch, "s2")
    skip = ("--on-nonfinite", "skip", "--max-nonfinite-skips", "1", "--disable-validation")
    with pytest.raises(NonFiniteError, match="1 updates were left out before") as caught:
        train(corpus.root, tmp_path, "echostream", "--max-update", "9", *skip)
    assert "--max-nonfinite-skips" in str(caught.value)


def test_one_bad_term_is_named_alone(
    corpus: TinyCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_term(monkeypatch, lambda loss: loss * math.inf, call=2)
    with pytest.raises(NonFiniteError, match=r"update 2: loss not finite: mt_loss of \[s\d s\d\]\. "):
        train(corpus.root, tmp_path, "echostream", "--max-update", "3", "--disable-validation", "--bf16")


def test_bad_gradient_under_a_finite_loss(
    corpus: TinyCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The derivative of the square root at zero is infinite."""
    plant_term(monkeypatch, lambda loss: loss + (loss * 0).sqrt(), call=2)
    with pytest.raises(NonFiniteError, match="losses finite, gradient not: ") as caught:
        train(corpus.root, tmp_path, "echostream", "--max-update", "3", "--disable-validation")
    assert "encoder." in str(caught.value)
    assert "batches: [s" in str(caught.value)


class FakeOptimizer:
    """An optimiser of one weight with fairseq's loss scaler, or none."""

    def __init__(self, scaler: DynamicLossScaler | None = None) -> None:
        self.scaler = scaler
        self.norm = torch.tensor(1.0)
        self.num_zeroed = 0

    def clip_grad_norm(self, max_norm: float, aggregate_norm_fn: Any = None) -> Tensor:
        if self.scaler is not None:
            self.scaler.check_overflow(self.norm)
        return self.norm

    def zero_grad(self) -> None:
        self.num_zeroed += 1


def make_guard(*, skip: bool = False) -> NonFiniteGuard:
    return NonFiniteGuard(skip=skip, max_skips=3, save_dir=None, utterance_name=lambda index: f"u{index}")


def one_update(guard: NonFiniteGuard, optimizer: FakeOptimizer, model: nn.Module, loss: float) -> Tensor:
    guard.watch(optimizer, model, 0)
    guard.record(torch.tensor(loss), {"sum/mt_loss": loss}, torch.tensor([4]))
    return optimizer.clip_grad_norm(1.0)


def test_overflow_under_the_loss_scaler_is_normal() -> None:
    """The scaler's OverflowError makes the trainer leave the update out; a NaN loss is something else."""
    optimizer = FakeOptimizer(DynamicLossScaler(init_scale=4.0, min_loss_scale=1.5))
    guard, model = make_guard(), nn.Linear(1, 1)
    one_update(guard, optimizer, model, 1.0)
    optimizer.norm = torch.tensor(math.inf)
    with pytest.raises(OverflowError):
        one_update(guard, optimizer, model, 1.0)
    with pytest.raises(NonFiniteError, match=r"losses finite, gradient not \(Minimum loss scale"):
        one_update(guard, optimizer, model, 1.0)
    optimizer.norm = torch.tensor(1.0)
    assert float(one_update(guard, optimizer, model, 1.0)) == 1.0
    with pytest.raises(NonFiniteError, match=r"mt_loss of \[u4\]\. No checkpoint was saved before"):
        one_update(guard, optimizer, model, math.nan)


def test_skipping_zeroes_the_gradient_and_lasts_for_one_update() -> None:
    optimizer, guard, model = FakeOptimizer(), make_guard(skip=True), nn.Linear(1, 1)
    assert float(one_update(guard, optimizer, model, math.inf)) == 0
    assert (guard.is_skipping, guard.num_skips, optimizer.num_zeroed) == (True, 1, 1)
    one_update(guard, optimizer, model, 1.0)
    assert (guard.is_skipping, guard.num_skips) == (False, 1)
    optimizer.norm = torch.tensor(math.nan)
    one_update(guard, optimizer, model, 1.0)
    assert (guard.is_skipping, guard.num_skips) == (True, 2)


def test_the_last_good_checkpoint_is_whole_and_finite(tmp_path: Path) -> None:
    for seconds, (name, weight) in enumerate((("1", 1.0), ("2", math.nan), ("3", 1.0))):
        path = tmp_path / f"checkpoint{name}.pt"
        torch.save({"model": {"weight": torch.tensor(weight)}}, path)
        if name == "3":
            path.write_bytes(path.read_bytes()[:100])
        os.utime(path, (seconds, seconds))
    guard = NonFiniteGuard(skip=False, max_skips=0, save_dir=tmp_path, utterance_name=str)
    with pytest.raises(NonFiniteError, match=r"last good checkpoint is .*checkpoint1\.pt"):
        one_update(guard, FakeOptimizer(), nn.Linear(1, 1), math.nan)
    (tmp_path / "checkpoint1.pt").unlink()
    with pytest.raises(NonFiniteError, match=r"No checkpoint in .* is good"):
        one_update(guard, FakeOptimizer(), nn.Linear(1, 1), math.nan)


def test_broken_weights_cannot_be_skipped() -> None:
    optimizer, guard, model = FakeOptimizer(), make_guard(skip=True), nn.Linear(1, 1)
    nn.init.constant_(model.weight, math.nan)
    with pytest.raises(NonFiniteError, match="weights themselves are not finite: weight"):
        one_update(guard, optimizer, model, math.nan)
