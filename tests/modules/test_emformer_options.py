"""Relative position bias and causal convolution of the Emformer: the contract, and what each of them adds."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from echostream.modules.emformer import EmformerEncoder
from echostream.modules.emformer_blocks import SegmentBlocks
from echostream.modules.emformer_positions import MAX_DISTANCE_FRAMES, relative_position_rows
from tests.modules.emformer_adapter import DIM, EmformerAdapter, make_encoder
from tests.modules.emformer_reference import reference_forward
from tests.streaming_contract import StreamingContract, WorkMeter

BIAS: dict[str, Any] = {"relative_position_bias": True}
CONV: dict[str, Any] = {"conv_kernel_size": 5}

ADAPTERS = [
    EmformerAdapter(4, 6, 0, 3, **BIAS),
    EmformerAdapter(3, 4, 2, 2, memory_mode="mean", **BIAS),
    EmformerAdapter(4, 6, 0, 3, **CONV),
    EmformerAdapter(2, 3, 2, 0, **CONV),
    EmformerAdapter(3, 4, 2, 2, **BIAS, **CONV),
    EmformerAdapter(1, 2, 0, 1, memory_mode="mean", **BIAS, **CONV),
]


@pytest.mark.parametrize("adapter", ADAPTERS, ids=str)
class TestEmformerOptionsContract(StreamingContract):
    pass


def test_forward_and_streaming_are_the_definition() -> None:
    @settings(deadline=None, max_examples=40, derandomize=True)
    @given(
        num_frames=st.integers(1, 30),
        chunk=st.integers(1, 9),
        sizes=st.tuples(st.integers(1, 7), st.integers(0, 9), st.integers(0, 4), st.integers(0, 3)),
        memory_mode=st.sampled_from(["attention", "mean"]),
        relative_position_bias=st.booleans(),
        conv_kernel_size=st.sampled_from([0, 1, 2, 15]),
    )
    def check(num_frames: int, chunk: int, sizes: tuple[int, int, int, int], **options: Any) -> None:
        encoder = make_encoder(*sizes, **options).double()
        x = torch.randn(1, num_frames, DIM, dtype=torch.float64)
        with torch.no_grad():
            expected = reference_forward(encoder, x[0], [sizes[0]])
            padded = torch.cat([x, torch.full_like(x[:, :3], torch.nan)], dim=1)
            forward, _ = encoder(padded, torch.tensor([num_frames]))
        torch.testing.assert_close(forward[0, :num_frames], expected, atol=1e-9, rtol=0)
        torch.testing.assert_close(streamed(encoder, x, chunk)[0], expected, atol=1e-9, rtol=0)

    check()


def streamed(encoder: EmformerEncoder, x: Tensor, chunk: int, segment_length: int | None = None) -> Tensor:
    state = encoder.init_state(x.size(0), dtype=x.dtype)
    with torch.no_grad():
        pieces = [
            encoder.streaming_forward(piece, state, segment_length=segment_length)
            for piece in x.split(chunk, dim=1)
        ]
        pieces.append(encoder.streaming_forward(x[:, :0], state, is_final=True))
    return torch.cat(pieces, dim=1)


@pytest.mark.parametrize("right", [0, 2])
def test_a_new_segment_length_holds_from_the_next_segment_on(right: int) -> None:
    encoder = make_encoder(3, 5, right, 3, **BIAS, **CONV).double()
    x = torch.randn(1, 40, DIM, dtype=torch.float64)
    deliveries = [(7, 3), (12, 5), (10, 2), (11, None)]
    state = encoder.init_state(1, dtype=torch.float64)
    outputs, start = [], 0
    with torch.no_grad():
        for num_frames, segment_length in deliveries:
            for piece in x[:, start : start + num_frames].split(2, dim=1):
                outputs.append(encoder.streaming_forward(piece, state, segment_length=segment_length))
            start += num_frames
        outputs.append(encoder.streaming_forward(x[:, :0], state, is_final=True))
        expected = reference_forward(encoder, x[0], [3, 3, 3, 5, 5, 2, 2, 2, 2, 2, 3])
    torch.testing.assert_close(torch.cat(outputs, dim=1)[0], expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("segment_length", [1, 32, 999])
def test_any_segment_length_by_argument(segment_length: int) -> None:
    """Segments longer than the largest distance too."""
    encoder = make_encoder(3, 5, 1, 2, layers=1, **BIAS, **CONV).double()
    x = torch.randn(1, MAX_DISTANCE_FRAMES + 9, DIM, dtype=torch.float64)
    with torch.no_grad():
        y, _ = encoder(x, torch.tensor([x.size(1)]), segment_length=segment_length)
        expected = reference_forward(encoder, x[0], [segment_length])
    torch.testing.assert_close(y[0], expected, atol=1e-9, rtol=0)
    torch.testing.assert_close(streamed(encoder, x, 30, segment_length), y, atol=1e-9, rtol=0)


def test_rows_are_ages_and_distances() -> None:
    """Two segments of two frames, one of right context, two of left, two memory vectors, a summary."""
    blocks = SegmentBlocks(4, 2, 2, 1, 2, has_summary=True)
    zero = 2 + MAX_DISTANCE_FRAMES
    ages = [[1, 0, 0], [1, 1, 0]]  # of the memory visible to each segment; what it does not see is clamped
    keys = [-2, -1, 2, 0, 1, 4, 2, 3]
    expected = []
    for segment, queries in enumerate([[2, 0, 1], [4, 2, 3]]):
        expected += [ages[segment] + [zero + key - query for key in keys] for query in queries]
        expected.append([zero] * 11)
    assert relative_position_rows(blocks, torch.device("cpu")).tolist() == expected


def test_a_bias_of_zero_is_none_and_another_tells_the_order_of_frames() -> None:
    x, lengths = torch.randn(1, 12, DIM), torch.tensor([12])
    swapped = x[:, [1, 0, *range(2, 12)]]
    plain, biased = make_encoder(4, 6, 0, 2), make_encoder(4, 6, 0, 2, **BIAS)
    biased.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        torch.testing.assert_close(plain(swapped, lengths)[0][:, 4:], plain(x, lengths)[0][:, 4:])
        assert (biased(swapped, lengths)[0] - biased(x, lengths)[0])[:, 4:].abs().max() > 1e-3
        for layer in biased.layers:
            assert layer.attention.position_bias is not None
            layer.attention.position_bias.table.zero_()
        torch.testing.assert_close(biased(x, lengths), plain(x, lengths))


def test_a_new_bias_is_zero() -> None:
    encoder = EmformerEncoder(DIM, 2, 12, 1, 4, 6, memory_size=2, **BIAS)
    assert not encoder.state_dict()["emformer_layers.0.attention.position_bias.table"].any()


@pytest.mark.parametrize("right", [0, 2])
def test_gradients_are_finite_and_reach_what_is_used(right: int) -> None:
    encoder = make_encoder(3, 4, right, 2, **BIAS, **CONV).train()
    x = torch.randn(3, 11, DIM, requires_grad=True)
    y, _ = encoder(x, torch.tensor([11, 0, 2]))
    y.square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert not x.grad[1].any()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    bias = encoder.layers[0].attention.position_bias
    assert bias is not None
    assert bias.table.grad is not None
    used = bias.table.grad.abs().sum(dim=1).nonzero().flatten().tolist()
    zero = 2 + MAX_DISTANCE_FRAMES
    assert used == [0, 1, *range(zero - 4 - (2 + right), zero + 2 + right + 1)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_stays_close(dtype: torch.dtype) -> None:
    encoder = make_encoder(3, 5, 1, 2, **BIAS, **CONV)
    x, lengths = torch.randn(2, 20, DIM), torch.tensor([20, 11])
    with torch.no_grad():
        expected, _ = encoder(x, lengths)
        half = encoder.to(dtype)
        actual, _ = half(x.to(dtype), lengths)
    assert actual.dtype == dtype
    assert (actual.float() - expected).abs().max() < 0.2
    assert (streamed(half, x.to(dtype), 7)[0].float() - expected[0]).abs().max() < 0.2


def test_autocast_trains_and_streams() -> None:
    encoder = make_encoder(3, 5, 1, 2, **BIAS, **CONV)
    x, lengths = torch.randn(2, 20, DIM), torch.tensor([20, 20])
    expected, _ = encoder(x, lengths)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual, _ = encoder(x, lengths)
        actual.float().square().sum().backward()
        assert (streamed(encoder, x, 7) - expected).abs().max() < 0.2
    assert (actual - expected).abs().max() < 0.2
    assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())


def test_forward_work_is_linear_in_the_number_of_frames() -> None:
    encoder = make_encoder(4, 30, 2, 3, **BIAS, **CONV)
    work = []
    for num_frames in (320, 640, 960):
        with torch.no_grad(), WorkMeter() as meter:
            encoder(torch.randn(1, num_frames, DIM), torch.tensor([num_frames]))
        work.append(meter.num_elements)
    assert work[2] - work[1] == work[1] - work[0] > 0


def test_off_adds_neither_weights_nor_state() -> None:
    encoder = make_encoder(3, 5, 1, 2)
    assert not [name for name in encoder.state_dict() if "bias.table" in name or "convolution" in name]
    assert not [name for name in encoder.init_state(1).to_tensors() if "convolution" in name]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="conv_kernel_size must be at least 0, got -1"):
        make_encoder(3, 5, conv_kernel_size=-1)
    x = torch.zeros(1, 4, DIM)
    with pytest.raises(ValueError, match="of a layer without convolution"):
        make_encoder(3, 5, **CONV).streaming_forward(x, make_encoder(3, 5).init_state(1))
    attention = make_encoder(3, 5, **BIAS).layers[0].attention
    heads = torch.zeros(1, 2, 4, 4)
    with pytest.raises(ValueError, match="needs position_rows and a float mask"):
        attention(x, heads, heads, torch.ones(1, 1, 4, 4, dtype=torch.bool))
