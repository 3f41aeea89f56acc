"""torchaudio's Emformer as a numerical oracle.

``import torchaudio`` loads a compiled extension, and fails where that does not match the installed torch. Its
Emformer is one file of pure Python, so that file alone is loaded. Its softmax always runs in float32, which
hides errors below 1e-7; here it runs in the type of its input.
"""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor


def load_torchaudio_emformer() -> ModuleType:
    package = importlib.util.find_spec("torchaudio")
    assert package is not None, "torchaudio is not installed"
    assert package.origin is not None
    path = Path(package.origin).parent / "models" / "emformer.py"
    spec = importlib.util.spec_from_file_location("torchaudio_emformer_file", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module._EmformerAttention._gen_attention_probs = _attention_probabilities
    return module


def _attention_probabilities(
    attention: Any, weights: Tensor, attention_mask: Tensor, padding_mask: Tensor | None
) -> Tensor:
    weights = weights.masked_fill(attention_mask.unsqueeze(0), attention.negative_inf)
    if padding_mask is not None:
        by_head = weights.unflatten(0, (-1, attention.num_heads))
        by_head = by_head.masked_fill(padding_mask[:, None, None].bool(), attention.negative_inf)
        weights = by_head.flatten(0, 1)
    return torch.softmax(weights, dim=-1)
