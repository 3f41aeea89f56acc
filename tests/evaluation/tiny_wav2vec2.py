"""A small random wav2vec 2.0 model with a CTC head over letters, as fairseq saves it after fine-tuning."""

from pathlib import Path
from typing import Any

import torch
from fairseq.models.wav2vec.wav2vec2 import Wav2Vec2Config
from fairseq.models.wav2vec.wav2vec2_asr import Wav2Vec2CtcConfig, Wav2VecCtc
from fairseq.tasks.audio_finetuning import AudioFinetuningConfig, AudioFinetuningTask
from omegaconf import OmegaConf

LETTERS = "|ETAONIHSRDLUMWCFGYPBVK'XJQZ"


def _plain(config: Any) -> dict[str, Any]:
    container = OmegaConf.to_container(OmegaConf.structured(config), resolve=False, enum_to_str=True)
    assert isinstance(container, dict)
    return {str(name): value for name, value in container.items()}


def _configs(folder: Path, normalize: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    task = {"_name": "audio_finetuning", "data": str(folder), "labels": "ltr", "normalize": normalize}
    encoder = {
        **_plain(Wav2Vec2Config),
        "_name": "wav2vec2",
        "conv_feature_layers": "[(8,10,5)] + [(8,3,2)] * 4 + [(8,2,2)] * 2",
        "encoder_layers": 2,
        "encoder_embed_dim": 16,
        "encoder_ffn_embed_dim": 32,
        "encoder_attention_heads": 2,
        "conv_pos": 16,
        "conv_pos_groups": 4,
        "final_dim": 8,
    }
    pretraining = {
        "_name": None,
        "task": {"_name": "audio_pretraining", "data": str(folder), "normalize": normalize},
        "model": encoder,
    }
    model = {
        **_plain(Wav2Vec2CtcConfig),
        "_name": "wav2vec_ctc",
        "w2v_path": "gone.pt",
        "w2v_args": pretraining,
        "normalize": normalize,
        "data": str(folder),
        "ddp_backend": "legacy_ddp",
    }
    return task, model


def write_checkpoint(path: Path, *, normalize: bool = False, with_dictionary: bool = True) -> Path:
    """Save a random model; without its dictionary, that stays beside it as `dict.ltr.txt`."""
    dictionary = path.parent / "dict.ltr.txt"
    dictionary.write_text("".join(f"{letter} 1\n" for letter in LETTERS), encoding="utf-8")
    task_config, model_config = _configs(path.parent, normalize)
    task = AudioFinetuningTask(OmegaConf.merge(OmegaConf.structured(AudioFinetuningConfig), task_config))
    torch.manual_seed(1)
    config = OmegaConf.merge(OmegaConf.structured(Wav2Vec2CtcConfig), model_config)
    model = Wav2VecCtc.build_model(config, task)
    assert task.target_dictionary is not None
    state = {
        "args": None,
        "cfg": {
            "_name": None,
            "common": {"_name": None, "seed": 1},
            "task": task_config,
            "model": model_config,
            "criterion": {"_name": "ctc"},
        },
        "model": model.state_dict(),
        "criterion": None,
        "optimizer_history": [
            {"criterion_name": "CtcCriterion", "optimizer_name": "FairseqAdam", "lr_scheduler_state": {}}
        ],
        "last_optimizer_state": None,
        "task_state": task.state_dict() if with_dictionary else {},
        "extra_state": {"epoch": 1},
    }
    torch.save(state, path)
    if with_dictionary:
        dictionary.unlink()
    return path
