"""Arguments of the StreamSpeech baseline: its public flags, ours, and the presets."""

import argparse
from collections.abc import Mapping
from typing import Any

from fairseq.models.speech_to_speech.s2s_transformer import S2UTTransformerModel, s2ut_architecture_base

from echostream.models.train_side import TRAIN_SIDES

PUBLIC_MT_DROPOUT = 0.3
"""Dropout of the MT decoder in public StreamSpeech, which fairseq sets whatever ``--dropout`` says."""

STREAMSPEECH_DEFAULTS: Mapping[str, Any] = {
    # What the public flags default to.
    "conv_version": "s2t_transformer",
    "activation_fn": "relu",
    "chunk_size": -1,
    "translation_decoder_layers": 4,
    "synthesizer": "transformer",
    "synthesizer_encoder_layers": 0,
    "synthesizer_augmented_cross_attention": False,
    "uni_encoder": False,
    "ctc_upsample_rate": 10,
    # What the public architecture function adds.
    "attn_type": None,
    "pos_enc_type": "abs",
    "max_source_positions": 6000,
    "encoder_embed_dim": 256,
    "encoder_ffn_embed_dim": 2048,
    "encoder_attention_heads": 4,
    "encoder_layers": 16,
    "depthwise_conv_kernel_size": 31,
    "dropout": 0.1,
    # Ours.
    "constant_unit_positions": True,
    "mt_decoder_dropout": PUBLIC_MT_DROPOUT,
}

MINI_SIZES: Mapping[str, Any] = {
    "encoder_layers": 6,
    "encoder_embed_dim": 144,
    "encoder_ffn_embed_dim": 576,
    "encoder_attention_heads": 4,
    "conv_channels": 256,
    "decoder_embed_dim": 144,
    "decoder_ffn_embed_dim": 576,
    "decoder_attention_heads": 4,
    "decoder_layers": 2,
    "translation_decoder_layers": 2,
    "synthesizer_encoder_layers": 2,
    "ctc_upsample_rate": 10,
    "share_decoder_input_output_embed": True,
    "uni_encoder": True,
    "dropout": 0.1,
    "mt_decoder_dropout": 0.1,
}
"""Sizes of the demo presets, for either encoder."""

STREAMSPEECH_MINI_DEFAULTS: Mapping[str, Any] = {
    **STREAMSPEECH_DEFAULTS,
    **MINI_SIZES,
    "attn_type": "espnet",
    "pos_enc_type": "rel_pos",
    "chunk_size": 8,
    # As echostream_mini: the two presets differ in the encoder only.
    "constant_unit_positions": False,
}


class WithoutDefaults:
    """A parser whose arguments are absent from the result unless they are given, so that a preset can fill
    them.

    Args:
        parser: the parser that the arguments are added to.
    """

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser

    def add_argument(self, *names: str, **kwargs: Any) -> argparse.Action:
        """Add an argument without its default."""
        kwargs["default"] = argparse.SUPPRESS
        return self.parser.add_argument(*names, **kwargs)


def add_streamspeech_arguments(parser: Any) -> None:
    """Add StreamSpeech's public model flags, and ours, without defaults: the architecture function sets
    those.
    """
    parser = WithoutDefaults(parser)
    S2UTTransformerModel.add_args(parser)
    add = parser.add_argument
    add("--depthwise-conv-kernel-size", type=int, metavar="N", help="taps of the Conformer's convolution")
    add("--attn-type", metavar="STR", help="espnet, or leave out for fairseq's attention")
    add("--pos-enc-type", metavar="STR", help="rel_pos, rope or abs; the first two need --attn-type espnet")
    add(
        "--chunk-size",
        type=int,
        metavar="N",
        help="chunk in encoder frames of 40 ms; 0 or less and 999 or more: offline",
    )
    add("--translation-decoder-layers", type=int, metavar="N", help="layers of the MT decoder")
    add("--synthesizer", choices=["transformer"], help="kind of text-to-unit model")
    add("--synthesizer-encoder-layers", type=int, metavar="N", help="layers of the text-to-unit encoder")
    add(
        "--synthesizer-augmented-cross-attention",
        action="store_true",
        help="refused: the CTC unit decoder attends to text only",
    )
    add("--load-pretrained-mt-from", metavar="PATH", help="checkpoint to take encoder and MT decoder from")
    add("--uni-encoder", action="store_true", help="causal text-to-unit encoder and CTC heads")
    add("--ctc-upsample-rate", type=int, metavar="N", help="unit positions for each target subword")
    add(
        "--constant-unit-positions",
        action=argparse.BooleanOptionalAction,
        help="give all unit positions the first position's sinusoid; weights of public checkpoints need it",
    )
    add(
        "--mt-decoder-dropout",
        type=float,
        metavar="D",
        help="dropout of the MT decoder, unless its decoder_args set one",
    )
    add(
        "--train-side",
        choices=TRAIN_SIDES,
        help="text: encoder, CTC heads and MT decoder; units: text-to-unit encoder and unit decoder, beside "
        "the text side of --finetune-from-model, which stays as it is; both (the default)",
    )


def fill_defaults(args: argparse.Namespace, defaults: Mapping[str, Any]) -> None:
    """Set what is absent or None in the arguments to the preset's value; a value that is given stays."""
    for name, value in defaults.items():
        if getattr(args, name, None) is None:
            setattr(args, name, value)


def complete_arguments(args: argparse.Namespace, defaults: Mapping[str, Any]) -> None:
    """Complete a namespace for building a model: the preset, then fairseq's speech-to-unit defaults."""
    fill_defaults(args, defaults)
    s2ut_architecture_base(args)
