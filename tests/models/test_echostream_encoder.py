"""The speech encoder of EchoStream behind fairseq's interface."""

from argparse import Namespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from echostream.models.echostream_encoder import EchoStreamSpeechEncoder, parse_segment_lengths
from echostream.streaming import StreamFinishedError, StreamState
from tests.streaming_contract import StreamingAdapter, StreamingContract


def make_args(**overrides: Any) -> Namespace:
    values = {
        "input_feat_per_channel": 16, "input_channels": 1, "conv_version": "conv2d",
        "conv_kernel_sizes": "5,5", "conv_channels": 12, "conv_out_channels": 3,
        "encoder_embed_dim": 8, "encoder_ffn_embed_dim": 12,
        "encoder_attention_heads": 2, "encoder_layers": 2, "dropout": 0.1, "activation_fn": "relu",
        "no_scale_embedding": False, "segment_length": 3, "left_context_length": 4, "right_context_length": 1,
        "memory_size": 2, "segment_lengths": "3,6", "max_source_positions": 6000,
        "encoder_freezing_updates": 0,
    }  # fmt: skip
    return Namespace(**(values | overrides))


def make_encoder(**overrides: Any) -> EchoStreamSpeechEncoder:
    torch.manual_seed(5)
    return EchoStreamSpeechEncoder(make_args(**overrides)).eval()


class EncoderAdapter(StreamingAdapter):
    input_dim = 16
    num_inputs = 61

    def __init__(self, **overrides: Any) -> None:
        self.overrides = overrides
        self.args = make_args(**overrides)
        self.name = "-".join(map(str, overrides.values())) or "default"
        self.period = 4 * self.args.segment_length

    def build(self) -> nn.Module:
        return make_encoder(**self.overrides)

    def output_length(self, num_inputs: int) -> int:
        return -(-num_inputs // 4)

    def num_ready(self, num_inputs: int) -> int:
        segment, right = self.args.segment_length, self.args.right_context_length
        return max(0, self.output_length(num_inputs) // segment * segment - right)

    def visible_inputs(self, output_index: int, num_inputs: int) -> range:
        segment, right = self.args.segment_length, self.args.right_context_length
        end = ((output_index + right) // segment + 1) * segment
        return range(4 * (min(end, self.output_length(num_inputs)) - 1) + 1)

    def forward(self, module: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
        output: Tensor = module(x, lengths)["encoder_out"][0].transpose(0, 1)
        return output

    def init_state(self, module: Any, batch_size: int, dtype: torch.dtype) -> StreamState:
        state: StreamState = module.init_state(batch_size, device="cpu", dtype=dtype)
        return state


ADAPTERS = [
    EncoderAdapter(),
    EncoderAdapter(conv_version="s2t_transformer", right_context_length=0),
    EncoderAdapter(conv_version="convtransformer", memory_size=0, segment_length=1),
    EncoderAdapter(memory_mode="mean", segment_length=2, right_context_length=3),
    EncoderAdapter(relative_position_bias=True, emformer_conv_kernel_size=3),
]


@pytest.mark.parametrize("adapter", ADAPTERS, ids=str)
class TestEncoderContract(StreamingContract):
    pass


def test_forward_returns_fairseqs_dictionary() -> None:
    encoder = make_encoder()
    x = torch.randn(3, 21, 16)
    out = encoder(x, torch.tensor([21, 20, 5]), return_all_hiddens=True)
    keys = [
        "encoder_out",
        "encoder_padding_mask",
        "encoder_embedding",
        "encoder_states",
        "src_tokens",
        "src_lengths",
    ]
    assert list(out) == keys
    assert out["encoder_out"][0].shape == (6, 3, 8)
    assert out["encoder_padding_mask"][0].tolist() == [
        [False] * 6,
        [False] * 5 + [True],
        [False] * 2 + [True] * 4,
    ]
    assert [state.shape for state in out["encoder_states"]] == [(6, 3, 8)] * 2
    assert torch.equal(out["encoder_states"][-1], out["encoder_out"][0])
    assert out["encoder_embedding"] == out["src_tokens"] == out["src_lengths"] == []


def test_nothing_padded_gives_no_mask() -> None:
    out = make_encoder()(torch.randn(2, 21, 16), torch.tensor([21, 21]))
    assert out["encoder_padding_mask"] == []
    assert out["encoder_states"] == []


def test_reorder_takes_rows_and_leaves_the_original() -> None:
    encoder = make_encoder()
    out = encoder(torch.randn(2, 21, 16), torch.tensor([21, 9]), return_all_hiddens=True)
    order = torch.tensor([1, 1, 0])
    reordered = encoder.reorder_encoder_out(out, order)
    assert torch.equal(reordered["encoder_out"][0], out["encoder_out"][0][:, order])
    assert torch.equal(reordered["encoder_padding_mask"][0], out["encoder_padding_mask"][0][order])
    assert torch.equal(reordered["encoder_states"][0], out["encoder_states"][0][:, order])
    assert out["encoder_states"][0].size(1) == 2


def test_chunk_size_is_the_segment_length_of_the_call() -> None:
    encoder = make_encoder(right_context_length=0)
    x, lengths = torch.randn(1, 61, 16), torch.tensor([61])
    with torch.no_grad():
        default, long = encoder(x, lengths), encoder(x, lengths, chunk_size=6)
        assert torch.equal(encoder(x, lengths, chunk_size=3)["encoder_out"][0], default["encoder_out"][0])
        assert not torch.allclose(long["encoder_out"][0], default["encoder_out"][0])
        streamed = encoder.streaming_forward(x, encoder.init_state(1), is_final=True, chunk_size=6)
    torch.testing.assert_close(streamed, long["encoder_out"][0].transpose(0, 1), atol=1e-5, rtol=0)


def test_reset_cache_starts_the_next_utterance_afresh() -> None:
    encoder = make_encoder()
    first, second = torch.randn(1, 30, 16), torch.randn(1, 40, 16)
    expected = encoder(second, torch.tensor([40]))["encoder_out"][0].transpose(0, 1)
    encoder.streaming_forward(first)
    encoder.reset_cache()
    pieces = [encoder.streaming_forward(piece) for piece in second.split(7, dim=1)]
    pieces.append(encoder.streaming_forward(second[:, :0], is_final=True))
    torch.testing.assert_close(torch.cat(pieces, dim=1), expected, atol=1e-5, rtol=0)
    with pytest.raises(StreamFinishedError):
        encoder.streaming_forward(second)
    encoder.reset_cache()
    assert encoder.streaming_forward(torch.randn(2, 30, 16)).size(0) == 2
    assert not any("state" in name for name in encoder.state_dict())


def test_streaming_keeps_no_graph() -> None:
    encoder = make_encoder()
    state = encoder.init_state(1)
    y = encoder.streaming_forward(torch.randn(1, 30, 16, requires_grad=True), state)
    assert not y.requires_grad
    assert not state.emformer.layers[0].left_context.keys.requires_grad


def test_streaming_in_training_mode_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"call eval\(\)"):
        make_encoder().train().streaming_forward(torch.zeros(1, 8, 16))


def test_a_refused_call_changes_nothing() -> None:
    encoder = make_encoder()
    state = encoder.init_state(1)
    x = torch.randn(1, 40, 16)
    with pytest.raises(ValueError, match="segment_length must be at least 1"):
        encoder.streaming_forward(x, state, chunk_size=0)
    with pytest.raises(ValueError, match="1 streams, the input has 2"):
        encoder.streaming_forward(torch.zeros(2, 8, 16), state, is_final=True)
    with pytest.raises(ValueError, match=r"\[B, T, 16\]"):
        encoder.streaming_forward(torch.zeros(1, 8, 15), state, is_final=True)
    expected = encoder(x, torch.tensor([40]))["encoder_out"][0].transpose(0, 1)
    torch.testing.assert_close(
        encoder.streaming_forward(x, state, is_final=True), expected, atol=1e-5, rtol=0
    )


def test_the_state_follows_the_parameters() -> None:
    encoder = make_encoder().double()
    y = encoder.streaming_forward(torch.randn(1, 40, 16, dtype=torch.float64))
    assert y.dtype == torch.float64


def test_autocast_streams_like_it_encodes() -> None:
    encoder = make_encoder()
    x = torch.randn(1, 40, 16)
    expected = encoder(x, torch.tensor([40]))["encoder_out"][0].transpose(0, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        streamed = encoder.streaming_forward(x, is_final=True)
    assert (streamed - expected).abs().max() < 0.3


def test_scaling_and_freezing() -> None:
    scaled, plain = make_encoder(), make_encoder(no_scale_embedding=True)
    assert scaled.embed_scale == pytest.approx(8**0.5)
    assert plain.embed_scale == 1.0
    encoder = make_encoder(encoder_freezing_updates=2).train()
    x, lengths = torch.randn(1, 40, 16), torch.tensor([40])
    for num_updates, is_trained in ((0, False), (1, False), (2, True)):
        encoder.set_num_updates(num_updates)
        assert encoder(x, lengths)["encoder_out"][0].requires_grad == is_trained


def test_gradients_reach_every_parameter() -> None:
    encoder = make_encoder().train()
    encoder(torch.randn(2, 61, 16), torch.tensor([61, 30]))["encoder_out"][0].sin().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_max_positions() -> None:
    assert make_encoder().max_positions() == 6000


@pytest.mark.parametrize(
    ("value", "expected"),
    [("4,8, 16", (4, 8, 16)), ([4, 32], (4, 32)), (None, (3,)), ("", (3,)), ("12", (12,))],
)
def test_segment_lengths_are_read(value: Any, expected: tuple[int, ...]) -> None:
    assert parse_segment_lengths(value, default=3) == expected
    assert make_encoder(segment_lengths=value).segment_lengths == expected


@pytest.mark.parametrize("value", ["4;8", "4,,8", "0,4", [-1], ["x"]])
def test_wrong_segment_lengths_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="segment_lengths must be"):
        parse_segment_lengths(value, default=3)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"conv_version": "conv3d"}, "unknown conv_version 'conv3d'; choose 'conv2d'"),
        (
            {"conv_version": "s2t_transformer", "conv_kernel_sizes": "5;5"},
            "conv_kernel_sizes must be integers",
        ),
        ({"conv_version": "s2t_transformer", "conv_kernel_sizes": "5,5,5"}, "two positive kernel sizes"),
        ({"encoder_attention_heads": 3}, "num_heads"),
        ({"segment_length": 0}, "segment_length"),
    ],
)
def test_wrong_arguments_are_refused(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_encoder(**overrides)


def test_a_target_speaker_is_refused() -> None:
    with pytest.raises(ValueError, match="tgt_speaker"):
        make_encoder()(torch.zeros(1, 8, 16), torch.tensor([8]), tgt_speaker=torch.zeros(1))
