"""With torchaudio's weights ours gives torchaudio's numbers, where torchaudio does not attend to padding."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echostream.modules.emformer import EmformerEncoder
from tests.modules.torchaudio_oracle import load_torchaudio_emformer

ORACLE = load_torchaudio_emformer()
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9}


def make_pair(
    segment: int, left: int, right: int, memory: int, *, dim: int = 16, layers: int = 3, **options: Any
) -> tuple[Any, EmformerEncoder]:
    torch.manual_seed(3)
    theirs = ORACLE.Emformer(
        dim, 2, 2 * dim, layers, segment, left_context_length=left, right_context_length=right,
        max_memory_size=memory, **options,
    )  # fmt: skip
    ours = EmformerEncoder(dim, 2, 2 * dim, layers, segment, left, right, memory, **options)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return theirs.eval(), ours.eval()


def largest_difference(theirs: Any, ours: EmformerEncoder, num_frames: int, dtype: torch.dtype) -> float:
    """Compare on T + R frames, of which torchaudio encodes T."""
    num_input = num_frames + ours.right_context_length
    x = torch.randn(2, num_input, ours.embed_dim, dtype=torch.float64).to(dtype)
    with torch.no_grad():
        expected, _ = theirs.to(dtype)(x, torch.full((2,), num_frames))
        actual, _ = ours.to(dtype)(x, torch.full((2,), num_input))
    assert actual.shape == x.shape
    return (actual[:, :num_frames] - expected).abs().max().item()


CONTEXTS = {
    "segment": st.integers(1, 9), "left": st.integers(0, 11),
    "right": st.integers(0, 5), "memory": st.integers(0, 4),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_forward_agrees_for_any_context_and_length(dtype: torch.dtype) -> None:
    @settings(deadline=None, max_examples=60, derandomize=True)
    @given(num_frames=st.integers(1, 70), tanh_on_mem=st.booleans(), **CONTEXTS)
    def check(num_frames: int, tanh_on_mem: bool, **contexts: int) -> None:
        pair = make_pair(**contexts, tanh_on_mem=tanh_on_mem)
        assert largest_difference(*pair, num_frames, dtype) < TOLERANCE[dtype]

    check()


@pytest.mark.parametrize(("segment", "right"), [(4, 0), (4, 4), (32, 0), (100, 3)])
def test_forward_agrees_at_the_default_size(segment: int, right: int) -> None:
    pair = make_pair(segment, 30, right, 8, dim=64, layers=16)
    assert largest_difference(*pair, 101, torch.float32) < TOLERANCE[torch.float32]


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu"])
@pytest.mark.parametrize("strategy", ["depthwise", "constant", None])
def test_activations_and_initialisations_agree(activation: str, strategy: str | None) -> None:
    options: dict[str, Any] = {"activation": activation, "weight_init_scale_strategy": strategy}
    theirs, ours = make_pair(4, 8, 2, 2, **options)
    assert largest_difference(theirs, ours, 23, torch.float64) < 1e-9
    torch.manual_seed(3)
    fresh = EmformerEncoder(16, 2, 32, 3, 4, 8, 2, 2, **options)
    for name, parameter in theirs.named_parameters():
        assert torch.equal(fresh.get_parameter(name).double(), parameter), name


def test_memory_is_clamped_alike() -> None:
    theirs, ours = make_pair(2, 2, 0, 3)
    for name, parameter in theirs.named_parameters():
        if name.endswith("attention.out_proj.bias"):
            torch.nn.init.constant_(parameter, 25.0)
    ours.load_state_dict(theirs.state_dict())
    assert largest_difference(theirs, ours, 20, torch.float64) < 1e-9


def test_padded_rows_agree_where_torchaudio_is_right() -> None:
    """Without right context it masks the padding of shorter rows, when the longest fills the batch."""
    theirs, ours = make_pair(4, 6, 0, 3)
    lengths = torch.tensor([24, 16, 8, 4])
    x = torch.randn(4, 24, 16)
    with torch.no_grad():
        expected, _ = theirs(x, lengths)
        actual, returned = ours(x, lengths)
    assert torch.equal(returned, lengths)
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(actual[row, :length], expected[row, :length], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("segment", "left", "right", "memory"), [(4, 6, 0, 3), (3, 7, 2, 2), (4, 0, 4, 0)])
def test_streaming_agrees_with_infer_on_whole_segments(
    segment: int, left: int, right: int, memory: int
) -> None:
    theirs, ours = make_pair(segment, left, right, memory)
    num_segments = 9
    x = torch.randn(2, num_segments * segment + right, 16)
    state, their_state = ours.init_state(2), None
    with torch.no_grad():
        actual = ours.streaming_forward(x, state)
        for index in range(num_segments):
            window = x[:, index * segment : (index + 1) * segment + right]
            expected, _, their_state = theirs.infer(window, torch.full((2,), window.size(1)), their_state)
            ours_here = actual[:, index * segment : (index + 1) * segment]
            torch.testing.assert_close(ours_here, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("segment", "left", "right", "memory"), [(4, 6, 0, 3), (3, 7, 2, 2), (5, 0, 0, 0)])
def test_gradients_agree(segment: int, left: int, right: int, memory: int) -> None:
    theirs, ours = make_pair(segment, left, right, memory)
    num_frames = 8 * segment + 1
    gradients = []
    data = torch.randn(2, num_frames + right, 16, dtype=torch.float64)
    for module, length in ((theirs, num_frames), (ours, num_frames + right)):
        x = data.clone().requires_grad_()
        y, _ = module.double()(x, torch.full((2,), length))
        (y[:, :num_frames].sin() * torch.arange(16)).sum().backward()
        assert x.grad is not None
        gradients.append({"input": x.grad} | {name: p.grad for name, p in module.named_parameters()})
    for name, expected in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], expected, atol=1e-9, rtol=1e-9, msg=name)
