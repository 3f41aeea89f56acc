"""A random HuBERT of small size in the format of mHuBERT's checkpoint, and a k-means model as fairseq's.

python -m tests.cvss.tiny_hubert FOLDER
"""

import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from fairseq.models.hubert import HubertConfig, HubertModel
from fairseq.tasks.hubert_pretraining import HubertPretrainingConfig, HubertPretrainingTask
from omegaconf import OmegaConf
from sklearn.cluster import MiniBatchKMeans

DIMENSION = 16
NUM_LAYERS = 12
NUM_UNITS = 30
# What newer versions of fairseq added: a checkpoint of 2021 does not have it.
NEWER_KEYS = (
    "layer_type",
    "conv_pos_batch_norm",
    "checkpoint_activations",
    "required_seq_len_multiple",
    "depthwise_conv_kernel_size",
    "attn_type",
    "pos_enc_type",
    "fp16",
)


def _configs(folder: Path, normalize: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    task = {
        "_name": "hubert_pretraining",
        "data": str(folder),
        "labels": ["km"],
        "label_rate": 50.0,
        "sample_rate": 16000,
        "normalize": normalize,
    }
    defaults = OmegaConf.to_container(OmegaConf.structured(HubertConfig), resolve=False, enum_to_str=True)
    assert isinstance(defaults, dict)
    model = {
        **defaults,
        "_name": "hubert",
        "label_rate": 50.0,
        "encoder_layers": NUM_LAYERS,
        "encoder_embed_dim": DIMENSION,
        "encoder_ffn_embed_dim": 2 * DIMENSION,
        "encoder_attention_heads": 2,
        "conv_feature_layers": "[(8,10,5)] + [(8,3,2)] * 4 + [(8,2,2)] * 2",
        "conv_pos": 16,
        "conv_pos_groups": 4,
        "final_dim": 8,
    }
    return task, {str(name): value for name, value in model.items() if name not in NEWER_KEYS}


def write_checkpoint(path: Path, *, normalize: bool = False, sample_rate: int = 16000) -> Path:
    """Save a random model as fairseq's trainer does, with the dictionary of its labels as task state."""
    (path.parent / "dict.km.txt").write_text("".join(f"{unit} 1\n" for unit in range(10)), encoding="utf-8")
    task_config, model_config = _configs(path.parent, normalize)
    task = HubertPretrainingTask(OmegaConf.merge(HubertPretrainingConfig, task_config))
    torch.manual_seed(1)
    merged = OmegaConf.merge(OmegaConf.structured(HubertConfig), model_config)
    model = HubertModel.build_model(merged, task)
    assert task.dictionaries
    state = {
        "args": None,
        "cfg": {
            "_name": None,
            "common": {"_name": None, "seed": 1},
            "task": {**task_config, "sample_rate": sample_rate},
            "model": model_config,
            "criterion": {"_name": "hubert"},
        },
        "model": model.state_dict(),
        "criterion": None,
        "optimizer_history": [
            {"criterion_name": "HubertCriterion", "optimizer_name": "Adam", "lr_scheduler_state": {}}
        ],
        "task_state": task.state_dict(),
        "extra_state": {"epoch": 1},
        "last_optimizer_state": None,
    }
    torch.save(state, path)
    # What fairseq reads must be in the checkpoint: the folder of its training is not here any more.
    (path.parent / "dict.km.txt").unlink()
    return path


def write_kmeans(path: Path, *, dimension: int = DIMENSION, num_units: int = NUM_UNITS) -> MiniBatchKMeans:
    """Fit a model on noise and save it with joblib, as fairseq's clustering script does; returns it."""
    random = np.random.default_rng(1)
    noise = random.standard_normal((20 * num_units, dimension)).astype(np.float32)
    model = MiniBatchKMeans(num_units, batch_size=100, n_init=1, max_iter=3, random_state=1).fit(noise)
    joblib.dump(model, path)
    return model


if __name__ == "__main__":
    target = Path(sys.argv[1])
    write_checkpoint(target / "mhubert.pt")
    write_kmeans(target / "km.bin")
