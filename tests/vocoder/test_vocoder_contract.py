"""The streaming contract of the vocoder: frames of units in, frames of samples out.

With its receptive field held back, the vocoder writes the whole synthesis. Provisional borders, durations and
blocks are in the tests of streaming synthesis.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from echostream.streaming import StreamState
from echostream.vocoder.config import GeneratorConfig
from echostream.vocoder.errors import VocoderError
from echostream.vocoder.receptive_field import generator_receptive_field
from tests.streaming_contract import SingleStreamContract, StreamingAdapter, WorkMeter
from tests.vocoder.small_vocoder import SMALL
from tests.vocoder.test_streaming_vocoder import OTHER_SHAPES, make_generator, random_units


class SynthesisMeter(WorkMeter):
    """Leaves out integers: the units that wait are few, and a long write copies them once for each part."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = self.num_elements
        result = super().__torch_dispatch__(func, types, args, kwargs)
        if isinstance(result, Tensor) and not result.is_floating_point():
            self.num_elements = before
        return result


class VocoderAdapter(StreamingAdapter):
    """Units ``[1, T]``, one a frame, come in; samples ``[1, T', code_hop_samples]`` go out."""

    batch_size = 1
    is_differentiable = False

    def __init__(self, name: str, changes: dict[str, Any]) -> None:
        self.name = name
        self.config = {**SMALL, **changes}
        config = GeneratorConfig.from_dict(self.config)
        self.hop_samples = config.code_hop_samples
        self.field = generator_receptive_field(config)
        # So that each call writes, and that sixteen periods are a whole number of the parts of a long write.
        self.period = 4 * (1 + self.field.right_frames // 4)
        self.num_inputs = 2 * self.field.left_frames + self.period + 5

    def build(self) -> nn.Module:
        return make_generator(self.config, torch.float32)

    def random_input(self, batch_size: int, num_inputs: int, dtype: torch.dtype) -> Tensor:
        return torch.cat([random_units(num_inputs, seed=seed) for seed in range(batch_size)])

    def changed_input(self, x: Tensor) -> Tensor:
        return (x + 1) % self.config["num_embeddings"]

    def work_meter(self, module: nn.Module) -> SynthesisMeter:
        return SynthesisMeter()

    def output_length(self, num_inputs: int) -> int:
        return num_inputs

    def num_ready(self, num_inputs: int) -> int:
        return max(0, num_inputs - self.field.right_frames)

    def visible_inputs(self, output_index: int, num_inputs: int) -> range:
        first, last = output_index - self.field.left_frames, output_index + self.field.right_frames
        return range(max(0, first), min(last + 1, num_inputs))

    def forward(self, module: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
        return self._in_frames(module(x))

    def init_state(self, module: Any, batch_size: int, dtype: torch.dtype) -> StreamState:
        state: StreamState = module.init_state(batch_size)
        return state

    def step(self, module: Any, x: Tensor, state: StreamState, is_final: bool) -> Tensor:
        waveform, _ = module.streaming_forward(
            x, state, is_final=is_final, hold_back_frames=self.field.right_frames
        )
        return self._in_frames(waveform)

    def _in_frames(self, waveform: Tensor) -> Tensor:
        return waveform.view(1, -1, self.hop_samples)


ADAPTERS = [
    VocoderAdapter("three-upsamplings", OTHER_SHAPES[0]),
    VocoderAdapter("two-upsamplings", OTHER_SHAPES[2]),
    VocoderAdapter("wide-receptive-field", OTHER_SHAPES[3]),
]


@pytest.mark.parametrize("adapter", ADAPTERS, ids=str)
class TestVocoderContract(SingleStreamContract):
    def test_7_in_place_of_rows(self, adapter: StreamingAdapter) -> None:
        """A batch is refused: its rows would differ in their number of frames."""
        module = adapter.build()
        for batch_size in (0, 2):
            with pytest.raises(VocoderError, match="one stream"):
                adapter.init_state(module, batch_size, torch.float32)
