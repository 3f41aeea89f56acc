"""Small Emformer encoders for tests, and what the streaming contract must know of them."""

from typing import Any

import torch
from torch import nn

from echostream.modules.emformer import EmformerEncoder
from tests.streaming_contract import StreamingAdapter

DIM = 8


def make_encoder(
    segment: int, left: int, right: int = 0, memory: int = 0, layers: int = 2, **options: Any
) -> EmformerEncoder:
    torch.manual_seed(2)
    encoder = EmformerEncoder(DIM, 2, 12, layers, segment, left, right, memory, **options)
    for layer in encoder.layers:
        if layer.attention.position_bias is not None:  # zero at first
            nn.init.normal_(layer.attention.position_bias.table)
    return encoder.eval()


class EmformerAdapter(StreamingAdapter):
    input_dim = DIM

    def __init__(self, segment: int, left: int, right: int, memory: int, **options: Any) -> None:
        self.contexts = (segment, left, right, memory)
        self.options = options
        self.name = "-".join(map(str, [*self.contexts, *options.values()]))
        self.period = segment
        self.num_inputs = max(left + segment, (memory + 1) * segment) + right + segment + 1

    def build(self) -> EmformerEncoder:
        return make_encoder(*self.contexts, **self.options)

    def output_length(self, num_inputs: int) -> int:
        return num_inputs

    def num_ready(self, num_inputs: int) -> int:
        segment, _, right, _ = self.contexts
        return max(0, num_inputs - right) // segment * segment

    def visible_inputs(self, output_index: int, num_inputs: int) -> range:
        segment, left, right, memory = self.contexts
        start = output_index // segment * segment
        reach = 2 * (left + (memory + 1) * segment + self.options.get("conv_kernel_size", 0))
        return range(max(0, start - reach), min(start + segment + right, num_inputs))
