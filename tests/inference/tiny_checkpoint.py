"""A folder with everything that inference loads: dictionaries, YAML files, statistics, weights, a vocoder."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from fairseq import options, tasks
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from omegaconf import OmegaConf

import echostream.criterions
import echostream.models
import echostream.tasks  # noqa: F401
from echostream import compat
from echostream.data.fbank import extract_fbank
from echostream.vocoder.config import GeneratorConfig
from echostream.vocoder.generator import CodeGenerator
from tests.inference.fakes import noise

NUM_UNITS = 20
CMVN_MEAN, CMVN_STD = 8.0, 2.0
PIECES = ("▁le", "▁la", "▁chat", "s", "▁dort", "▁a", "▁b", "c", "▁d", "▁e", "f", "▁g", ",", "▁h")
VOCODER_CONFIG: dict[str, Any] = {
    "resblock": "1",
    "upsample_rates": [5, 4, 4, 2, 2],
    "upsample_kernel_sizes": [11, 8, 8, 4, 4],
    "upsample_initial_channel": 32,
    "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    "num_embeddings": NUM_UNITS,
    "embedding_dim": 16,
    "model_in_dim": 16,
    "sampling_rate": 16000,
    "code_hop_size": 320,
    "dur_predictor_params": {
        "encoder_embed_dim": 16,
        "var_pred_hidden_dim": 16,
        "var_pred_kernel_size": 3,
        "var_pred_dropout": 0.5,
    },
}
SIZES = [
    "--encoder-layers",
    "2",
    "--encoder-embed-dim",
    "16",
    "--encoder-ffn-embed-dim",
    "24",
    "--encoder-attention-heads",
    "2",
    "--conv-channels",
    "16",
    "--decoder-embed-dim",
    "12",
    "--decoder-ffn-embed-dim",
    "20",
    "--decoder-attention-heads",
    "2",
    "--decoder-layers",
    "1",
    "--translation-decoder-layers",
    "1",
    "--synthesizer-encoder-layers",
    "1",
    "--ctc-upsample-rate",
    "3",
    "--uni-encoder",
]
ARCH_OPTIONS = {
    "echostream": [
        "--segment-length",
        "4",
        "--segment-lengths",
        "2,4,8",
        "--left-context-length",
        "6",
        "--memory-size",
        "2",
    ],
    "streamspeech": ["--attn-type", "espnet", "--pos-enc-type", "rel_pos", "--chunk-size", "8"],
}


@dataclass(frozen=True)
class TinyCheckpoint:
    """Where the parts are."""

    folder: Path
    checkpoint: Path
    vocoder: Path
    vocoder_config: Path
    config_name: str = "config.yaml"
    multitask_name: str = "multitask.yaml"


def write_vocoder(folder: Path, num_units: int = NUM_UNITS) -> tuple[Path, Path]:
    """A random vocoder and its configuration."""
    config = {**VOCODER_CONFIG, "num_embeddings": num_units}
    torch.manual_seed(0)
    torch.save(
        {"generator": CodeGenerator(GeneratorConfig.from_dict(config)).state_dict()}, folder / "vocoder.pt"
    )
    (folder / "vocoder.json").write_text(json.dumps(config))
    return folder / "vocoder.pt", folder / "vocoder.json"


def _write_data(folder: Path, pieces: tuple[str, ...]) -> None:
    (folder / "dict.txt").write_text("".join(f"{piece} 1\n" for piece in pieces), encoding="utf-8")
    np.savez(folder / "gcmvn.npz", mean=np.full(80, CMVN_MEAN), std=np.full(80, CMVN_STD))
    config = {
        "global_cmvn": {"stats_npz_path": "gcmvn.npz"},
        "transforms": {"*": ["global_cmvn"]},
        "vocoder": {"type": "code_hifigan", "checkpoint": "vocoder.pt", "config": "vocoder.json"},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    section = {"dict": "dict.txt", "data": "."}
    multitask = {
        "target_unigram": {**section, "decoder_type": "transformer"},
        "source_unigram": {**section, "decoder_type": "ctc", "decoder_args": {"decoder_layers": 0}},
        "ctc_target_unigram": {**section, "decoder_type": "ctc", "decoder_args": {"decoder_layers": 0}},
    }
    (folder / "multitask.yaml").write_text(yaml.safe_dump(multitask))


def _liven_up(model: torch.nn.Module) -> None:
    """Make a random model talkative: large head weights, and a rare end of sentence."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "unigram_decoder.proj" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator))
            elif "embed_tokens.weight" in name or "output_projection.weight" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator))
                weight[:4] = 0.0
            elif name == "target_unigram_decoder.layer_norm.weight":
                weight.fill_(-1.0)  # with shared embeddings, a random decoder repeats its input otherwise
    _centre_heads(model)


@torch.no_grad()
def _centre_heads(model: Any) -> None:
    """Take what all encoder frames have in common out of the heads, so that their best labels change."""
    features = (extract_fbank(noise(32000)).unsqueeze(0) - CMVN_MEAN) / CMVN_STD
    frames = model.eval().encoder(features, torch.tensor([features.size(1)]))["encoder_out"][0]
    for head in (model.asr_head, model.st_head):
        head.proj.bias.copy_(-(frames[:, 0] @ head.proj.weight.T).mean(dim=0))


def make_checkpoint(
    folder: Path,
    arch: str,
    pieces: tuple[str, ...] = PIECES,
    flags: Sequence[str] = (),
    *,
    is_tiny: bool = True,
) -> TinyCheckpoint:
    """Write a random model of an architecture as fairseq-train does.

    Args:
        folder: where everything goes.
        arch: a preset.
        pieces: the text vocabulary.
        flags: further flags of fairseq-train.
        is_tiny: tiny sizes in place of the preset's.
    """
    compat.apply()
    folder.mkdir(parents=True, exist_ok=True)
    _write_data(folder, pieces)
    vocoder, vocoder_config = write_vocoder(folder)
    command = [str(folder), "--arch", arch, "--task", "speech_to_speech_ctc", "--target-is-code"]
    command += ["--target-code-size", str(NUM_UNITS), "--vocoder", "code_hifigan"]
    command += ["--criterion", "speech_to_unit_2pass_ctc_asr_st", "--config-yaml", "config.yaml"]
    command += ["--multitask-config-yaml", "multitask.yaml", *ARCH_OPTIONS.get(arch, ())]
    if is_tiny:
        command += SIZES
    command += flags
    cfg = convert_namespace_to_omegaconf(options.parse_args_and_arch(options.get_training_parser(), command))
    torch.manual_seed(3)
    model = tasks.setup_task(cfg.task).build_model(cfg.model)
    _liven_up(model)
    state = {
        "args": None,
        "cfg": OmegaConf.to_container(cfg, resolve=False, enum_to_str=True),
        "model": model.state_dict(),
        "optimizer_history": [
            {"optimizer_name": "FairseqAdam", "num_updates": 1, "best_loss": None, "lr_scheduler_state": {}}
        ],
        "extra_state": {"train_iterator": {"epoch": 1}, "val_loss": None},
        "task_state": {},
    }
    torch.save(state, folder / "checkpoint.pt")
    return TinyCheckpoint(folder, folder / "checkpoint.pt", vocoder, vocoder_config)
