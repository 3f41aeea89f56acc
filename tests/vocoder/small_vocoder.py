"""A small unit vocoder with random weights, for tests."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from echostream.vocoder.config import GeneratorConfig
from echostream.vocoder.generator import CodeGenerator
from echostream.vocoder.training_config import PRESETS

SMALL: dict[str, Any] = {
    "num_embeddings": 30,
    "embedding_dim": 16,
    "model_in_dim": 16,
    "upsample_initial_channel": 32,
    "upsample_rates": [5, 4, 2],
    "upsample_kernel_sizes": [11, 8, 4],
    "resblock_kernel_sizes": [3, 5],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 2, 3]],
    "code_hop_size": 40,
    "sampling_rate": 16000,
    "dur_predictor_params": {
        "encoder_embed_dim": 16,
        "var_pred_hidden_dim": 12,
        "var_pred_kernel_size": 3,
        "var_pred_dropout": 0.5,
    },
}


def public_config() -> dict[str, Any]:
    config = {key: value for key, value in PRESETS["public"].items() if key != "training"}
    return {**config, "num_embeddings": 1000}


def without(config: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in keys}


def random_state(config: dict[str, Any], seed: int = 0) -> dict[str, Tensor]:
    """Random weights under which the waveform is neither silent nor clipped and durations differ."""
    torch.manual_seed(seed)
    state = CodeGenerator(GeneratorConfig.from_dict(config)).state_dict()
    for key, tensor in state.items():
        if key.endswith("weight_g"):
            state[key] = tensor * (0.5 + torch.rand_like(tensor))
        elif key == "dur_predictor.proj.weight":
            state[key] = tensor * 2
        elif key == "dur_predictor.proj.bias":
            state[key] = tensor + 1.5
    return state


def save(state: Any, path: Path) -> Path:
    torch.save({"generator": state}, path)
    return path
