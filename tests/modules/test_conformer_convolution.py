"""Chunk-aware convolutions: receptive field, chunks, padding, and fairseq where there are no chunks."""

import pytest
import torch
from fairseq.models.speech_to_text.modules.convolution import Conv1dSubsampler as FairseqConv1d
from fairseq.models.speech_to_text.modules.convolution import Conv2dSubsampler as FairseqConv2d

from echostream.modules.chunk_causal_conv import (
    ChunkCausalConv1d,
    ChunkConv1dSubsampler,
    Conv2dSubsampler,
    padding_mask,
)


def by_definition(conv: ChunkCausalConv1d, x: torch.Tensor, chunk: int) -> torch.Tensor:
    """Each output from its own window, with zeros beyond the chunk."""
    half = conv.kernel_size[0] // 2
    outputs = []
    for center in range(0, x.size(2), conv.stride[0]):
        end = min((center // chunk + 1) * chunk, x.size(2))
        window = torch.zeros(x.size(0), x.size(1), conv.kernel_size[0])
        for tap in range(conv.kernel_size[0]):
            frame = center - half + tap
            if 0 <= frame < end:
                window[:, :, tap] = x[:, :, frame]
        outputs.append(
            torch.nn.functional.conv1d(window, conv.weight, conv.bias, groups=conv.groups)[:, :, 0]
        )
    return torch.stack(outputs, dim=2)


@pytest.mark.parametrize(("stride", "groups", "kernel"), [(1, 6, 7), (2, 1, 5), (1, 1, 1)])
@pytest.mark.parametrize("frames", [1, 3, 8, 21])
@pytest.mark.parametrize("chunk", [2, 4, 8])
def test_convolution_by_definition(stride: int, groups: int, kernel: int, frames: int, chunk: int) -> None:
    torch.manual_seed(0)
    conv = ChunkCausalConv1d(6, 6, kernel, stride=stride, groups=groups)
    x = torch.randn(2, 6, frames)
    torch.testing.assert_close(conv(x, chunk), by_definition(conv, x, chunk), atol=1e-5, rtol=0)
    torch.testing.assert_close(conv(x), by_definition(conv, x, 1000), atol=1e-5, rtol=0)


def test_impossible_convolutions() -> None:
    with pytest.raises(ValueError, match="odd kernel"):
        ChunkCausalConv1d(2, 2, 4)
    conv = ChunkCausalConv1d(2, 2, 5, stride=2)
    with pytest.raises(ValueError, match="multiple of 2"):
        conv(torch.zeros(1, 2, 9), 3)


@pytest.mark.parametrize("chunk", [None, 8])
def test_padded_row_equals_the_row_alone(chunk: int | None) -> None:
    torch.manual_seed(0)
    subsample = ChunkConv1dSubsampler(10, 8, 6, [5, 5])
    x = torch.randn(3, 41, 10)
    lengths = torch.tensor([41, 30, 5])
    y, out_lengths = subsample(x, lengths, chunk)
    assert out_lengths.tolist() == [11, 8, 2]
    for row in range(3):
        alone, alone_lengths = subsample(x[row : row + 1, : lengths[row]], lengths[row : row + 1], chunk)
        assert alone_lengths.tolist() == [out_lengths[row]]
        torch.testing.assert_close(y[row : row + 1, : out_lengths[row]], alone)


def test_conv1d_without_chunks_is_fairseqs() -> None:
    torch.manual_seed(0)
    reference = FairseqConv1d(10, 8, 6, [5, 3])
    ours = ChunkConv1dSubsampler(10, 8, 6, [5, 3])
    ours.load_state_dict(reference.state_dict())
    x, lengths = torch.randn(2, 37, 10), torch.tensor([37, 37])
    expected, expected_lengths = reference(x, lengths)
    y, out_lengths = ours(x, lengths)
    torch.testing.assert_close(y, expected.transpose(0, 1))
    assert out_lengths.tolist() == expected_lengths.tolist()


@pytest.mark.parametrize("frames", [1, 2, 7, 16])
def test_conv2d_is_fairseqs_and_handles_padding(frames: int) -> None:
    torch.manual_seed(0)
    reference = FairseqConv2d(1, 80, 4, 6)
    ours = Conv2dSubsampler(80, 4, 6)
    ours.load_state_dict(reference.state_dict())
    x, lengths = torch.randn(2, frames, 80), torch.tensor([frames, frames])
    expected, _ = reference(x, lengths)
    y, out_lengths = ours(x, lengths)
    torch.testing.assert_close(y, expected.transpose(0, 1))
    assert out_lengths.tolist() == [y.size(1)] * 2
    longer, longer_lengths = ours(torch.cat([x, torch.ones(2, 9, 80)], dim=1), lengths)
    assert longer_lengths.tolist() == out_lengths.tolist()
    torch.testing.assert_close(longer[:, : y.size(1)], y)


def test_padding_mask() -> None:
    assert padding_mask(torch.tensor([2, 0]), 3).tolist() == [[False, False, True], [True, True, True]]
