"""Weights for the two-pass model: those that do not fit, and those of a text model to start from."""

import argparse
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from echostream.models import CheckpointMismatchError
from tests.models.tiny_models import (
    TEXT_ENTRIES,
    TINY_CONFORMER,
    UNIT_ENTRIES,
    build,
    fake_task,
    tiny_echostream,
    tiny_streamspeech,
)


def test_checkpoints_that_do_not_fit() -> None:
    baseline, ours = tiny_streamspeech(), tiny_echostream()
    with pytest.raises(CheckpointMismatchError, match=r"holds: Conformer.*has: Emformer"):
        ours.load_state_dict(baseline.state_dict())
    with pytest.raises(CheckpointMismatchError, match=r"holds: Emformer.*has: Conformer"):
        baseline.load_state_dict(ours.state_dict())
    with pytest.raises(CheckpointMismatchError, match="unknown encoder"):
        baseline.load_state_dict({"decoder.output_projection.weight": torch.zeros(UNIT_ENTRIES, 12)})
    larger = build("streamspeech", fake_task(text_entries=30), **TINY_CONFORMER).state_dict()
    with pytest.raises(
        CheckpointMismatchError, match=rf"target_unigram_decoder.*30 entries.*has {TEXT_ENTRIES}"
    ):
        baseline.load_state_dict(larger)
    more_units = build("streamspeech", fake_task(unit_entries=19), **TINY_CONFORMER).state_dict()
    with pytest.raises(CheckpointMismatchError, match=rf"for decoder.*19 entries.*has {UNIT_ENTRIES}"):
        baseline.load_state_dict(more_units)
    with pytest.raises(CheckpointMismatchError, match=r"encoder.*expected \[24, 16\], found \[28, 16\]"):
        baseline.load_state_dict(tiny_streamspeech(encoder_ffn_embed_dim=28).state_dict())
    deeper = tiny_streamspeech(encoder_layers=3).state_dict()
    with pytest.raises(CheckpointMismatchError, match=r"unexpected: 37\n +encoder\.conformer_layers\.2\.\*"):
        baseline.load_state_dict(deeper)
    assert baseline.load_state_dict(tiny_streamspeech().state_dict()).missing_keys == []


def save(path: Path, weights: dict[str, Tensor]) -> str:
    state = {
        "model": weights,
        "args": Namespace(arch="streamspeech", task="speech_to_speech"),
        "cfg": None,
        "optimizer_history": [
            {"criterion_name": "x", "optimizer_name": "adam", "num_updates": 1, "lr_scheduler_state": {}}
        ],
        "extra_state": {"train_iterator": {"epoch": 1}},
    }
    torch.save(state, path)
    return str(path)


def test_pretrained_encoder_and_mt_decoder(tmp_path: Path) -> None:
    source = tiny_streamspeech(seed=1)
    prefix = "target_unigram_decoder."
    text_model = {
        name.replace(prefix, "decoder."): value
        for name, value in source.state_dict().items()
        if name.startswith(("encoder.", prefix))
    }
    path = save(tmp_path / "s2t.pt", text_model)
    with torch.serialization.safe_globals([argparse.Namespace]):
        built = tiny_streamspeech(load_pretrained_mt_from=path)
        only_encoder = tiny_streamspeech(load_pretrained_encoder_from=path)
        with pytest.raises(CheckpointMismatchError, match="Conformer"):
            tiny_echostream(load_pretrained_encoder_from=path)
        with pytest.raises(CheckpointMismatchError, match="names of this model"):
            tiny_streamspeech(load_pretrained_mt_from=path, encoder_layers=3)
    for name, value in source.state_dict().items():
        if name.startswith("encoder."):
            assert torch.equal(only_encoder.state_dict()[name], value)
        if name.startswith(("encoder.", prefix)):
            assert torch.equal(built.state_dict()[name], value)
    with pytest.raises(FileNotFoundError, match=r"absent\.pt"):
        tiny_streamspeech(load_pretrained_encoder_from=str(tmp_path / "absent.pt"))
