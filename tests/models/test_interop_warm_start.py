"""Warm start of EchoStream from StreamSpeech: what is carried over computes what it computed there."""

import argparse
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq import options
from torch import Tensor

from echostream.models import CheckpointMismatchError
from echostream.models.interop.conformer_to_emformer import plan_layers, subsampler_delay_frames
from echostream.modules.chunk_causal_conv import ChunkConv1dSubsampler
from echostream.modules.subsampler import CausalConv1dSubsampler
from tests.models.tiny_models import TINY_CONFORMER, tiny_echostream, tiny_streamspeech

LAYERS = "encoder.emformer.emformer_layers."
CONFORMER = "encoder.conformer_layers."


def save(path: Path, weights: dict[str, Tensor], **arguments: Any) -> str:
    """Write a checkpoint with a model and its arguments."""
    torch.save({"args": argparse.Namespace(arch="streamspeech", **arguments), "model": weights}, path)
    return str(path)


@pytest.fixture(scope="module")
def source() -> dict[str, Tensor]:
    weights = tiny_streamspeech(seed=1, encoder_layers=3).state_dict()
    generator = torch.Generator().manual_seed(5)
    for name, weight in weights.items():
        if "layer_norm" in name or "pos_bias" in name:
            weight.add_(torch.rand(weight.shape, generator=generator))
    return dict(weights)


@pytest.fixture
def checkpoint(tmp_path: Path, source: dict[str, Tensor]) -> str:
    return save(tmp_path / "streamspeech.pt", source)


def test_plan_of_layers() -> None:
    assert plan_layers(12, 16) == [0, 1, 2, None, 3, 4, 5, None, 6, 7, 8, None, 9, 10, 11, None]
    assert plan_layers(3, 3) == [0, 1, 2]
    assert plan_layers(2, 5) == [0, None, 1, None, None]
    assert plan_layers(12, 4) == [0, 4, 7, 11]
    assert plan_layers(12, 1) == [11]


def test_decoders_are_taken_and_the_map_is_complete(
    checkpoint: str, source: dict[str, Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        model = tiny_echostream(
            load_pretrained_streamspeech_from=checkpoint, encoder_layers=5, input_projection=True
        )
    weights = model.state_dict()
    for name, weight in weights.items():
        if not name.startswith("encoder.") or name.startswith(("encoder.subsample.", "encoder.linear.")):
            assert torch.equal(weight, source[name]), name
    printed = caplog.text
    assert "190 of 222 weights are taken" in printed
    for line in (
        "as it is: target_unigram_decoder.*",
        "as it is: encoder.linear.*",
        "encoder layers: 0 <- 0, 1 <- 1, 2 put in, 3 <- 2, 4 put in",
        "attention.emb_to_query.bias <- self_attn.linear_q.bias, self_attn.pos_bias_u (sum), in layers 0-1,3",
        "stays random: encoder.emformer.emformer_layers.{2,4}.attention.emb_to_query.*",
        "not used of the checkpoint: encoder.conformer_layers.{0-2}.conv_module.*",
        "features lag 60 ms behind",
        "--constant-unit-positions keeps",
    ):
        assert line in printed
    assert "--input-projection gives" not in printed


def test_attention_and_feed_forward_compute_what_they_did(checkpoint: str, source: dict[str, Tensor]) -> None:
    conformer = tiny_streamspeech(encoder_layers=3)
    conformer.load_state_dict(source)
    theirs: Any = conformer.encoder.conformer_layers[1]
    ours = tiny_echostream(load_pretrained_streamspeech_from=checkpoint, encoder_layers=3)
    layer: Any = ours.encoder.emformer.emformer_layers[1]
    x = torch.randn(1, 6, 16, generator=torch.Generator().manual_seed(2))
    normed = theirs.self_attn_layer_norm(x)
    torch.testing.assert_close(layer.layer_norm_input(x), normed)
    q, k, v = (theirs.self_attn.project(name, normed) for name in ("linear_q", "linear_k", "linear_v"))
    # Content attention: without the position scores, which an Emformer has no place for.
    attended = theirs.self_attn.attend(
        q + theirs.self_attn.pos_bias_u.unsqueeze(1), k, v, torch.zeros(1, 1, 6, 6)
    )
    keys, values = layer.attention.split_key_value_heads(layer.attention.emb_to_key_value(normed))
    mask = torch.ones(1, 1, 6, 6, dtype=torch.bool)
    torch.testing.assert_close(layer.attention(normed, keys, values, mask), attended)
    hidden = torch.relu(theirs.ffn2.w_1(theirs.ffn2.layer_norm(x)))  # an Emformer's activation
    torch.testing.assert_close(layer.pos_ff(x), 0.5 * theirs.ffn2.w_2(hidden))
    torch.testing.assert_close(layer.layer_norm_output(x), theirs.final_layer_norm(x))


def test_layers_that_are_put_in_change_nothing(checkpoint: str) -> None:
    x = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(3))
    lengths = torch.tensor([9, 6])
    outputs = []
    for num_layers in (3, 4, 5, 8):
        # Without memory: what is handed up as memory comes from the layer below, put in or not.
        model = tiny_echostream(
            load_pretrained_streamspeech_from=checkpoint, encoder_layers=num_layers, memory_size=0
        )
        outputs.append(model.encoder.emformer(x, lengths)[0])
    for output in outputs[1:]:
        torch.testing.assert_close(output, outputs[0], rtol=1e-5, atol=1e-5)


def test_options_of_the_layers_begin_without_effect(
    checkpoint: str, caplog: pytest.LogCaptureFixture
) -> None:
    x = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(3))
    lengths = torch.tensor([9, 6])
    plain = tiny_echostream(load_pretrained_streamspeech_from=checkpoint, encoder_layers=4)
    with caplog.at_level(logging.INFO):
        model = tiny_echostream(
            load_pretrained_streamspeech_from=checkpoint,
            encoder_layers=4,
            relative_position_bias=True,
            emformer_conv_kernel_size=5,
        )
    shared = {name for name in plain.state_dict() if name.startswith("encoder.emformer.")}
    weights = model.state_dict()
    for name in shared:  # what no checkpoint fills is random in both
        weights[name].copy_(plain.state_dict()[name])
    torch.testing.assert_close(model.encoder.emformer(x, lengths)[0], plain.encoder.emformer(x, lengths)[0])
    assert "convolution.pointwise_out.weight <- 0, in layers 0-3" in caplog.text
    assert "convolution.depthwise" in caplog.text.split("stays random", 1)[1]


def test_kernels_that_look_back_give_the_features_of_an_earlier_signal() -> None:
    centred = ChunkConv1dSubsampler(80, 16, 8, [5, 5]).double()
    causal = CausalConv1dSubsampler(80, 16, 8, (5, 5)).double()
    causal.load_state_dict(centred.state_dict())
    delay_frames = subsampler_delay_frames((5, 5))
    assert delay_frames == 6
    signal = torch.randn(1, 60, 80, dtype=torch.float64)
    delayed = torch.cat([torch.zeros(1, delay_frames, 80, dtype=torch.float64), signal], dim=1)
    ours, _ = causal(signal, torch.tensor([60]))
    theirs, _ = centred(delayed, torch.tensor([66]))
    # The first and last frames see the padding, which the layers fill in on different sides.
    torch.testing.assert_close(ours[:, 3:], theirs[:, 3:15])


def test_what_has_another_size_stays_random(checkpoint: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        tiny_echostream(
            load_pretrained_streamspeech_from=checkpoint,
            encoder_ffn_embed_dim=32,
            conv_version="conv2d",
            constant_unit_positions=True,
        )
    assert "stays random: encoder.subsample.*" in caplog.text
    assert "pos_ff.1" in caplog.text.split("stays random", 1)[1]
    assert "the subsampler is of another kind or size and stays random" in caplog.text
    assert "--input-projection gives it a place" in caplog.text
    assert "--constant-unit-positions" not in caplog.text


def test_wrong_checkpoints_are_refused(tmp_path: Path, source: dict[str, Tensor], checkpoint: str) -> None:
    with pytest.raises(
        CheckpointMismatchError, match=r"(?s)other sizes.*decoder\.layers\.\{0-1\}\.fc1\.weight"
    ):
        tiny_echostream(load_pretrained_streamspeech_from=checkpoint, decoder_ffn_embed_dim=28)
    cut = {name: value for name, value in source.items() if not name.startswith("synthesizer_encoder")}
    with pytest.raises(CheckpointMismatchError, match=r"(?s)missing: 18\n    synthesizer_encoder\.\*"):
        tiny_echostream(load_pretrained_streamspeech_from=save(tmp_path / "cut.pt", cut))
    own = save(tmp_path / "own.pt", dict(tiny_echostream().state_dict()))
    with pytest.raises(CheckpointMismatchError, match=r"Emformer encoder.*--finetune-from-model"):
        tiny_echostream(load_pretrained_streamspeech_from=own)
    with pytest.raises(FileNotFoundError, match=r"absent\.pt"):
        tiny_echostream(load_pretrained_streamspeech_from=str(tmp_path / "absent.pt"))


@pytest.mark.parametrize("arch", ["fairseq", "rope"])
def test_other_attention_of_the_baseline(arch: str, tmp_path: Path) -> None:
    kinds: dict[str, dict[str, Any]] = {
        "fairseq": {"attn_type": None, "pos_enc_type": "abs"},
        "rope": {"pos_enc_type": "rope"},
    }
    weights = tiny_streamspeech(seed=4, **{**TINY_CONFORMER, **kinds[arch]}).state_dict()
    model = tiny_echostream(load_pretrained_streamspeech_from=save(tmp_path / "s.pt", dict(weights)))
    query = "q_proj" if arch == "fairseq" else "linear_q"
    for part in ("weight", "bias"):
        assert torch.equal(
            model.state_dict()[f"{LAYERS}1.attention.emb_to_query.{part}"],
            weights[f"{CONFORMER}1.self_attn.{query}.{part}"],
        )


def test_a_training_that_resumes_has_its_weights_already(
    tmp_path: Path, checkpoint: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "checkpoint_last.pt").write_bytes(b"")
    flags = {"load_pretrained_encoder_from": "/gone.pt", "load_pretrained_mt_from": "/gone.pt"}
    with caplog.at_level(logging.INFO):
        model = tiny_echostream(
            load_pretrained_streamspeech_from=checkpoint,
            save_dir=str(tmp_path),
            restore_file="checkpoint_last.pt",
            **flags,
        )
    assert f"the weights come from {tmp_path / 'checkpoint_last.pt'}" in caplog.text
    fresh = tiny_echostream().state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in model.state_dict().items())


def test_the_input_projection_streams_as_it_trains() -> None:
    encoder = tiny_echostream(input_projection=True).encoder.double()
    source = torch.randn(1, 53, 80, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    offline = encoder(source, torch.tensor([53]))["encoder_out"][0].transpose(0, 1)
    state = encoder.init_state(1)
    pieces = [encoder.streaming_forward(source[:, i : i + 7], state) for i in range(0, 53, 7)]
    pieces.append(encoder.streaming_forward(source[:, :0], state, is_final=True))
    torch.testing.assert_close(torch.cat(pieces, dim=1), offline, rtol=0, atol=1e-9)


def test_the_flags_of_the_command_line(tmp_path: Path, checkpoint: str) -> None:
    (tmp_path / "config.yaml").write_text("echostream: {segment_length: 8}\n")
    command = [str(tmp_path), "--arch", "echostream", "--task", "speech_to_speech_ctc", "--input-projection"]
    command += ["--criterion", "speech_to_unit_2pass_ctc_asr_st"]
    warm = [*command, "--load-pretrained-streamspeech-from", checkpoint]
    args = options.parse_args_and_arch(options.get_training_parser(), warm)
    assert args.load_pretrained_streamspeech_from == checkpoint
    assert args.input_projection is True
    plain = options.parse_args_and_arch(options.get_training_parser(), command)
    assert getattr(plain, "load_pretrained_streamspeech_from", None) is None
