"""Causal 4x subsampling."""

import pytest
import torch
from torch import Tensor, nn

from echostream.data.fbank import extract_fbank
from echostream.modules.subsampler import CausalConv1dSubsampler, CausalConv2dSubsampler
from tests.streaming_contract import StreamingAdapter, StreamingContract


class SubsamplerAdapter(StreamingAdapter):
    period = 4
    num_inputs = 31

    def __init__(self, name: str, input_dim: int, receptive_field: int) -> None:
        self.name = name
        self.input_dim = input_dim
        self.receptive_field = receptive_field

    def build(self) -> nn.Module:
        torch.manual_seed(1)
        if self.name == "conv2d":
            return CausalConv2dSubsampler(1, self.input_dim, 5, 8).eval()
        if self.name == "conv2d-2-channels":
            return CausalConv2dSubsampler(2, self.input_dim // 2, 5, 8).eval()
        kernel_sizes = (3, 2) if self.name == "conv1d-kernels-3-2" else (5, 5)
        return CausalConv1dSubsampler(self.input_dim, 12, 8, kernel_sizes).eval()

    def output_length(self, num_inputs: int) -> int:
        return -(-num_inputs // 4)

    def num_ready(self, num_inputs: int) -> int:
        return self.output_length(num_inputs)

    def visible_inputs(self, output_index: int, num_inputs: int) -> range:
        return range(max(0, 4 * output_index + 1 - self.receptive_field), 4 * output_index + 1)


ADAPTERS = [
    SubsamplerAdapter("conv1d", 10, receptive_field=5 + 2 * 4),
    SubsamplerAdapter("conv1d-kernels-3-2", 10, receptive_field=3 + 2 * 1),
    SubsamplerAdapter("conv2d", 13, receptive_field=3 + 2 * 2),
    SubsamplerAdapter("conv2d-2-channels", 16, receptive_field=3 + 2 * 2),
]


@pytest.mark.parametrize("adapter", ADAPTERS, ids=str)
class TestSubsamplerContract(StreamingContract):
    pass


@pytest.fixture(params=["conv1d", "conv2d"])
def subsampler(request: pytest.FixtureRequest) -> CausalConv1dSubsampler | CausalConv2dSubsampler:
    if request.param == "conv1d":
        return CausalConv1dSubsampler(80, 12, 8)
    return CausalConv2dSubsampler(1, 80, 4, 8)


@pytest.mark.parametrize("num_chunks", [1, 2, 5])
def test_chunks_of_320_ms_give_whole_segments_of_eight_frames(
    subsampler: CausalConv1dSubsampler | CausalConv2dSubsampler, num_chunks: int
) -> None:
    fbank = extract_fbank(torch.zeros(num_chunks * 5120).numpy())
    _, lengths = subsampler(fbank.unsqueeze(0), torch.tensor([fbank.size(0)]))
    assert lengths.tolist() == [8 * num_chunks]


def test_parameters_have_fairseq_names_and_shapes() -> None:
    from fairseq.models.speech_to_text.modules.convolution import Conv1dSubsampler, Conv2dSubsampler

    pairs = [
        (CausalConv1dSubsampler(80, 12, 8), Conv1dSubsampler(80, 12, 8, [5, 5])),
        (CausalConv2dSubsampler(1, 80, 4, 8), Conv2dSubsampler(1, 80, 4, 8)),
    ]
    for ours, theirs in pairs:
        ours.load_state_dict(theirs.state_dict(), strict=True)


def test_gradients_reach_every_parameter(subsampler: CausalConv1dSubsampler | CausalConv2dSubsampler) -> None:
    y, _ = subsampler(torch.randn(2, 21, 80), torch.tensor([21, 9]))
    y.square().sum().backward()
    for name, parameter in subsampler.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_no_input_gives_no_output(subsampler: CausalConv1dSubsampler | CausalConv2dSubsampler) -> None:
    y, lengths = subsampler(torch.zeros(2, 0, 80), torch.tensor([0, 0]))
    assert y.shape == (2, 0, 8)
    assert lengths.tolist() == [0, 0]


@pytest.mark.parametrize("shape", [(1, 5, 79), (5, 80)])
def test_wrong_features_are_refused(
    subsampler: CausalConv1dSubsampler | CausalConv2dSubsampler, shape: tuple[int, ...]
) -> None:
    x: Tensor = torch.zeros(shape)
    with pytest.raises(ValueError, match=r"\[B, T, 80\]"):
        subsampler(x, torch.tensor([5]))


def test_a_state_for_another_batch_is_refused(
    subsampler: CausalConv1dSubsampler | CausalConv2dSubsampler,
) -> None:
    state = subsampler.init_state(2)
    with pytest.raises(ValueError, match="2 streams, the input has 3"):
        subsampler.streaming_forward(torch.zeros(3, 4, 80), state)


@pytest.mark.parametrize("kernel_sizes", [(5,), (5, 5, 5), (5, 0)])
def test_wrong_kernel_sizes_are_refused(kernel_sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="two positive kernel sizes"):
        CausalConv1dSubsampler(80, 12, 8, kernel_sizes)


def test_an_odd_number_of_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="even"):
        CausalConv1dSubsampler(80, 13, 8)
