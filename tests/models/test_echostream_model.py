"""EchoStream: presets, settings from command line and YAML, segment lengths."""

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq.models import ARCH_CONFIG_REGISTRY

from echostream.models import EchoStreamModel, EchoStreamSpeechEncoder, StreamSpeechModel
from echostream.models.echostream_config import ENCODER_SETTINGS, ConfigError
from tests.models.tiny_models import TINY_EMFORMER, arguments, batch, build, fake_task, row, tiny_echostream


def parse(arch: str, *flags: str, folder: Path | None = None, yaml: str | None = None) -> argparse.Namespace:
    """What `fairseq-train` does with an architecture's flags."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    group = parser.add_argument_group("model", argument_default=argparse.SUPPRESS)
    EchoStreamModel.add_args(group)
    args = parser.parse_args(list(flags))
    if folder is not None:
        args.data, args.config_yaml = str(folder), "config.yaml"
        if yaml is not None:
            (folder / "config.yaml").write_text(yaml, encoding="utf-8")
    ARCH_CONFIG_REGISTRY[arch](args)
    return args


def test_base_preset() -> None:
    args = parse("echostream")
    wanted = {
        "encoder_layers": 16,
        "encoder_embed_dim": 256,
        "encoder_attention_heads": 4,
        "encoder_ffn_embed_dim": 2048,
        "segment_length": 4,
        "left_context_length": 30,
        "right_context_length": 0,
        "memory_size": 8,
        "translation_decoder_layers": 4,
        "decoder_embed_dim": 512,
        "decoder_attention_heads": 8,
        "synthesizer_encoder_layers": 2,
        "decoder_layers": 2,
        "ctc_upsample_rate": 25,
        "constant_unit_positions": False,
        "uni_encoder": True,
        "mt_decoder_dropout": 0.1,
    }
    assert {name: getattr(args, name) for name in wanted} == wanted


def test_mini_preset() -> None:
    built = build("echostream_mini")
    assert isinstance(built, EchoStreamModel)
    assert isinstance(built, StreamSpeechModel)
    assert isinstance(built.encoder, EchoStreamSpeechEncoder)
    assert built.encoder.embed_dim == 144
    assert built.encoder.segment_lengths == (4, 8, 16, 32, 64)
    assert not built.decoder.constant_unit_positions
    assert built.decoder.layers[0].fc1.weight.shape == (576, 144)
    assert built.text_decoder("target_unigram").layers[0].fc1.weight.shape == (576, 144)
    assert built.decoder.ctc_upsample_rate == 10
    with torch.no_grad():
        assert built(**batch())[0].shape == (2, 60, 15)


def test_yaml_sets_what_the_command_line_leaves(tmp_path: Path) -> None:
    settings = ("segment_length: 8", "segment_lengths: [16, 8]", "memory_size: 0", "encoder_layers: 3")
    yaml = "\n  ".join(["echostream:", *settings])
    args = parse("echostream", "--encoder-layers", "5", folder=tmp_path, yaml=yaml)
    assert (args.segment_length, args.segment_lengths, args.memory_size) == (8, "8,16", 0)
    assert args.encoder_layers == 5
    assert args.left_context_length == 30


def test_command_line_lists(tmp_path: Path) -> None:
    flags = ("--segment-lengths", "32, 8,8", "--segment-length", "8", "--no-tanh-on-mem")
    args = parse("echostream_mini", *flags, folder=tmp_path, yaml="global_cmvn: {}\n")
    assert args.segment_lengths == "8,32"
    assert args.tanh_on_mem is False


def test_options_of_the_layers(tmp_path: Path) -> None:
    yaml = "echostream:\n  relative_position_bias: true\n  emformer_conv_kernel_size: 15\n"
    args = parse("echostream_mini", folder=tmp_path, yaml=yaml)
    assert (args.relative_position_bias, args.emformer_conv_kernel_size) == (True, 15)
    flags = ("--no-relative-position-bias", "--emformer-conv-kernel-size", "7")
    args = parse("echostream_mini", *flags, folder=tmp_path, yaml=yaml)
    assert (args.relative_position_bias, args.emformer_conv_kernel_size) == (False, 7)
    plain = parse("echostream", folder=tmp_path, yaml="global_cmvn: {}\n")
    assert (plain.relative_position_bias, plain.emformer_conv_kernel_size) == (False, 0)
    model = tiny_echostream(relative_position_bias=True, emformer_conv_kernel_size=15)
    for layer in model.encoder.emformer.layers:
        assert layer.attention.position_bias is not None
        assert layer.convolution is not None
        assert layer.convolution.depthwise.weight.shape == (16, 1, 15)


def test_a_checkpoint_needs_no_yaml(tmp_path: Path) -> None:
    args = parse("echostream", folder=tmp_path, yaml="echostream:\n  memory_size: 3\n")
    (tmp_path / "config.yaml").unlink()
    again = argparse.Namespace(**vars(args))
    ARCH_CONFIG_REGISTRY["echostream"](again)
    assert again == args
    assert again.memory_size == 3
    (tmp_path / "config.yaml").write_text("echostream:\n  memory_size: 5\n", encoding="utf-8")
    ARCH_CONFIG_REGISTRY["echostream"](again)
    assert again.memory_size == 3


def test_unknown_setting_is_named_with_those_allowed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown setting segment_lenght") as error:
        parse("echostream", folder=tmp_path, yaml="echostream:\n  segment_lenght: 4\n")
    assert all(name in str(error.value) for name in ENCODER_SETTINGS)
    assert "config.yaml" in str(error.value)


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("echostream:\n  segment_length: 0\n", "segment_length must be a positive integer, got 0"),
        ("echostream:\n  segment_length: true\n", "segment_length must be a positive integer, got True"),
        ("echostream:\n  segment_length: '4'\n", "segment_length must be a positive integer"),
        ("echostream:\n  left_context_length: -1\n", "left_context_length must be zero or"),
        ("echostream:\n  segment_lengths: 4,x\n", "segment_lengths must hold positive integers"),
        ("echostream:\n  segment_lengths: []\n", "segment_lengths must be a list"),
        ("echostream:\n  segment_lengths: [4, -8]\n", "got -8"),
        ("echostream:\n  conv_version: conv3d\n", "conv_version must be one of"),
        ("echostream:\n  tanh_on_mem: 1\n", "tanh_on_mem must be true or false"),
        ("echostream:\n  relative_position_bias: 64\n", "relative_position_bias must be true or false"),
        ("echostream:\n  emformer_conv_kernel_size: -1\n", "emformer_conv_kernel_size must be zero or"),
        ("echostream:\n  encoder_attention_heads: 7\n", "must divide encoder_embed_dim"),
        ("echostream:\n  segment_length: 64\n", "segment_length 64 is longer than all of segment_lengths"),
        ("echostream: 4\n", "must hold settings"),
        ("echostream: [\n", "not valid YAML"),
    ],
)
def test_impossible_settings(tmp_path: Path, yaml: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse("echostream", folder=tmp_path, yaml=yaml)


def test_missing_yaml(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="--config-yaml"):
        parse("echostream", folder=tmp_path)


def test_segment_lengths() -> None:
    model = tiny_echostream()
    assert model.training_chunk_sizes == (2, 4, 8, 999)
    asked = {None: 4, 2: 2, 5: 5, 8: 8, 9: 8, 999: 8, 99999: 8, -1: 8}
    assert {chunk: model.resolve_segment_length(chunk) for chunk in asked} == asked
    generator = torch.Generator().manual_seed(1)
    drawn = [model.draw_training_chunk(generator) for _ in range(60)]
    assert {tuple(chunk.items()) for chunk in drawn} == {(("chunk_size", size),) for size in (2, 4, 8, 999)}


def test_chunk_size_reaches_encoder_and_mask() -> None:
    model = tiny_echostream()
    with torch.no_grad():
        for name in ("source_unigram", "ctc_target_unigram"):
            model.text_decoder(name).proj.weight.mul_(40)
        sample = row(batch(), 0)
        config = {"k1": 0, "n1": 1, "k2": 0, "n2": 1}
        outputs = {
            size: model(**sample, streaming_config=config, chunk_size=size)[1] for size in (None, 4, 8, 999)
        }
    frames = {size: extra["encoder_out"]["encoder_out"][0] for size, extra in outputs.items()}
    assert torch.equal(frames[None], frames[4])
    assert torch.equal(frames[999], frames[8])
    assert not torch.allclose(frames[4], frames[8], atol=1e-4)
    assert set(outputs[4]["visible_frames"][0].tolist()) <= {4, 8, 12, 16, 19}
    assert set(outputs[8]["visible_frames"][0].tolist()) <= {8, 16, 19}


def test_the_trained_model_streams_what_it_encodes() -> None:
    model = tiny_echostream()
    sample = row(batch(), 0)
    with torch.no_grad():
        offline = model.forward_encoder(sample["src_tokens"], sample["src_lengths"])["encoder_out"][0]
        model.encoder.reset_cache()
        pieces = sample["src_tokens"].split(30, dim=1)
        streamed = [
            model.encoder.streaming_forward(piece, is_final=index == len(pieces) - 1)
            for index, piece in enumerate(pieces)
        ]
    torch.testing.assert_close(torch.cat(streamed, dim=1).transpose(0, 1), offline, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tiny_echostream()(**batch(), conv_chunk_size=8), "conv_chunk_size"),
        (lambda: build_with_speaker(), "speaker"),
    ],
)
def test_what_only_the_conformer_has_is_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def build_with_speaker() -> None:
    args = arguments("echostream", **TINY_EMFORMER)
    args.target_speaker_embed = True
    EchoStreamModel.build_model(args, fake_task())
