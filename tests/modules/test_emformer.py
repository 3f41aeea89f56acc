"""Emformer encoder: the streaming contract, and the cases in which padding or partial segments could leak."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from echostream.modules.emformer import EmformerEncoder
from echostream.modules.emformer_blocks import SegmentBlocks
from tests.modules.emformer_adapter import DIM, EmformerAdapter, make_encoder
from tests.modules.emformer_reference import reference_forward, segment_bounds
from tests.streaming_contract import StreamingContract, WorkMeter

ADAPTERS = [
    EmformerAdapter(4, 6, 0, 0),
    EmformerAdapter(4, 6, 0, 3),
    EmformerAdapter(3, 7, 2, 2),
    EmformerAdapter(2, 3, 5, 4),
    EmformerAdapter(5, 0, 1, 0),
    EmformerAdapter(1, 4, 0, 2),
    EmformerAdapter(3, 2, 1, 2, memory_mode="mean"),
    EmformerAdapter(3, 2, 0, 2, tanh_on_mem=True),
]


@pytest.mark.parametrize("adapter", ADAPTERS, ids=str)
class TestEmformerContract(StreamingContract):
    pass


SIZES = {
    "segment": st.integers(1, 7), "left": st.integers(0, 9),
    "right": st.integers(0, 4), "memory": st.integers(0, 3),
}  # fmt: skip


@pytest.mark.parametrize("memory_mode", ["attention", "mean"])
def test_forward_and_streaming_are_the_definition(memory_mode: str) -> None:
    @settings(deadline=None, max_examples=40, derandomize=True)
    @given(num_frames=st.integers(1, 60), chunk=st.integers(1, 9), **SIZES)
    def check(num_frames: int, chunk: int, **sizes: int) -> None:
        encoder = make_encoder(**sizes, memory_mode=memory_mode).double()
        x = torch.randn(1, num_frames, DIM, dtype=torch.float64)
        state = encoder.init_state(1, dtype=torch.float64)
        with torch.no_grad():
            expected = reference_forward(encoder, x[0], [sizes["segment"]])
            forward, _ = encoder(x, torch.tensor([num_frames]))
            pieces = [encoder.streaming_forward(piece, state) for piece in x.split(chunk, dim=1)]
            pieces.append(encoder.streaming_forward(x[:, :0], state, is_final=True))
        torch.testing.assert_close(forward[0], expected, atol=1e-9, rtol=0)
        torch.testing.assert_close(torch.cat(pieces, dim=1)[0], expected, atol=1e-9, rtol=0)

    check()


def test_rows_of_any_length_equal_single_rows() -> None:
    @settings(deadline=None, max_examples=40, derandomize=True)
    @given(lengths=st.lists(st.integers(0, 40), min_size=1, max_size=4), extra=st.integers(0, 9), **SIZES)
    def check(lengths: list[int], extra: int, **sizes: int) -> None:
        encoder = make_encoder(**sizes).double()
        x = torch.full((len(lengths), max(lengths) + extra, DIM), torch.nan, dtype=torch.float64)
        for row, length in enumerate(lengths):
            x[row, :length] = torch.randn(length, DIM)
        with torch.no_grad():
            y, returned = encoder(x, torch.tensor(lengths))
            assert returned.tolist() == lengths
            assert not y.isnan().any()
            for row, length in enumerate(lengths):
                expected = (
                    reference_forward(encoder, x[row, :length], [sizes["segment"]]) if length else x[row, :0]
                )
                torch.testing.assert_close(y[row, :length], expected, atol=1e-9, rtol=0)
                assert not y[row, length:].any()

    check()


def test_no_query_is_left_without_a_key() -> None:
    """What attention gives for a row of masked keys depends on the backend, NaN included."""
    for num_frames, segment, left, right, memory in [(5, 2, 0, 0, 0), (70, 3, 4, 2, 2), (9, 20, 3, 1, 1)]:
        blocks = SegmentBlocks(num_frames, segment, left, right, memory, has_summary=memory > 0)
        mask = blocks.attention_mask(torch.tensor([num_frames, 1, 0]))
        assert mask.any(dim=-1).all()


def test_gradients_are_finite_beside_an_empty_row() -> None:
    encoder = make_encoder(3, 4, 2, 2).train()
    x = torch.randn(3, 11, DIM, requires_grad=True)
    y, _ = encoder(x, torch.tensor([11, 0, 2]))
    y.square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert not x.grad[1].any()
    assert not x.grad[2, 2:].any()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("right", [0, 2, 5])
def test_a_new_segment_length_holds_from_the_next_segment_on(right: int) -> None:
    encoder = make_encoder(3, 5, right, 3).double()
    x = torch.randn(1, 40, DIM, dtype=torch.float64)
    # Frames 0-6 arrive at length 3, 7-18 at 5, 19-28 at 2, the rest at the configured 3. The first change
    # finds segment 6-8 begun, which keeps its length; the second comes just after a full segment, 14-18.
    deliveries = [(7, 3), (12, 5), (10, 2), (11, None)]
    expected_bounds = [3, 3, 3, 5, 5, 2, 2, 2, 2, 2, 3]
    for split in (1, 2, 100):
        state = encoder.init_state(1, dtype=torch.float64)
        outputs, start = [], 0
        with torch.no_grad():
            for num_frames, segment_length in deliveries:
                for piece in x[:, start : start + num_frames].split(split, dim=1):
                    outputs.append(encoder.streaming_forward(piece, state, segment_length=segment_length))
                start += num_frames
            outputs.append(encoder.streaming_forward(x[:, :0], state, is_final=True, segment_length=1))
            expected = reference_forward(encoder, x[0], expected_bounds)
        assert segment_bounds(40, expected_bounds)[5] == (19, 21)
        torch.testing.assert_close(torch.cat(outputs, dim=1)[0], expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("segment_length", [1, 4, 64, 999])
def test_any_segment_length_by_argument(segment_length: int) -> None:
    encoder = make_encoder(3, 5, 1, 2).double()
    x = torch.randn(2, 30, DIM, dtype=torch.float64)
    state = encoder.init_state(2, dtype=torch.float64)
    with torch.no_grad():
        y, _ = encoder(x, torch.tensor([30, 17]), segment_length=segment_length)
        for row, length in enumerate([30, 17]):
            expected = reference_forward(encoder, x[row, :length], [segment_length])
            torch.testing.assert_close(y[row, :length], expected, atol=1e-9, rtol=0)
        streamed = encoder.streaming_forward(x, state, is_final=True, segment_length=segment_length)
    torch.testing.assert_close(streamed[0], y[0], atol=1e-9, rtol=0)


def test_every_layer_is_returned() -> None:
    encoder = make_encoder(3, 5, 1, 2, layers=3)
    x, lengths = torch.randn(2, 10, DIM), torch.tensor([10, 4])
    with torch.no_grad():
        outputs, _ = encoder.forward_layers(x, lengths)
        last, _ = encoder(x, lengths)
    assert len(outputs) == 3
    assert torch.equal(outputs[-1], last)
    assert not torch.equal(outputs[0], outputs[1])


@pytest.mark.parametrize("memory", [0, 3])
def test_forward_work_is_linear_in_the_number_of_frames(memory: int) -> None:
    encoder = make_encoder(4, 30, 2, memory)
    work = []
    for num_frames in (320, 640, 960):
        with torch.no_grad(), WorkMeter() as meter:
            encoder(torch.randn(1, num_frames, DIM), torch.tensor([num_frames]))
        work.append(meter.num_elements)
    assert work[2] - work[1] == work[1] - work[0] > 0


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.15), (torch.float16, 0.02)], ids=str)
def test_half_precision_stays_close(dtype: torch.dtype, tolerance: float) -> None:
    encoder = make_encoder(3, 5, 1, 2)
    x, lengths = torch.randn(2, 20, DIM), torch.tensor([20, 11])
    with torch.no_grad():
        expected, _ = encoder(x, lengths)
        half = encoder.to(dtype)
        actual, _ = half(x.to(dtype), lengths)
        streamed = half.streaming_forward(x.to(dtype), half.init_state(2, dtype=dtype), is_final=True)
    assert actual.dtype == streamed.dtype == dtype
    assert (actual.float() - expected).abs().max() < tolerance
    assert (streamed[0].float() - expected[0]).abs().max() < tolerance


def test_autocast_trains_and_streams() -> None:
    encoder = make_encoder(3, 5, 1, 2)
    x, lengths = torch.randn(2, 20, DIM), torch.tensor([20, 11])
    expected, _ = encoder(x, lengths)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual, _ = encoder(x, lengths)
        actual.float().square().sum().backward()
        with torch.no_grad():
            streamed = encoder.streaming_forward(x, encoder.init_state(2), is_final=True)
    assert (actual - expected).abs().max() < 0.15
    assert (streamed[0] - expected[0]).abs().max() < 0.15
    gradient = encoder.layers[0].attention.emb_to_query.weight.grad
    assert gradient is not None
    assert gradient.isfinite().all()
    assert gradient.any()


def test_dropout_acts_in_training_only() -> None:
    encoder = make_encoder(3, 5, 1, 2, dropout=0.5)
    x, lengths = torch.randn(1, 12, DIM), torch.tensor([12])
    assert torch.equal(encoder(x, lengths)[0], encoder(x, lengths)[0])
    encoder.train()
    assert not torch.equal(encoder(x, lengths)[0], encoder(x, lengths)[0])


def test_no_frames_give_no_output() -> None:
    y, lengths = make_encoder(3, 5)(torch.zeros(2, 0, DIM), torch.tensor([0, 0]))
    assert y.shape == (2, 0, DIM)
    assert lengths.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"segment_length": 0}, "segment_length must be at least 1, got 0"),
        ({"num_layers": 0}, "num_layers must be at least 1"),
        ({"left_context_length": -1}, "left_context_length must be at least 0"),
        ({"memory_size": -2}, "memory_size must be at least 0"),
        ({"num_heads": 3}, "not a multiple of num_heads"),
        ({"activation": "step"}, "unknown activation 'step'"),
        ({"memory_mode": "max"}, "unknown memory_mode 'max'"),
        ({"memory_mode": "mean", "tanh_on_mem": True}, "tanh_on_mem needs"),
        ({"weight_init_scale_strategy": "wide"}, "unknown weight_init_scale_strategy"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    sizes = {"embed_dim": 8, "num_heads": 2, "ffn_embed_dim": 8, "num_layers": 1, "segment_length": 4}
    with pytest.raises(ValueError, match=message):
        EmformerEncoder(**({**sizes, "left_context_length": 2} | options))


@pytest.mark.parametrize(
    ("x", "lengths", "message"),
    [
        (torch.zeros(1, 5, 7), [5], r"expected input \[B, T, 8\]"),
        (torch.zeros(5, 8), [5], r"expected input \[B, T, 8\]"),
        (torch.zeros(2, 5, 8), [5], r"lengths of shape \(2,\)"),
        (torch.zeros(1, 5, 8), [6], "0 … 5, the number of frames, got 6"),
        (torch.zeros(1, 5, 8), [-1], "got -1"),
    ],
)
def test_wrong_input_is_refused(x: Tensor, lengths: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_encoder(3, 5)(x, torch.tensor(lengths))


def test_wrong_streaming_input_is_refused_and_changes_nothing() -> None:
    encoder = make_encoder(3, 5)
    state = encoder.init_state(2)
    with pytest.raises(ValueError, match="batch size 2 and dimension 8, the input has 3 and 8"):
        encoder.streaming_forward(torch.zeros(3, 4, 8), state, is_final=True)
    with pytest.raises(ValueError, match="segment_length must be at least 1"):
        encoder.streaming_forward(torch.zeros(2, 4, 8), state, segment_length=0)
    with pytest.raises(ValueError, match=r"\[B, t, D\]"):
        encoder.streaming_forward(torch.zeros(4, 8), state)
    assert encoder.streaming_forward(torch.zeros(2, 4, 8), state).shape == (2, 3, 8)
