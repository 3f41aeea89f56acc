"""Models and vocoders of a given size with random weights, which cost what trained ones do."""

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from fairseq.data import Dictionary
from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_REGISTRY

import echostream.models  # noqa: F401
from echostream.data.fbank import NUM_MEL_BINS, GlobalCMVN
from echostream.inference.loaded_model import LoadedModel
from echostream.inference.loading import ASR_TASK, ST_TASK, UNIT_BLANK_SYMBOL
from echostream.inference.vocabulary import Vocabulary
from echostream.policy.read_write import WORD_START
from echostream.vocoder.code_hifigan import CodeHiFiGANVocoder
from echostream.vocoder.config import GeneratorConfig
from echostream.vocoder.generator import CodeGenerator
from echostream.vocoder.training_config import PRESETS as VOCODER_PRESETS

MT_TASK = "target_unigram"


@dataclass(frozen=True)
class ModelSize:
    """What to build.

    Args:
        num_text_entries: entries of each of the three text dictionaries, specials included.
        num_units: size of the unit inventory.
        arch_suffix: ending of the preset's name, as in `echostream_mini`.
        arguments: by architecture, what differs from its preset.
        vocoder: configuration with the public keys, without `num_embeddings`.
    """

    num_text_entries: int
    num_units: int
    arch_suffix: str
    arguments: Mapping[str, Mapping[str, Any]]
    vocoder: Mapping[str, Any]


# What scripts/fr-en/training.sh adds to the public preset.
_STREAMSPEECH_BASE: Mapping[str, Any] = {
    "encoder_layers": 12,
    "attn_type": "espnet",
    "pos_enc_type": "rel_pos",
    "chunk_size": 8,
    "uni_encoder": True,
    "translation_decoder_layers": 4,
    "synthesizer_encoder_layers": 2,
    "decoder_layers": 2,
    "decoder_embed_dim": 512,
    "decoder_ffn_embed_dim": 2048,
    "decoder_attention_heads": 8,
    "ctc_upsample_rate": 25,
    "share_decoder_input_output_embed": True,
}

SIZES: Mapping[str, ModelSize] = {
    "base": ModelSize(
        6000, 1000, "", {"echostream": {}, "streamspeech": _STREAMSPEECH_BASE}, VOCODER_PRESETS["public"]
    ),
    "mini": ModelSize(500, 200, "_mini", {"echostream": {}, "streamspeech": {}}, VOCODER_PRESETS["mini"]),
}


def random_model(
    arch: str, size: ModelSize, device: str | torch.device = "cpu", seed: int = 0
) -> LoadedModel:
    """A model in evaluation mode with random weights.

    Args:
        arch: "echostream" or "streamspeech".
        size: of the model.
        device: where it goes.
        seed: of the weights.
    """
    name = arch + size.arch_suffix
    args = argparse.Namespace(
        arch=name,
        input_feat_per_channel=NUM_MEL_BINS,
        input_channels=1,
        target_speaker_embed=False,
        n_frames_per_step=1,
        max_target_positions=1200,
        **size.arguments[arch],
    )
    ARCH_CONFIG_REGISTRY[name](args)
    text, units = _text_dictionary(size.num_text_entries), _unit_dictionary(size.num_units)
    kinds = {MT_TASK: "transformer", ASR_TASK: "ctc", ST_TASK: "ctc"}
    task = SimpleNamespace(
        target_dictionary=units,
        multitask_tasks={task_name: _text_task(kind, text) for task_name, kind in kinds.items()},
    )
    torch.manual_seed(seed)
    model = ARCH_MODEL_REGISTRY[name].build_model(args, task)
    model.requires_grad_(False)
    vocabulary = Vocabulary(tuple(text.symbols))
    return LoadedModel(
        model=model.eval().to(device),
        arch=arch,
        asr_vocabulary=vocabulary,
        st_vocabulary=vocabulary,
        text_vocabulary=vocabulary,
        unit_vocabulary=Vocabulary(tuple(units.symbols)),
        unit_blank=int(units.index(UNIT_BLANK_SYMBOL)),
        cmvn=GlobalCMVN(torch.full((NUM_MEL_BINS,), 10.0), torch.full((NUM_MEL_BINS,), 4.0)),
        device=torch.device(device),
    )


def random_vocoder(size: ModelSize, device: str | torch.device = "cpu", seed: int = 0) -> CodeHiFiGANVocoder:
    """A vocoder with random weights, whose duration predictor does its work and says 1 frame for every unit.

    Args:
        size: whose vocoder.
        device: where it goes.
        seed: of the weights.
    """
    config = {**size.vocoder, "num_embeddings": size.num_units}
    torch.manual_seed(seed)
    generator = CodeGenerator(GeneratorConfig.from_dict(config))
    assert generator.dur_predictor is not None
    torch.nn.init.zeros_(generator.dur_predictor.proj.weight)  # log(1 + frames) = 0, and at least one frame
    torch.nn.init.zeros_(generator.dur_predictor.proj.bias)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vocoder.pt"
        torch.save({"generator": generator.state_dict()}, path)
        del generator
        vocoder = CodeHiFiGANVocoder(path, config).eval()
    return vocoder.requires_grad_(False).to(device)


def _text_dictionary(num_entries: int) -> Dictionary:
    """Every entry is a word, so that words become final at once."""
    entries = Dictionary()
    while len(entries) < num_entries:
        entries.add_symbol(f"{WORD_START}word{len(entries)}")
    return entries


def _unit_dictionary(num_units: int) -> Dictionary:
    entries = Dictionary()
    for unit in range(num_units):
        entries.add_symbol(str(unit))
    entries.add_symbol(UNIT_BLANK_SYMBOL)
    return entries


def _text_task(decoder_type: str, dictionary: Dictionary) -> SimpleNamespace:
    """An entry of the multitask configuration, as a task holds it."""
    decoder_args = argparse.Namespace(**({"decoder_layers": 0} if decoder_type == "ctc" else {}))
    return SimpleNamespace(
        args=SimpleNamespace(decoder_type=decoder_type, input_from="encoder", decoder_args=decoder_args),
        target_dictionary=dictionary,
        is_first_pass_decoder=decoder_type == "transformer",
    )
