"""The Emformer written down plainly: one utterance, one segment at a time, no cache, no mask."""

from collections.abc import Sequence

import torch
from torch import Tensor

from echostream.modules.emformer import EmformerEncoder
from echostream.modules.emformer_convolution import EmformerConvolution
from echostream.modules.emformer_layer import EmformerEncoderLayer


def segment_bounds(num_frames: int, segment_lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Cut into segments of the given lengths; the last length repeats."""
    bounds: list[tuple[int, int]] = []
    start = 0
    while start < num_frames:
        length = segment_lengths[min(len(bounds), len(segment_lengths) - 1)]
        bounds.append((start, min(start + length, num_frames)))
        start += length
    return bounds


def reference_forward(encoder: EmformerEncoder, x: Tensor, segment_lengths: Sequence[int]) -> Tensor:
    """Encode one utterance ``[T, D]`` to ``[T, D]``."""
    bounds = segment_bounds(x.size(0), segment_lengths)
    right = encoder.right_context_length
    frames = x
    contexts = [x[end : end + right] for _, end in bounds]
    memory = [x[start:end].mean(0) for start, end in bounds]
    for layer in encoder.layers:
        normed = layer.layer_norm_input(frames)
        if layer.uses_mean_memory:
            memory = [normed[start:end].mean(0) for start, end in bounds]
        outputs, next_contexts, next_memory = [], [], []
        past_gates = frames.new_zeros(0, frames.size(1))
        for index, (start, end) in enumerate(bounds):
            normed_context = layer.layer_norm_input(contexts[index])
            left = max(0, start - layer.left_context_length)
            keys = [normed_context, normed[left:end]]
            past = memory[max(0, index - layer.memory_size) : index] if layer.memory_size else []
            seen = torch.cat([torch.stack(past), *keys] if past else keys)
            own = [*range(end, end + contexts[index].size(0)), *range(start, end)]
            bias = position_bias(layer, own, [*own[: len(own) - (end - start)], *range(left, end)], len(past))
            queries = torch.cat([normed_context, normed[start:end]])
            residual = torch.cat([contexts[index], frames[start:end]])
            result = attend(layer, queries, seen, bias) + residual
            if layer.convolution is not None:
                convolved, past_gates = convolve(layer.convolution, result, past_gates, end - start)
                result = result + convolved
            result = layer.layer_norm_output(layer.pos_ff(result) + result)
            next_contexts.append(result[: contexts[index].size(0)])
            outputs.append(result[contexts[index].size(0) :])
            summary = attend(layer, normed[start:end].mean(0, keepdim=True), torch.cat(keys))[0]
            clamp = layer.memory_clamp
            next_memory.append(summary.tanh() if layer.tanh_on_mem else summary.clamp(-clamp, clamp))
        frames, contexts, memory = torch.cat(outputs), next_contexts, next_memory
    return frames


def position_bias(
    layer: EmformerEncoderLayer, queries: Sequence[int], keys: Sequence[int], num_memories: int
) -> Tensor:
    """Return ``[H, Q, memories + K]``, what is added to the scores, from the positions in the utterance."""
    attention = layer.attention
    bias = torch.zeros(attention.num_heads, len(queries), num_memories + len(keys), dtype=torch.float64)
    if attention.position_bias is None:
        return bias
    table = attention.position_bias.table
    for row, query in enumerate(queries):
        for age in range(num_memories):
            bias[:, row, num_memories - 1 - age] = table[age]
        for column, key in enumerate(keys):
            distance = max(-64, min(64, key - query))
            bias[:, row, num_memories + column] = table[layer.memory_size + 64 + distance]
    return bias


def convolve(
    module: EmformerConvolution, frames: Tensor, past_gates: Tensor, num_own: int
) -> tuple[Tensor, Tensor]:
    """Convolve right context and segment; return that, and the gated frames up to the segment's end."""
    values, gates = module.pointwise_in(module.layer_norm_input(frames)).chunk(2, dim=-1)
    gated = values * gates.sigmoid()
    num_copies = gated.size(0) - num_own
    known = torch.cat([past_gates, gated[num_copies:]])
    in_time = torch.cat([known, gated[:num_copies]])
    bias = module.depthwise.bias
    assert bias is not None
    outputs = []
    for position in range(past_gates.size(0), in_time.size(0)):
        total: Tensor = bias
        for tap, weight in enumerate(reversed(module.depthwise.weight[:, 0].unbind(1))):
            if position >= tap:
                total = total + weight * in_time[position - tap]
        outputs.append(total)
    convolved = torch.stack(outputs[num_own:] + outputs[:num_own])
    output: Tensor = module.pointwise_out(torch.nn.functional.silu(module.layer_norm_conv(convolved)))
    return output, known


def attend(layer: EmformerEncoderLayer, queries: Tensor, seen: Tensor, bias: Tensor | float = 0.0) -> Tensor:
    attention = layer.attention
    keys, values = attention.emb_to_key_value(seen).chunk(2, dim=-1)
    heads = [
        tensor.unflatten(-1, (attention.num_heads, -1)).transpose(0, 1)
        for tensor in (attention.emb_to_query(queries), keys, values)
    ]
    scores = heads[0] @ heads[1].transpose(1, 2) / heads[0].size(-1) ** 0.5 + bias
    output: Tensor = attention.out_proj((scores.softmax(-1) @ heads[2]).transpose(0, 1).flatten(1))
    return output
