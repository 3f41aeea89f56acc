"""Models and tasks for tests: small by default, of the public size on request."""

import argparse
from types import SimpleNamespace
from typing import Any

import torch
from fairseq.data import Dictionary
from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_REGISTRY
from torch import Tensor

from echostream.models import EchoStreamModel, StreamSpeechModel

TINY_SIZES: dict[str, Any] = {
    "encoder_layers": 2,
    "encoder_embed_dim": 16,
    "encoder_ffn_embed_dim": 24,
    "encoder_attention_heads": 2,
    "conv_channels": 16,
    "conv_out_channels": 4,
    "depthwise_conv_kernel_size": 7,
    "decoder_embed_dim": 12,
    "decoder_ffn_embed_dim": 20,
    "decoder_attention_heads": 2,
    "decoder_layers": 2,
    "translation_decoder_layers": 2,
    "synthesizer_encoder_layers": 1,
    "ctc_upsample_rate": 3,
    "uni_encoder": True,
    "share_decoder_input_output_embed": True,
}
TINY_CONFORMER: dict[str, Any] = {
    **TINY_SIZES,
    "attn_type": "espnet",
    "pos_enc_type": "rel_pos",
    "chunk_size": 8,
}
TINY_EMFORMER: dict[str, Any] = {
    **TINY_SIZES,
    "segment_length": 4,
    "segment_lengths": "2,4,8",
    "left_context_length": 6,
    "memory_size": 2,
    "conv_version": "s2t_transformer",
}
TEXT_ENTRIES, UNIT_ENTRIES = 23, 15
TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "target_unigram": ("transformer", {}),
    "source_unigram": ("ctc", {"decoder_layers": 0}),
    "ctc_target_unigram": ("ctc", {"decoder_layers": 0}),
}


def dictionary(num_entries: int, *, blank: bool = False) -> Dictionary:
    """A dictionary with this many entries, specials included; the CTC blank of units is the last one."""
    entries = Dictionary()
    while len(entries) < num_entries - blank:
        entries.add_symbol(f"symbol{len(entries)}")
    if blank:
        entries.add_symbol("<blank>")
    return entries


def multitask_entry(
    name: str, decoder_type: str, decoder_args: dict[str, Any], num_entries: int = TEXT_ENTRIES
) -> SimpleNamespace:
    """An entry of the multitask YAML, as a task holds it."""
    return SimpleNamespace(
        args=SimpleNamespace(
            decoder_type=decoder_type, input_from="encoder", decoder_args=argparse.Namespace(**decoder_args)
        ),
        target_dictionary=dictionary(num_entries),
        is_first_pass_decoder=decoder_type == "transformer" and name.startswith("target"),
    )


def fake_task(
    tasks: dict[str, tuple[str, dict[str, Any]]] | None = None,
    text_entries: int = TEXT_ENTRIES,
    unit_entries: int = UNIT_ENTRIES,
) -> SimpleNamespace:
    """What a model needs of its task."""
    return SimpleNamespace(
        target_dictionary=dictionary(unit_entries, blank=True),
        multitask_tasks={
            name: multitask_entry(name, kind, decoder_args, text_entries)
            for name, (kind, decoder_args) in (tasks or TASKS).items()
        },
    )


def arguments(arch: str, **values: Any) -> argparse.Namespace:
    """Arguments completed by the architecture function, with what a task adds to them."""
    args = argparse.Namespace(
        arch=arch,
        input_feat_per_channel=80,
        input_channels=1,
        target_speaker_embed=False,
        n_frames_per_step=1,
        max_target_positions=1200,
        **values,
    )
    ARCH_CONFIG_REGISTRY[arch](args)
    return args


def build(arch: str, task: SimpleNamespace | None = None, *, seed: int = 0, **values: Any) -> Any:
    """A model in evaluation mode."""
    torch.manual_seed(seed)
    model = ARCH_MODEL_REGISTRY[arch].build_model(arguments(arch, **values), task or fake_task())
    return model.eval()


def tiny_streamspeech(**values: Any) -> StreamSpeechModel:
    """A small baseline model."""
    model = build("streamspeech", **{**TINY_CONFORMER, **values})
    assert isinstance(model, StreamSpeechModel)
    return model


def tiny_echostream(**values: Any) -> EchoStreamModel:
    """A small EchoStream model."""
    model = build("echostream", **{**TINY_EMFORMER, **values})
    assert isinstance(model, EchoStreamModel)
    return model


def batch(seed: int = 3) -> dict[str, Tensor]:
    """Two padded rows, as `forward` takes them."""
    generator = torch.Generator().manual_seed(seed)
    src_lengths = torch.tensor([75, 46])
    src_tokens = torch.randn(2, 75, 80, generator=generator)
    text = torch.randint(4, TEXT_ENTRIES, (2, 6), generator=generator)
    text[:, 0] = 2
    text[1, 4:] = 1
    return {
        "src_tokens": src_tokens,
        "src_lengths": src_lengths,
        "prev_output_tokens": torch.full((2, 2), 2),
        "prev_output_tokens_mt": text,
    }


def row(sample: dict[str, Tensor], index: int) -> dict[str, Tensor]:
    """One row of a batch, without its padding."""
    length = int(sample["src_lengths"][index])
    text = sample["prev_output_tokens_mt"][index]
    return {
        "src_tokens": sample["src_tokens"][index : index + 1, :length],
        "src_lengths": sample["src_lengths"][index : index + 1],
        "prev_output_tokens": sample["prev_output_tokens"][index : index + 1],
        "prev_output_tokens_mt": text[text != 1].unsqueeze(0),
    }
