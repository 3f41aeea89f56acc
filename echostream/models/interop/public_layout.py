"""Names and shapes of public StreamSpeech: the model of its training script, without values."""

import functools
from argparse import Namespace
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch
from fairseq.data import Dictionary
from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_REGISTRY
from torch import Tensor

PUBLIC_ARGUMENTS: Mapping[str, Any] = {
    "encoder_layers": 12,
    "encoder_embed_dim": 256,
    "encoder_ffn_embed_dim": 2048,
    "encoder_attention_heads": 4,
    "attn_type": "espnet",
    "pos_enc_type": "rel_pos",
    "depthwise_conv_kernel_size": 31,
    "conv_version": "s2t_transformer",
    "conv_channels": 1024,
    "conv_kernel_sizes": "5,5",
    "chunk_size": 8,
    "decoder_layers": 2,
    "decoder_embed_dim": 512,
    "decoder_ffn_embed_dim": 2048,
    "decoder_attention_heads": 8,
    "translation_decoder_layers": 4,
    "synthesizer_encoder_layers": 2,
    "share_decoder_input_output_embed": True,
    "uni_encoder": True,
    "ctc_upsample_rate": 25,
    "max_target_positions": 1200,
}
"""The model flags of the public training script for simultaneous speech-to-speech translation."""

PUBLIC_TEXT_TASKS: Mapping[str, str] = {
    "target_unigram": "transformer",
    "source_unigram": "ctc",
    "ctc_target_unigram": "ctc",
}
NUM_PUBLIC_SUBWORDS = 6000
NUM_PUBLIC_UNITS = 1000


@functools.cache
def public_weights() -> Mapping[str, Tensor]:
    """Return the state dict of public StreamSpeech as tensors that have shapes and no values."""
    args = Namespace(
        arch="streamspeech",
        input_feat_per_channel=80,
        input_channels=1,
        n_frames_per_step=1,
        target_speaker_embed=False,
        **PUBLIC_ARGUMENTS,
    )
    ARCH_CONFIG_REGISTRY["streamspeech"](args)
    tasks = {name: _text_task(name, decoder_type) for name, decoder_type in PUBLIC_TEXT_TASKS.items()}
    units = _dictionary(NUM_PUBLIC_UNITS)
    units.add_symbol("<blank>")
    with torch.device("meta"):
        model = ARCH_MODEL_REGISTRY["streamspeech"].build_model(
            args, SimpleNamespace(target_dictionary=units, multitask_tasks=tasks)
        )
    weights: dict[str, Tensor] = model.state_dict()
    return weights


def _dictionary(num_symbols: int) -> Dictionary:
    dictionary = Dictionary()
    for index in range(num_symbols):
        dictionary.add_symbol(str(index))
    return dictionary


def _text_task(name: str, decoder_type: str) -> SimpleNamespace:
    """Return what a model reads of a text task whose decoder has no settings of its own."""
    is_first_pass = decoder_type == "transformer"
    return SimpleNamespace(
        args=SimpleNamespace(
            decoder_type=decoder_type,
            input_from="encoder",
            decoder_args=Namespace() if is_first_pass else Namespace(decoder_layers=0),
        ),
        target_dictionary=_dictionary(NUM_PUBLIC_SUBWORDS - Dictionary().nspecial),
        is_first_pass_decoder=is_first_pass,
    )
