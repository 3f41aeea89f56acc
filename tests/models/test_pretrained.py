"""Initial weights from other trainings: encoder, encoder and MT decoder; by flag, and never on resuming."""

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq.models.speech_to_text.s2t_conformer import S2TConformerEncoder

from echostream.compat import CheckpointError, load_checkpoint
from echostream.inference.loading import load_model
from echostream.models import CheckpointMismatchError
from echostream.models.pretrained import resumed_checkpoint
from tests.inference.tiny_checkpoint import TinyCheckpoint, make_checkpoint
from tests.models.tiny_models import TINY_CONFORMER, arguments, tiny_echostream, tiny_streamspeech

# The sizes of the encoders of tests/inference/tiny_checkpoint.py, as this project trains and saves them.
OWN_TRAINING: dict[str, dict[str, Any]] = {
    "echostream": {"conv_version": "conv2d", "conv_out_channels": 256},
    "streamspeech": {"depthwise_conv_kernel_size": 31},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TinyCheckpoint]:
    folder = tmp_path_factory.mktemp("pretrained")
    return {arch: make_checkpoint(folder / arch, arch) for arch in OWN_TRAINING}


@pytest.mark.parametrize("arch", OWN_TRAINING)
def test_encoder_of_our_own_training(trained: dict[str, TinyCheckpoint], arch: str) -> None:
    build = tiny_echostream if arch == "echostream" else tiny_streamspeech
    path = trained[arch].checkpoint
    model = build(load_pretrained_encoder_from=str(path), **OWN_TRAINING[arch])
    weights = load_checkpoint(path)["model"]
    untouched = build(**OWN_TRAINING[arch]).state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[name] if name.startswith("encoder.") else untouched[name]), name


def test_encoder_of_fairseqs_own_speech_to_text_model(tmp_path: Path) -> None:
    """fairseq's s2t_conformer, which speech recognition is trained with, has the names of streamspeech."""
    args = arguments("streamspeech", **TINY_CONFORMER, fp16=False)
    torch.manual_seed(9)
    encoder = S2TConformerEncoder(args)
    weights = {f"encoder.{name}": value for name, value in encoder.state_dict().items()}
    torch.save({"model": {**weights, "decoder.fc.weight": torch.zeros(1)}}, tmp_path / "asr.pt")
    model = tiny_streamspeech(load_pretrained_encoder_from=str(tmp_path / "asr.pt"))
    for name, value in weights.items():
        assert torch.equal(model.state_dict()[name], value), name


def test_wrong_files_are_named(trained: dict[str, TinyCheckpoint], tmp_path: Path) -> None:
    other = str(trained["streamspeech"].checkpoint)
    with pytest.raises(CheckpointMismatchError, match="another architecture"):
        tiny_echostream(load_pretrained_encoder_from=other)
    torch.save({"weights": {}}, tmp_path / "none.pt")
    with pytest.raises(CheckpointError, match=r"none\.pt: not a fairseq checkpoint"):
        tiny_streamspeech(load_pretrained_encoder_from=str(tmp_path / "none.pt"))
    with pytest.raises(FileNotFoundError, match=r"gone\.pt"):
        tiny_streamspeech(load_pretrained_encoder_from=str(tmp_path / "gone.pt"))


def test_resuming_is_recognised_as_fairseq_does_it(tmp_path: Path) -> None:
    args = argparse.Namespace(save_dir=str(tmp_path), restore_file="checkpoint_last.pt")
    other = tmp_path / "other.pt"
    args.finetune_from_model = str(other)
    assert resumed_checkpoint(args) is None
    other.touch()
    assert resumed_checkpoint(args) == other
    last = tmp_path / "checkpoint_last.pt"
    last.touch()
    assert resumed_checkpoint(args) == last
    args.restore_file = str(other)
    assert resumed_checkpoint(args) == other
    other.unlink()
    assert resumed_checkpoint(args) is None


def test_a_model_loads_when_what_it_started_from_is_gone(
    trained: dict[str, TinyCheckpoint], tmp_path: Path
) -> None:
    tiny = trained["echostream"]
    state = load_checkpoint(tiny.checkpoint)
    for flag in ("load_pretrained_streamspeech_from", "load_pretrained_encoder_from"):
        setattr(state["cfg"]["model"], flag, str(tmp_path / "gone.pt"))
    torch.save(state, tmp_path / "checkpoint.pt")
    loaded = load_model(tmp_path / "checkpoint.pt", data_bin=tiny.folder)
    assert isinstance(loaded.model, torch.nn.Module)
    assert all(torch.equal(value, state["model"][name]) for name, value in loaded.model.state_dict().items())
