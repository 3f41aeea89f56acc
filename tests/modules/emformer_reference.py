"""The Emformer written down plainly: one utterance, one segment at a time, no cache, no mask."""

from collections.abc import Sequence

import torch
from torch import Tensor

from echostream.modules.emformer import EmformerEncoder
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
        for index, (start, end) in enumerate(bounds):
            normed_context = layer.layer_norm_input(contexts[index])
            keys = [normed_context, normed[max(0, start - layer.left_context_length) : end]]
            past = memory[max(0, index - layer.memory_size) : index] if layer.memory_size else []
            seen = torch.cat([torch.stack(past), *keys] if past else keys)
            queries = torch.cat([normed_context, normed[start:end]])
            residual = torch.cat([contexts[index], frames[start:end]])
            result = attend(layer, queries, seen) + residual
            result = layer.layer_norm_output(layer.pos_ff(result) + result)
            next_contexts.append(result[: contexts[index].size(0)])
            outputs.append(result[contexts[index].size(0) :])
            summary = attend(layer, normed[start:end].mean(0, keepdim=True), torch.cat(keys))[0]
            clamp = layer.memory_clamp
            next_memory.append(summary.tanh() if layer.tanh_on_mem else summary.clamp(-clamp, clamp))
        frames, contexts, memory = torch.cat(outputs), next_contexts, next_memory
    return frames


def attend(layer: EmformerEncoderLayer, queries: Tensor, seen: Tensor) -> Tensor:
    attention = layer.attention
    keys, values = attention.emb_to_key_value(seen).chunk(2, dim=-1)
    heads = [
        tensor.unflatten(-1, (attention.num_heads, -1)).transpose(0, 1)
        for tensor in (attention.emb_to_query(queries), keys, values)
    ]
    scores = heads[0] @ heads[1].transpose(1, 2) / heads[0].size(-1) ** 0.5
    output: Tensor = attention.out_proj((scores.softmax(-1) @ heads[2]).transpose(0, 1).flatten(1))
    return output
