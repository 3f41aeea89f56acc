"""Small decoders with random weights, biases and norms included, in every configuration that tests need."""

from argparse import Namespace
from typing import Any

import torch
from torch import nn

from echostream.models.decoders import (
    CTCDecoder,
    CTCDecoderWithTransformerLayer,
    CTCTransformerUnitDecoder,
    TextToUnitEncoder,
    TransformerMTDecoder,
)
from tests.models.tiny_models import TEXT_ENTRIES, UNIT_ENTRIES, dictionary

ENCODER_DIM, TEXT_DIM, HEADS, LAYERS, RATE = 8, 12, 2, 2, 3

ENCODER_ARGS: dict[str, Any] = {
    "encoder_layers": LAYERS, "encoder_embed_dim": ENCODER_DIM, "encoder_ffn_embed_dim": 10,
    "encoder_attention_heads": HEADS, "encoder_normalize_before": True, "uni_encoder": True,
    "dropout": 0.1, "attention_dropout": 0.1, "activation_dropout": 0.1, "activation_fn": "relu",
}  # fmt: skip
DECODER_ARGS: dict[str, Any] = {
    "encoder_embed_dim": ENCODER_DIM, "decoder_layers": LAYERS, "decoder_embed_dim": TEXT_DIM,
    "decoder_output_dim": TEXT_DIM, "decoder_ffn_embed_dim": 10, "decoder_attention_heads": HEADS,
    "decoder_normalize_before": True, "max_target_positions": 60, "dropout": 0.1, "attention_dropout": 0.1,
    "activation_dropout": 0.1, "activation_fn": "gelu", "share_decoder_input_output_embed": True,
}  # fmt: skip


def randomised(module: nn.Module, *, seed: int = 0) -> Any:
    """The module in evaluation mode, with no weight at zero or one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return module.eval()


def ctc_decoder() -> CTCDecoder:
    decoder: CTCDecoder = randomised(CTCDecoder(dictionary(TEXT_ENTRIES), ENCODER_DIM))
    return decoder


def ctc_transformer(**values: Any) -> CTCDecoderWithTransformerLayer:
    args = Namespace(**(ENCODER_ARGS | values))
    head = CTCDecoderWithTransformerLayer(args, dictionary(TEXT_ENTRIES), ENCODER_DIM)
    decoder: CTCDecoderWithTransformerLayer = randomised(head)
    return decoder


def text_to_unit_encoder(**values: Any) -> TextToUnitEncoder:
    args = Namespace(**(ENCODER_ARGS | {"encoder_embed_dim": TEXT_DIM} | values))
    encoder: TextToUnitEncoder = randomised(TextToUnitEncoder(args))
    return encoder


def mt_decoder(**values: Any) -> TransformerMTDecoder:
    args = Namespace(**(DECODER_ARGS | values))
    entries = dictionary(TEXT_ENTRIES)
    input_dim = values.get("decoder_input_dim", TEXT_DIM)
    embedding = nn.Embedding(len(entries), input_dim, entries.pad())
    decoder: TransformerMTDecoder = randomised(TransformerMTDecoder(args, entries, embedding))
    return decoder


def unit_decoder(**values: Any) -> CTCTransformerUnitDecoder:
    defaults = {"encoder_embed_dim": TEXT_DIM, "ctc_upsample_rate": RATE, "constant_unit_positions": False}
    args = Namespace(**(DECODER_ARGS | defaults | values))
    entries = dictionary(UNIT_ENTRIES, blank=True)
    embedding = nn.Embedding(len(entries), TEXT_DIM, entries.pad())
    no_text = values.get("no_encoder_attn", False)
    decoder: CTCTransformerUnitDecoder = randomised(
        CTCTransformerUnitDecoder(args, entries, embedding, no_encoder_attn=no_text)
    )
    return decoder


MT_VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "post-norm": {"decoder_normalize_before": False},
    "learned positions": {"decoder_learned_pos": True},
    "no positions": {"no_token_positional_embeddings": True},
    "embedding norm, no scale": {"layernorm_embedding": True, "no_scale_embedding": True},
    "projections": {
        "decoder_input_dim": 6, "decoder_output_dim": 10, "share_decoder_input_output_embed": False,
    },
    "scaled parts": {"scale_attn": True, "scale_heads": True, "scale_fc": True, "scale_resids": True},
    "equal dimensions, one head": {"encoder_embed_dim": TEXT_DIM, "decoder_attention_heads": 1},
}  # fmt: skip
UNIT_VARIANTS: dict[str, dict[str, Any]] = {
    "real positions": {},
    "constant positions": {"constant_unit_positions": True},
    "post-norm": {"decoder_normalize_before": False},
    "learned positions": {"decoder_learned_pos": True, "max_target_positions": 400},
    "no positions": {"no_token_positional_embeddings": True},
    "output projection": {"decoder_output_dim": 10, "share_decoder_input_output_embed": False},
    "no text attention": {"no_encoder_attn": True},
}
