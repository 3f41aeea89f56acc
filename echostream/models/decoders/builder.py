"""Text decoders from the entries of the multitask YAML."""

import copy

from fairseq.models.speech_to_speech.s2s_transformer import base_multitask_text_transformer_decoder_arch
from fairseq.models.transformer import TransformerModelBase

from echostream.models.decoders.ctc_decoder import CTCDecoder, CTCDecoderWithTransformerLayer
from echostream.models.decoders.transformer_mt_decoder import TransformerMTDecoder
from echostream.models.streamspeech_config import fill_defaults

INHERITED_BY_CTC_LAYERS = (
    "encoder_ffn_embed_dim",
    "encoder_attention_heads",
    "encoder_normalize_before",
    "uni_encoder",
    "dropout",
    "attention_dropout",
    "activation_dropout",
)


def build_text_decoder(
    args, task_args, dictionary, in_dim: int, is_first_pass: bool
) -> CTCDecoder | CTCDecoderWithTransformerLayer | TransformerMTDecoder:
    """Build the text decoder that an entry of the multitask YAML describes; the entry is not changed.

    Args:
        args: the model's arguments.
        task_args: the entry, with ``decoder_type`` and ``decoder_args``.
        dictionary: its vocabulary.
        in_dim: features of the frames that it reads.
        is_first_pass: whether it is the MT decoder, whose layers, width and heads the model's arguments give.

    Raises:
        ValueError: for an unknown ``decoder_type``.
    """
    decoder_args = copy.copy(task_args.decoder_args)
    if task_args.decoder_type == "transformer":
        return _build_transformer(args, decoder_args, dictionary, in_dim, is_first_pass)
    if task_args.decoder_type != "ctc":
        raise ValueError(f"decoder_type {task_args.decoder_type!r} is unknown: use transformer or ctc")
    if getattr(decoder_args, "encoder_layers", 0) == 0:
        return CTCDecoder(dictionary, in_dim)
    inherited = {name: getattr(args, name) for name in INHERITED_BY_CTC_LAYERS}
    fill_defaults(decoder_args, {"encoder_embed_dim": in_dim, **inherited})
    return CTCDecoderWithTransformerLayer(decoder_args, dictionary, in_dim)


def _build_transformer(
    args, decoder_args, dictionary, in_dim: int, is_first_pass: bool
) -> TransformerMTDecoder:
    decoder_args.encoder_embed_dim = in_dim
    if is_first_pass:
        decoder_args.decoder_layers = args.translation_decoder_layers
        decoder_args.decoder_embed_dim = args.decoder_embed_dim
        decoder_args.decoder_attention_heads = args.decoder_attention_heads
    fill_defaults(
        decoder_args,
        {"dropout": args.mt_decoder_dropout, "decoder_ffn_embed_dim": args.decoder_ffn_embed_dim},
    )
    base_multitask_text_transformer_decoder_arch(decoder_args)
    embed_tokens = TransformerModelBase.build_embedding(
        decoder_args, dictionary, decoder_args.decoder_embed_dim
    )
    return TransformerMTDecoder(decoder_args, dictionary, embed_tokens)
