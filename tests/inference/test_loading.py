"""Loading: the model of the checkpoint with its dictionaries, or an error that names what is wrong."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from echostream.compat import CheckpointError, load_checkpoint
from echostream.inference.loaded_model import LoadedModel
from echostream.inference.loading import load_model
from tests.inference.tiny_checkpoint import NUM_UNITS, PIECES, TinyCheckpoint, make_checkpoint


def load(tiny: TinyCheckpoint, **options: Any) -> LoadedModel:
    arguments: dict[str, Any] = {
        "data_bin": tiny.folder,
        "config_yaml": tiny.config_name,
        "multitask_config_yaml": tiny.multitask_name,
        **options,
    }
    checkpoint = arguments.pop("checkpoint", tiny.checkpoint)
    return load_model(checkpoint, **arguments)


@pytest.fixture
def copied(checkpoints: dict[str, TinyCheckpoint], tmp_path: Path) -> TinyCheckpoint:
    """A copy that a test may spoil."""
    folder = tmp_path / "copy"
    shutil.copytree(checkpoints["echostream"].folder, folder)
    return TinyCheckpoint(folder, folder / "checkpoint.pt", folder / "vocoder.pt", folder / "vocoder.json")


@pytest.mark.parametrize("arch", ["echostream", "streamspeech"])
def test_load(checkpoints: dict[str, TinyCheckpoint], arch: str) -> None:
    loaded = load(checkpoints[arch])
    assert loaded.arch == arch
    model = loaded.model
    assert isinstance(model, torch.nn.Module)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    stored = load_checkpoint(checkpoints[arch].checkpoint)["model"]
    weights = model.state_dict()
    assert set(weights) == set(stored)
    assert all(torch.equal(weights[name], stored[name]) for name in stored)
    assert loaded.text_vocabulary.symbols[4:] == PIECES
    assert loaded.unit_vocabulary.symbols[4 : 4 + NUM_UNITS] == tuple(str(unit) for unit in range(NUM_UNITS))
    assert loaded.unit_blank == 4 + NUM_UNITS
    assert loaded.cmvn is not None
    assert loaded.cmvn.mean.tolist() == [8.0] * 80
    assert loaded.vocoder_config is not None
    assert loaded.vocoder_config["checkpoint"] == str(checkpoints[arch].folder / "vocoder.pt")


def test_yaml_names_and_encoder_settings_come_from_the_checkpoint(copied: TinyCheckpoint) -> None:
    config = yaml.safe_load((copied.folder / "config.yaml").read_text())
    config["echostream"] = {"segment_length": 8, "memory_size": 5}
    (copied.folder / "config.yaml").write_text(yaml.safe_dump(config))
    loaded = load_model(copied.checkpoint, data_bin=copied.folder)
    assert max(loaded.model.encoder.segment_lengths) == 8
    assert loaded.task.args.memory_size == 2


def test_dtype_and_move(checkpoints: dict[str, TinyCheckpoint]) -> None:
    loaded = load(checkpoints["echostream"], dtype=torch.float64)
    assert isinstance(loaded.model, torch.nn.Module)
    assert next(loaded.model.parameters()).dtype == torch.float64
    moved = loaded.to(torch.device("cpu"), torch.float32)
    assert isinstance(moved.model, torch.nn.Module)
    assert next(moved.model.parameters()).dtype == moved.dtype == torch.float32


def test_missing_files(copied: TinyCheckpoint) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.pt: no such checkpoint"):
        load(copied, checkpoint=copied.folder / "none.pt")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        load(copied, data_bin=copied.folder / "none")
    with pytest.raises(FileNotFoundError, match=r"other\.yaml"):
        load(copied, config_yaml="other.yaml")
    with pytest.raises(FileNotFoundError, match=r"mtl\.yaml"):
        load(copied, multitask_config_yaml="mtl.yaml")
    (copied.folder / "gcmvn.npz").rename(copied.folder / "moved.npz")
    with pytest.raises(FileNotFoundError, match=r"gcmvn\.npz"):
        load(copied)
    (copied.folder / "moved.npz").rename(copied.folder / "gcmvn.npz")
    (copied.folder / "dict.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"dict\.txt"):
        load(copied)


def test_corrupt_and_foreign_checkpoints(copied: TinyCheckpoint) -> None:
    data = copied.checkpoint.read_bytes()
    copied.checkpoint.write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt: corrupt or truncated"):
        load(copied)
    copied.checkpoint.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt"):
        load(copied)
    torch.save({"weights": torch.zeros(1)}, copied.checkpoint)
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt"):
        load(copied)
    torch.save({"generator": {}}, copied.checkpoint)
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt"):
        load(copied)


def test_code_in_a_checkpoint_is_refused(copied: TinyCheckpoint) -> None:
    torch.save({"model": {}, "cfg": Path("x")}, copied.checkpoint)
    with pytest.raises(CheckpointError, match="refused"):
        load(copied)


@pytest.mark.parametrize(
    ("part", "name", "message"),
    [("model", "arch", "transformer_lm"), ("task", "task", "speech_to_text")],
)
def test_other_architectures_and_tasks(copied: TinyCheckpoint, part: str, name: str, message: str) -> None:
    state = load_checkpoint(copied.checkpoint)
    setattr(state["cfg"][part], name, message)
    torch.save(state, copied.checkpoint)
    with pytest.raises(CheckpointError, match=message):
        load(copied)


def test_other_weights_or_dictionary(copied: TinyCheckpoint, checkpoints: dict[str, TinyCheckpoint]) -> None:
    (copied.folder / "dict.txt").write_text("a 1\nb 1\n")
    with pytest.raises(ValueError, match=r"entries|shape|size"):
        load(copied)
    (copied.folder / "dict.txt").write_text((checkpoints["echostream"].folder / "dict.txt").read_text())
    state = load_checkpoint(copied.checkpoint)
    state["model"] = load_checkpoint(checkpoints["streamspeech"].checkpoint)["model"]
    torch.save(state, copied.checkpoint)
    with pytest.raises(ValueError, match=r"checkpoint|weights"):
        load(copied)


def test_features_that_cannot_be_streamed(copied: TinyCheckpoint) -> None:
    config = yaml.safe_load((copied.folder / "config.yaml").read_text())
    config["transforms"] = {"*": ["utterance_cmvn"]}
    (copied.folder / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ValueError, match="utterance_cmvn"):
        load(copied)
    config["transforms"] = {"_train": ["global_cmvn"]}
    (copied.folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert load(copied).cmvn is None


def test_missing_text_task(copied: TinyCheckpoint) -> None:
    multitask = yaml.safe_load((copied.folder / "multitask.yaml").read_text())
    multitask["asr"] = multitask.pop("source_unigram")
    (copied.folder / "multitask.yaml").write_text(yaml.safe_dump(multitask))
    with pytest.raises(ValueError, match=r"source_unigram|source_unigram_decoder|weights"):
        load(copied)


def test_overrides(checkpoints: dict[str, TinyCheckpoint]) -> None:
    loaded = load(checkpoints["echostream"], overrides={"segment_lengths": "4,16"})
    assert max(loaded.model.encoder.segment_lengths) == 16
    assert np.isfinite(len(loaded.st_vocabulary))


def test_the_builder_is_deterministic(tmp_path: Path, checkpoints: dict[str, TinyCheckpoint]) -> None:
    again = make_checkpoint(tmp_path / "again", "echostream")
    first = load(checkpoints["echostream"]).model
    second = load(again).model
    assert isinstance(first, torch.nn.Module)
    assert isinstance(second, torch.nn.Module)
    weights = second.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in first.state_dict().items())
