"""Streaming synthesis: the generator's layers, each computing only what is new or was not final.

A convolution reads inputs on both sides, so the newest outputs of a layer are provisional: computed with
zeros where the stream is not known yet, as at the end of a whole synthesis, and again when more is known.
What is final stays in a `StepCache` as far back as the next layer reads. Layers are asked from the last one
down, so that nothing is computed that no sample of this call depends on.

Dimensions: C channels; T steps of one layer (a frame has as many as the upsampling rates before it make).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from echostream.streaming import StreamState
from echostream.vocoder.residual_block import LEAKY_SLOPE, BlockState, ResidualBlock
from echostream.vocoder.step_cache import StepCache, Window

if TYPE_CHECKING:
    from echostream.vocoder.generator import CodeGenerator


@dataclass
class StageState(StreamState):
    """State of one upsampling and of the residual blocks after it.

    Args:
        inputs: the activated input of the upsampling.
        upsampled: its output, which all blocks read.
        blocks: one for each residual block.
    """

    inputs: StepCache
    upsampled: StepCache
    blocks: list[BlockState]


@dataclass
class VocoderState(StreamState):
    """State of one stream of units.

    Args:
        recent_units: `[1, n]`, the last units, on which the durations of the next ones depend.
        waiting_frames: `[1, n]`, the units of the newest frames, as far back as samples to come read them.
        stages: one for each upsampling.
        outputs: the activated input of the last convolution.
        arrived_frames: `[1, n]`, the units of frames that wait for their block.
        num_known_frames: frames so far, apart from those.
        num_written_frames: frames whose samples were returned.
    """

    recent_units: Tensor
    waiting_frames: Tensor
    stages: list[StageState]
    outputs: StepCache
    arrived_frames: Tensor
    num_known_frames: int = 0
    num_written_frames: int = 0

    def arrive(self, units: Tensor) -> None:
        """Append the units `[1, n]` of new frames."""
        self.arrived_frames = torch.cat([self.arrived_frames, units], dim=1)

    def take_blocks(self, block_frames: int) -> None:
        """Make whole blocks of the frames that have arrived known to the layers."""
        num_taken = self.arrived_frames.size(1) // block_frames * block_frames
        taken, self.arrived_frames = (
            self.arrived_frames[:, :num_taken],
            self.arrived_frames[:, num_taken:].clone(),
        )
        self.waiting_frames = torch.cat([self.waiting_frames, taken], dim=1)
        self.num_known_frames += num_taken

    def reset(self) -> None:
        """Forget all units."""
        super().reset()
        self.recent_units = self.recent_units.new_zeros(1, 0)
        self.waiting_frames = self.waiting_frames.new_zeros(1, 0)
        self.arrived_frames = self.arrived_frames.new_zeros(1, 0)


def init_vocoder_state(generator: CodeGenerator, device: torch.device, dtype: torch.dtype) -> VocoderState:
    """Return the state of a stream without units."""
    stages = []
    channels = generator.config.upsample_initial_channel
    for index, upsample in enumerate(generator.upsamplings()):
        inputs = StepCache.create(channels, upsample.input_history_steps, device=device, dtype=dtype)
        channels //= 2
        blocks = generator.stage_blocks(index)
        reach = stage_reach_steps(blocks)
        history = max(block.input_history_steps(reach) for block in blocks)
        upsampled = StepCache.create(channels, history, device=device, dtype=dtype)
        stages.append(StageState(inputs, upsampled, [block.init_state(device, dtype) for block in blocks]))
    no_units = torch.zeros(1, 0, dtype=torch.long, device=device)
    history = 2 * generator.conv_post.padding
    outputs = StepCache.create(channels, history, device=device, dtype=dtype)
    return VocoderState(no_units, no_units.clone(), stages, outputs, no_units.clone())


def stage_reach_steps(blocks: Iterable[ResidualBlock]) -> int:
    """Steps on each side that an output of parallel blocks reads."""
    return max(block.reach_steps for block in blocks)


class StreamingSynthesis:
    """One call of streaming synthesis.

    Args:
        generator: the layers.
        state: of the stream, with all frames known so far; it moves on.
    """

    def __init__(self, generator: CodeGenerator, state: VocoderState) -> None:
        self.generator = generator
        self.state = state
        self.num_steps = [state.num_known_frames]
        """Steps of the stream so far, in front of each upsampling and after the last one."""
        self.num_final = [state.num_known_frames - generator.conv_pre.padding]
        """Those that no later frame changes, of the same activations."""
        for index, upsample in enumerate(generator.upsamplings()):
            reach = stage_reach_steps(generator.stage_blocks(index))
            self.num_steps.append(self.num_steps[-1] * upsample.stride)
            self.num_final.append(self.num_final[-1] * upsample.stride - upsample.padding - reach)

    def write_frames(self, stop: int) -> Tensor:
        """Compute the samples from the last written frame to frame `stop - 1`; [1, 1, S]."""
        state, hop = self.state, self.generator.config.code_hop_samples
        waveform = self._samples(state.num_written_frames * hop, stop * hop)
        state.num_written_frames = stop
        num_kept = state.num_known_frames - self._first_read_frame(state.stages[0].inputs.num_final)
        state.waiting_frames = state.waiting_frames[:, -num_kept:].clone()
        return waveform

    def _samples(self, start: int, stop: int) -> Tensor:
        """Compute samples `start` to `stop - 1`; [1, 1, stop - start]."""
        conv, cache = self.generator.conv_post, self.state.outputs
        last = len(self.generator.ups)
        first = cache.first_missing(start - conv.padding)
        new = self._stage_input(last, first, min(stop + conv.padding, self.num_steps[last]))
        # The last activation has torch's default slope, as in whole synthesis.
        window = cache.extend(Window(F.leaky_relu_(new), first), self.num_final[last])
        return torch.tanh_(conv.valid(window.cut(start - conv.padding, stop + conv.padding)))

    def _stage_input(self, index: int, start: int, stop: int) -> Tensor:
        """Input steps [1, C, T] of upsampling `index`, or of the last convolution if there is none."""
        return self._first_convolution(start, stop) if index == 0 else self._stage(index - 1, start, stop)

    def _first_convolution(self, start: int, stop: int) -> Tensor:
        """Steps `start` to `stop - 1` of the first convolution's output, [1, C, T]."""
        conv, state = self.generator.conv_pre, self.state
        first_waiting = state.num_known_frames - state.waiting_frames.size(1)
        first, end = self._first_read_frame(start), min(stop + conv.padding, state.num_known_frames)
        frames = state.waiting_frames[:, first - first_waiting : end - first_waiting]
        edges = (first - (start - conv.padding), stop + conv.padding - end)
        return conv.valid(F.pad(self.generator.embed(frames), edges))

    def _first_read_frame(self, start: int) -> int:
        """First frame that the first convolution's output reads from step `start` on."""
        return max(0, start - self.generator.conv_pre.padding)

    def _stage(self, index: int, start: int, stop: int) -> Tensor:
        """Steps `start` to `stop - 1` of the mean of the blocks after upsampling `index`, [1, C, T]."""
        state, blocks = self.state.stages[index], self.generator.stage_blocks(index)
        num_steps, num_final = self.num_steps[index + 1], self.num_final[index + 1]
        reach = stage_reach_steps(blocks)
        first = state.upsampled.first_missing(start - reach)
        upsampled = self._upsampled(index, first, min(stop + reach, num_steps))
        x = state.upsampled.extend(Window(upsampled, first), num_final + reach)
        activated = x.map(lambda values: F.leaky_relu(values, LEAKY_SLOPE))
        outputs = [
            block.stream_span(x, activated, block_state, range(start, stop), num_steps, num_final)
            for block, block_state in zip(blocks, state.blocks, strict=True)
        ]
        return sum(outputs[1:], start=outputs[0]) / len(blocks)

    def _upsampled(self, index: int, start: int, stop: int) -> Tensor:
        """Steps `start` to `stop - 1` after upsampling `index`, [1, C, T]."""
        upsample, cache = self.generator.upsamplings()[index], self.state.stages[index].inputs
        needed, end = upsample.inputs_of(start, stop)
        first = cache.first_missing(needed)
        new = self._stage_input(index, first, min(end, self.num_steps[index]))
        window = cache.extend(Window(F.leaky_relu_(new, LEAKY_SLOPE), first), self.num_final[index])
        return upsample.outputs_of(window.cut(needed, end), needed, start, stop)
