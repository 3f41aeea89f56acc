"""Operations of each stage as a stream goes on, counted and not timed.

An operation is one multiply-add of a matrix product, a convolution or an attention, or one element that any
other torch operation writes; copies count, views do not. The filter bank's own arithmetic is outside torch:
of that stage, the handling of its samples and frames is counted.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks.cost_case import speech_like_noise
from benchmarks.forced_writing import SAMPLE_RATE
from benchmarks.stage_meter import REST, STAGES, StageMeter
from echostream.inference.session import Session

_ATEN = torch.ops.aten
# torch leaves out the attention that it runs on processors.
_FLOPS = {
    **flop_registry,
    _ATEN._scaled_dot_product_flash_attention_for_cpu: flop_registry[
        _ATEN._scaled_dot_product_flash_attention
    ],
}


class OperationCounter(TorchDispatchMode):
    """Counts the operations of all that torch runs in its context."""

    def __init__(self) -> None:
        super().__init__()
        self.num_operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        flops = _FLOPS.get(func._overloadpacket)
        if flops is None:
            with self:  # in inference mode compound operations arrive whole
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = func(*args, **kwargs)
        if flops is not None:
            self.num_operations += flops(*args, **kwargs, out_val=result) // 2
        elif not func.is_view and func._overloadpacket is not _ATEN._unsafe_view:
            outputs = result if isinstance(result, tuple | list) else [result]
            self.num_operations += sum(output.numel() for output in outputs if isinstance(output, Tensor))
        return result


def count_operations(
    start: Callable[[], Session], chunk_ms: int, num_blocks: int, block_ms: int
) -> list[dict[str, int]]:
    """Operations of each stage in each block of a stream.

    Args:
        start: begins the stream.
        chunk_ms: its chunk.
        num_blocks: blocks of the stream.
        block_ms: a multiple of the chunk.
    Returns:
        for each block, the operations of each stage and of the rest.
    Raises:
        ValueError: for a block that is no multiple of the chunk.
    """
    if block_ms % chunk_ms:
        raise ValueError(f"a block of {block_ms} ms is not a whole number of chunks of {chunk_ms} ms")
    counter = OperationCounter()
    meter = StageMeter(start(), lambda: counter.num_operations)
    chunk_samples = chunk_ms * SAMPLE_RATE // 1000
    source = speech_like_noise(num_blocks * block_ms / 1000)
    blocks = []
    with torch.inference_mode(), counter:
        for block in range(num_blocks):
            sums = dict.fromkeys((*STAGES, REST), 0)
            for index in range(block * block_ms // chunk_ms, (block + 1) * block_ms // chunk_ms):
                cost = meter.step(source[index * chunk_samples : (index + 1) * chunk_samples])
                for name, count in cost.stages.items():
                    sums[name] += int(count)
            blocks.append(sums)
    return blocks
