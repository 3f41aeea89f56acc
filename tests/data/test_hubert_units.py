"""Units from a HuBERT checkpoint through fairseq's own loading code; the model is random and small."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from echostream.compat import CheckpointError
from echostream.cvss.kmeans import read_centroids
from echostream.data.audio import AudioError
from echostream.data.hubert_units import HubertFeatures, UnitExtractor, num_hubert_frames
from tests.cvss.tiny_hubert import DIMENSION, NUM_LAYERS, write_checkpoint, write_kmeans

SAMPLES = (0.1 * np.random.default_rng(1).standard_normal(16000)).astype(np.float32)


class RunsCode:
    """A pickle of this calls a function when it is loaded."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.witness,)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("hubert") / "mhubert.pt")


@pytest.fixture(scope="module")
def hubert(checkpoint: Path) -> HubertFeatures:
    return HubertFeatures(checkpoint, layer=11)


@pytest.mark.parametrize("num_samples", [400, 719, 720, 721, 4000, 16000])
def test_a_frame_is_25_ms_every_20_ms(hubert: HubertFeatures, num_samples: int) -> None:
    features = hubert(SAMPLES[:num_samples])
    assert features.shape == (num_hubert_frames(num_samples), DIMENSION)
    with pytest.raises(AudioError, match="399 samples are less than one frame"):
        hubert(SAMPLES[:399])


def test_features_are_those_of_the_layer_and_of_the_file(checkpoint: Path, hubert: HubertFeatures) -> None:
    """Layers 1 to 11 of the weights in the file, applied one by one."""
    weights = torch.load(checkpoint, weights_only=False)["model"]
    model = hubert._model
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    x = model.layer_norm(model.feature_extractor(torch.from_numpy(SAMPLES)[None]).transpose(1, 2))
    x = model.post_extract_proj(x)
    x = x + model.encoder.pos_conv(x.transpose(1, 2)).transpose(1, 2)
    x = model.encoder.layer_norm(x).transpose(0, 1)
    for layer in model.encoder.layers[:11]:
        x, _ = layer(x)
    torch.testing.assert_close(hubert(SAMPLES), x[:, 0], atol=1e-5, rtol=1e-5)
    last = HubertFeatures(checkpoint, layer=NUM_LAYERS)(SAMPLES)
    assert not torch.allclose(last, hubert(SAMPLES), atol=1e-2)


def test_normalisation_follows_the_checkpoint(tmp_path: Path, hubert: HubertFeatures) -> None:
    normalizing = HubertFeatures(write_checkpoint(tmp_path / "large.pt", normalize=True))
    scaled = functional.layer_norm(torch.from_numpy(SAMPLES), SAMPLES.shape).numpy()
    torch.testing.assert_close(normalizing(SAMPLES), hubert(scaled))
    torch.testing.assert_close(normalizing(SAMPLES * 2), normalizing(SAMPLES), atol=1e-3, rtol=1e-3)


def test_units_are_those_of_scikit_learn(tmp_path: Path, hubert: HubertFeatures) -> None:
    model = write_kmeans(tmp_path / "km.bin")
    units = UnitExtractor(hubert, read_centroids(tmp_path / "km.bin"))(SAMPLES)
    assert units.tolist() == model.predict(hubert(SAMPLES).numpy()).tolist()
    assert len(set(units.tolist())) > 1


def test_models_that_do_not_belong_together(tmp_path: Path, hubert: HubertFeatures) -> None:
    write_kmeans(tmp_path / "km.bin", dimension=DIMENSION + 1)
    with pytest.raises(ValueError, match="do not belong together"):
        UnitExtractor(hubert, read_centroids(tmp_path / "km.bin"))


def test_unsuitable_checkpoints(tmp_path: Path, checkpoint: Path) -> None:
    with pytest.raises(FileNotFoundError, match="check HUBERT_PATH"):
        HubertFeatures(tmp_path / "none.pt")
    with pytest.raises(CheckpointError, match=r"has the layers 1 to 12, not a layer 13"):
        HubertFeatures(checkpoint, layer=13)
    with pytest.raises(CheckpointError, match="for speech at 8000 Hz"):
        HubertFeatures(write_checkpoint(tmp_path / "narrow.pt", sample_rate=8000))
    (tmp_path / "cut.pt").write_bytes(checkpoint.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match=r"cut\.pt: (corrupt|cannot be loaded)"):
        HubertFeatures(tmp_path / "cut.pt")
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=r"other\.pt: corrupt or truncated, or not a checkpoint"):
        HubertFeatures(tmp_path / "other.pt")


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path, checkpoint: Path) -> None:
    state, witness = torch.load(checkpoint, weights_only=False), tmp_path / "witness"
    torch.save({**state, "extra": RunsCode(witness)}, tmp_path / "evil.pt")
    with pytest.raises(CheckpointError, match=r"evil\.pt: refused"):
        HubertFeatures(tmp_path / "evil.pt")
    assert not witness.exists()
