"""Causal convolutions: the streaming contract for every kernel and stride."""

import pytest
import torch
from torch import Tensor, nn

from echostream.streaming import CausalConv1d, CausalConv2d, StreamState
from tests.streaming_contract import StreamingAdapter, StreamingContract

NUM_BINS = 5


class ConvAdapter(StreamingAdapter):
    """The convolutions have channels (and bins) in other places than ``[B, T, D]``, and no lengths."""

    num_inputs = 17

    def __init__(self, dimensions: int, kernel_size: int, stride: int) -> None:
        self.dimensions = dimensions
        self.kernel_size = kernel_size
        self.period = self.stride = stride
        self.input_dim = 4 if dimensions == 1 else 2 * NUM_BINS
        self.name = f"conv{dimensions}d-kernel{kernel_size}-stride{stride}"

    def build(self) -> nn.Module:
        torch.manual_seed(4)
        if self.dimensions == 1:
            return CausalConv1d(4, 3, self.kernel_size, self.stride).eval()
        return CausalConv2d(2, 3, self.kernel_size, self.stride).eval()

    def output_length(self, num_inputs: int) -> int:
        return -(-num_inputs // self.stride)

    def num_ready(self, num_inputs: int) -> int:
        return self.output_length(num_inputs)

    def visible_inputs(self, output_index: int, num_inputs: int) -> range:
        last = output_index * self.stride
        return range(max(0, last + 1 - self.kernel_size), last + 1)

    def forward(self, module: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
        y = self._unpack(module(self._pack(x)))
        num_valid = (lengths + self.stride - 1) // self.stride
        return y.masked_fill((torch.arange(y.size(1)) >= num_valid.unsqueeze(1)).unsqueeze(2), 0.0)

    def init_state(self, module: nn.Module, batch_size: int, dtype: torch.dtype) -> StreamState:
        if isinstance(module, CausalConv2d):
            return module.init_state(batch_size, NUM_BINS, dtype=dtype)
        assert isinstance(module, CausalConv1d)
        return module.init_state(batch_size, dtype=dtype)

    def step(self, module: nn.Module, x: Tensor, state: StreamState, is_final: bool) -> Tensor:
        return self._unpack(super().step(module, self._pack(x), state, is_final))

    def _pack(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2) if self.dimensions == 1 else x.unflatten(2, (2, NUM_BINS)).transpose(1, 2)

    def _unpack(self, y: Tensor) -> Tensor:
        return y.transpose(1, 2) if self.dimensions == 1 else y.transpose(1, 2).flatten(2)


ADAPTERS = [
    *(
        ConvAdapter(1, kernel_size, stride)
        for kernel_size, stride in [(1, 1), (5, 1), (5, 2), (2, 3), (4, 4)]
    ),
    *(ConvAdapter(2, kernel_size, stride) for kernel_size, stride in [(1, 1), (3, 2), (3, 4)]),
]


@pytest.mark.parametrize("adapter", ADAPTERS, ids=str)
class TestCausalConvContract(StreamingContract):
    pass


def test_an_even_kernel_has_no_centre_in_frequency() -> None:
    with pytest.raises(ValueError, match="odd"):
        CausalConv2d(1, 1, 4)


@pytest.mark.parametrize("num_bins", [1, 4, 5, 80])
def test_an_empty_output_has_the_right_number_of_bins(num_bins: int) -> None:
    conv = CausalConv2d(1, 2, 3, stride=2)
    state = conv.init_state(1, num_bins)
    some = conv.streaming_forward(torch.zeros(1, 1, 1, num_bins), state)
    none = conv.streaming_forward(torch.zeros(1, 1, 1, num_bins), state)
    assert some.shape[2:] == (1, -(-num_bins // 2))
    assert none.shape == (1, 2, 0, some.size(3))
