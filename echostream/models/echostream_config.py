"""Encoder settings of EchoStream: command line over the YAML's ``echostream:`` block over the preset.

The resolved values are kept in the model's arguments, hence in its checkpoints: inference needs no YAML for
them.
"""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from echostream.models.streamspeech_config import (
    MINI_SIZES,
    WithoutDefaults,
    add_streamspeech_arguments,
    complete_arguments,
)

BLOCK = "echostream"
CONV_VERSIONS = ("conv2d", "convtransformer", "s2t_transformer")
MEMORY_MODES = ("attention", "mean")


class ConfigError(ValueError):
    """A setting of the encoder is unknown, or its value is impossible."""


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def positive(name: str, value: Any) -> int:
    """Return a value that must be a positive integer."""
    if not _is_integer(value) or value < 1:
        raise ConfigError(f"{name} must be a positive integer, got {value!r}")
    return value


def not_negative(name: str, value: Any) -> int:
    """Return a value that must be zero or a positive integer."""
    if not _is_integer(value) or value < 0:
        raise ConfigError(f"{name} must be zero or a positive integer, got {value!r}")
    return value


def boolean(name: str, value: Any) -> bool:
    """Return a value that must be true or false."""
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be true or false, got {value!r}")
    return value


def integer_list(name: str, value: Any) -> str:
    """Return a list of positive integers, given as a list, as "4,8,16" or as one number, in the form
    "4,8,16".
    """
    items = value.split(",") if isinstance(value, str) else value
    if _is_integer(items):
        items = [items]
    if not isinstance(items, list | tuple) or not items:
        raise ConfigError(f"{name} must be a list of positive integers such as 4,8,16, got {value!r}")
    numbers = []
    for item in items:
        text = str(item).strip()
        if isinstance(item, bool) or not text.isdecimal() or int(text) < 1:
            raise ConfigError(f"{name} must hold positive integers only, got {item!r} in {value!r}")
        numbers.append(int(text))
    return ",".join(str(number) for number in numbers)


def increasing_list(name: str, value: Any) -> str:
    """Return a list of positive integers in increasing order without repetitions, in the form "4,8,16"."""
    numbers = {int(item) for item in integer_list(name, value).split(",")}
    return ",".join(str(number) for number in sorted(numbers))


def one_of(*choices: str) -> Callable[[str, Any], str]:
    """Return a check that a value is one of the choices."""

    def check(name: str, value: Any) -> str:
        if value not in choices:
            raise ConfigError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
        return value

    return check


ENCODER_SETTINGS: Mapping[str, Callable[[str, Any], Any]] = {
    "encoder_layers": positive,
    "encoder_embed_dim": positive,
    "encoder_ffn_embed_dim": positive,
    "encoder_attention_heads": positive,
    "segment_length": positive,
    "segment_lengths": increasing_list,
    "left_context_length": not_negative,
    "right_context_length": not_negative,
    "memory_size": not_negative,
    "memory_mode": one_of(*MEMORY_MODES),
    "tanh_on_mem": boolean,
    "relative_position_bias": boolean,
    "emformer_conv_kernel_size": not_negative,
    "conv_version": one_of(*CONV_VERSIONS),
    "conv_channels": positive,
    "conv_out_channels": positive,
    "conv_kernel_sizes": integer_list,
    "input_projection": boolean,
}
"""What the YAML's block may set, with the check of each value; the names are those of the arguments."""

ENCODER_DEFAULTS: Mapping[str, Any] = {
    "encoder_layers": 16,
    "encoder_embed_dim": 256,
    "encoder_ffn_embed_dim": 2048,
    "encoder_attention_heads": 4,
    "segment_length": 4,
    "segment_lengths": "4,8,16,32",
    "left_context_length": 30,
    "right_context_length": 0,
    "memory_size": 8,
    "memory_mode": "attention",
    "tanh_on_mem": False,
    "relative_position_bias": False,
    "emformer_conv_kernel_size": 0,
    "conv_version": "conv2d",
    "conv_channels": 1024,
    "conv_out_channels": 256,
    "conv_kernel_sizes": "5,5",
    "input_projection": False,
}

ECHOSTREAM_DEFAULTS: Mapping[str, Any] = {
    **ENCODER_DEFAULTS,
    "activation_fn": "relu",
    "dropout": 0.1,
    "max_source_positions": 6000,
    "decoder_embed_dim": 512,
    "decoder_ffn_embed_dim": 2048,
    "decoder_attention_heads": 8,
    "decoder_layers": 2,
    "share_decoder_input_output_embed": True,
    "translation_decoder_layers": 4,
    "synthesizer": "transformer",
    "synthesizer_encoder_layers": 2,
    "synthesizer_augmented_cross_attention": False,
    "uni_encoder": True,
    "ctc_upsample_rate": 25,
    "constant_unit_positions": False,
}
"""The ``echostream`` preset: the Emformer of the paper's size, and StreamSpeech's training script for the
rest.
"""

ECHOSTREAM_MINI_DEFAULTS: Mapping[str, Any] = {
    **ECHOSTREAM_DEFAULTS,
    **MINI_SIZES,
    "conv_version": "s2t_transformer",
    "segment_length": 8,
    "segment_lengths": "4,8,16,32,64",
    "right_context_length": 2,
    "memory_mode": "mean",
    "relative_position_bias": True,
    "emformer_conv_kernel_size": 15,
}
"""The ``echostream_mini`` preset, for two processor cores and a small corpus."""


def add_echostream_arguments(parser: Any) -> None:
    """Add StreamSpeech's flags and the Emformer's, without defaults: YAML and preset fill what is not
    given.
    """
    add_streamspeech_arguments(parser)
    add = WithoutDefaults(parser).add_argument
    add("--segment-length", type=int, metavar="N", help="Emformer segment, encoder frames of 40 ms")
    add(
        "--segment-lengths",
        metavar="N,N,…",
        help="segment lengths that multi-latency training draws from, encoder frames",
    )
    add("--left-context-length", type=int, metavar="N", help="cached left context, encoder frames")
    add(
        "--right-context-length",
        type=int,
        metavar="N",
        help="look-ahead after a segment, encoder frames; costs that much delay",
    )
    add("--memory-size", type=int, metavar="N", help="memory vectors kept, one for each past segment")
    add("--memory-mode", choices=MEMORY_MODES, help="where a segment's memory vector comes from")
    add("--tanh-on-mem", action=argparse.BooleanOptionalAction, help="tanh instead of clamping the memory")
    add(
        "--relative-position-bias",
        action=argparse.BooleanOptionalAction,
        help="learned bias of the Emformer's attention by the distance between key and query",
    )
    add(
        "--emformer-conv-kernel-size",
        type=int,
        metavar="N",
        help="taps, in encoder frames, of a causal depthwise convolution in each Emformer layer; 0: none",
    )
    add(
        "--input-projection",
        action=argparse.BooleanOptionalAction,
        help="linear layer behind the subsampler, as StreamSpeech has one; for a warm start from it",
    )
    add(
        "--load-pretrained-streamspeech-from",
        metavar="PATH",
        help="StreamSpeech checkpoint to take all decoders from, and of the encoder what an Emformer can use",
    )


def read_encoder_block(path: Path) -> dict[str, Any]:
    """Return the checked settings of a configuration file's ``echostream:`` block; empty when it has none.

    Raises:
        ConfigError: for a file that is no YAML, an unknown key, or an impossible value.
        FileNotFoundError: when there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no configuration file {path} (--config-yaml)")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    block = content.get(BLOCK) if isinstance(content, dict) else None
    if block is None:
        return {}
    if not isinstance(block, dict):
        raise ConfigError(f"'{BLOCK}:' in {path} must hold settings such as segment_length: 4, got {block!r}")
    unknown = sorted(str(key) for key in block if key not in ENCODER_SETTINGS)
    if unknown:
        raise ConfigError(
            f"unknown setting {', '.join(unknown)} in '{BLOCK}:' of {path}; "
            f"allowed are {', '.join(ENCODER_SETTINGS)}"
        )
    try:
        return {name: ENCODER_SETTINGS[name](name, value) for name, value in block.items()}
    except ConfigError as error:
        raise ConfigError(f"in '{BLOCK}:' of {path}: {error}") from error


def _config_path(args: argparse.Namespace) -> Path | None:
    """Return where the configuration is; a relative name lies in the data folder, as fairseq has it."""
    name = getattr(args, "config_yaml", None)
    if not name:
        return None
    return Path(getattr(args, "data", None) or ".") / name


def resolve_arguments(args: argparse.Namespace, defaults: Mapping[str, Any]) -> None:
    """Complete the arguments of a model, in place; a second call changes nothing and reads no YAML.

    Args:
        args: what the command line gave, or what a checkpoint holds.
        defaults: the preset.

    Raises:
        ConfigError: for an unknown setting, or values that do not fit together.
        FileNotFoundError: when a configuration file is named that does not exist.
    """
    path = _config_path(args)
    if path is not None and not getattr(args, "encoder_settings_resolved", False):
        for name, value in read_encoder_block(path).items():
            if getattr(args, name, None) is None:
                setattr(args, name, value)
    complete_arguments(args, defaults)
    if getattr(args, "mt_decoder_dropout", None) is None:
        args.mt_decoder_dropout = args.dropout
    for name, check in ENCODER_SETTINGS.items():
        setattr(args, name, check(name, getattr(args, name)))
    _check_together(args)
    args.encoder_settings_resolved = True


def _check_together(args: argparse.Namespace) -> None:
    if args.encoder_embed_dim % args.encoder_attention_heads:
        raise ConfigError(
            f"encoder_attention_heads {args.encoder_attention_heads} must divide encoder_embed_dim "
            f"{args.encoder_embed_dim}"
        )
    longest = max(int(length) for length in args.segment_lengths.split(","))
    if args.segment_length > longest:
        raise ConfigError(
            f"segment_length {args.segment_length} is longer than all of segment_lengths "
            f"{args.segment_lengths}, so it would never be trained: add it there"
        )
