"""The baseline's encoder in a stream: finished blocks once and for all, the block under way provisionally."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from echostream.models import StreamSpeechEncoder
from echostream.streaming import StreamFinishedError, StreamState
from tests.models.tiny_models import TINY_CONFORMER, arguments
from tests.streaming_contract import StreamingAdapter, StreamingContract

NUM_BINS = 8
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9}


def make_encoder(**values: Any) -> StreamSpeechEncoder:
    torch.manual_seed(0)
    args = arguments("streamspeech", **{**TINY_CONFORMER, **values})
    args.input_feat_per_channel = NUM_BINS
    return StreamSpeechEncoder(args).eval()


def speech(num_frames: int, batch_size: int = 1, num_bins: int = NUM_BINS) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(batch_size, num_frames, num_bins, generator=generator, dtype=torch.float64)


def offline(encoder: StreamSpeechEncoder, source: Tensor, **chunks: Any) -> Tensor:
    lengths = torch.full((source.size(0),), source.size(1))
    with torch.no_grad():
        frames: Tensor = encoder(source, lengths, **chunks)["encoder_out"][0].transpose(0, 1)
    return frames


class ConformerAdapter(StreamingAdapter):
    input_dim = NUM_BINS
    keeps_history = True
    bytes_per_input = 2 * 2 * 16 * 4 // 4  # layers, keys and values, features, bytes; one of four inputs

    def __init__(self, chunk_size: int, conv_chunk_size: int, **values: Any) -> None:
        self.chunks = {"chunk_size": chunk_size, "conv_chunk_size": conv_chunk_size}
        self.values = values
        self.name = "-".join(map(str, [chunk_size, conv_chunk_size, *values.values()]))
        self.block = math.lcm(chunk_size, conv_chunk_size)
        self.period = 4 * self.block
        self.num_inputs = 2 * self.period + 6

    def build(self) -> nn.Module:
        return make_encoder(**self.values)

    def output_length(self, num_inputs: int) -> int:
        return -(-num_inputs // 4)

    def num_ready(self, num_inputs: int) -> int:
        return num_inputs // self.period * self.block

    def visible_inputs(self, output_index: int, num_inputs: int) -> range:
        return range(min((output_index // self.block + 1) * self.period, num_inputs))

    def forward(self, module: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
        out = module(x, lengths, **self.chunks)
        frames: Tensor = out["encoder_out"][0].transpose(0, 1)
        for mask in out["encoder_padding_mask"]:
            frames = frames.masked_fill(mask.unsqueeze(2), 0.0)
        return frames

    def step(self, module: Any, x: Tensor, state: StreamState, is_final: bool) -> Tensor:
        output: Tensor = module.streaming_forward(x, state, is_final=is_final, **self.chunks)
        return output


ADAPTERS = [
    ConformerAdapter(2, 4, pos_enc_type="rel_pos"),
    ConformerAdapter(3, 2, pos_enc_type="rel_pos"),
    ConformerAdapter(4, 2, pos_enc_type="rope"),
    ConformerAdapter(2, 2, attn_type=None, pos_enc_type="abs"),
]


@pytest.mark.parametrize("adapter", ADAPTERS, ids=str)
class TestConformerContract(StreamingContract):
    pass


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize(
    "chunks",
    [(8, 8), (16, 16), (24, 16), (32, 16), (4, 8), (16, 8), (999, 16), (8, 999), (-1, 999), (None, None)],
    ids=str,
)
def test_final_and_provisional_frames_are_those_of_forward(
    chunks: tuple[int | None, int | None], dtype: torch.dtype
) -> None:
    encoder = make_encoder().to(dtype)
    source = speech(4 * 48 + 77, batch_size=2).to(dtype)
    settings: dict[str, Any] = dict(zip(("chunk_size", "conv_chunk_size"), chunks, strict=True))
    state = encoder.init_state(2)
    final = [torch.zeros(2, 0, 16, dtype=dtype)]
    for begin in range(0, source.size(1), 27):
        so_far = source[:, : begin + 27]
        is_final = so_far.size(1) == source.size(1)
        final.append(encoder.streaming_forward(so_far[:, begin:], state, is_final=is_final, **settings))
        before, num_bytes = state.to_tensors(), state.num_bytes
        frames = torch.cat([*final, encoder.provisional(state)], dim=1)
        torch.testing.assert_close(
            frames, offline(encoder, so_far, **settings), atol=TOLERANCE[dtype], rtol=0
        )
        after = state.to_tensors()
        assert before.keys() == after.keys()
        assert state.num_finished_frames == sum(map(torch.Tensor.numel, final)) // 32
        length = state.num_finished_frames
        for name, tensor in before.items():
            if name.endswith("_buffer"):  # what lies beyond the history's length has no meaning
                tensor, after[name] = tensor[:, :, :length], after[name][:, :, :length]
            assert torch.equal(after[name], tensor), name
        assert state.num_bytes >= num_bytes
    assert encoder.provisional(state).shape == (2, 0, 16)


def test_nothing_is_final_before_the_end_without_chunks() -> None:
    encoder = make_encoder(chunk_size=-1)
    state = encoder.init_state(1)
    source = speech(100).float()
    assert encoder.streaming_forward(source, state).size(1) == 0
    assert encoder.provisional(state).size(1) == 25
    assert encoder.streaming_forward(source[:, :0], state, is_final=True).size(1) == 25


def test_a_stream_without_input_is_empty() -> None:
    encoder = make_encoder()
    state = encoder.init_state(3)
    assert encoder.provisional(state).shape == (3, 0, 16)
    assert encoder.streaming_forward(torch.zeros(3, 0, NUM_BINS), state, is_final=True).shape == (3, 0, 16)


def test_a_stream_has_the_type_of_its_state() -> None:
    encoder = make_encoder().bfloat16()
    state = encoder.init_state(1)
    frames = encoder.streaming_forward(speech(70).float(), state)
    assert (frames.size(1), frames.dtype) == (16, torch.bfloat16)
    assert encoder.provisional(state).dtype == torch.bfloat16


def by_definition(encoder: Any, source: Tensor, blocks: list[tuple[int, int, int]]) -> Tensor:
    """Encode one source whose blocks have chunks of their own, each frame from what it may see.

    A block is (length, attention chunk, convolution chunk), in encoder frames.
    """

    def chunk_ends(factor: int, which: int, num_frames: int) -> Tensor:
        """End of the chunk of each frame at ``factor`` times the encoder's frame rate."""
        ends, begin = [], 0
        for block in blocks:
            length, chunk = factor * block[0], block[which]
            ends += [begin + (frame // chunk + 1) * chunk for frame in range(length)]
            begin += length
        return torch.tensor(ends[:num_frames]).clamp(max=num_frames)

    def convolve(conv: Any, x: Tensor, factor: int) -> Tensor:
        half, outputs = conv.kernel_size[0] // 2, []
        padded = functional.pad(x, (half, half))
        ends = chunk_ends(factor, 2, x.size(2))
        for center in range(0, x.size(2), conv.stride[0]):
            window = padded[:, :, center : center + conv.kernel_size[0]].clone()
            window[:, :, max(0, int(ends[center]) - center + half) :] = 0
            outputs.append(functional.conv1d(window, conv.weight, conv.bias, groups=conv.groups))
        return torch.cat(outputs, dim=2)

    x = source.transpose(1, 2)
    for index, conv in enumerate(encoder.subsample.conv_layers):
        x = functional.glu(convolve(conv, x, 4 // 2**index), dim=1)
    x = encoder.linear(encoder.embed_scale * x.transpose(1, 2))
    num_frames = x.size(1)
    ends = chunk_ends(1, 1, num_frames)
    visible = (torch.arange(num_frames) < ends.unsqueeze(1))[None, None]
    positions = encoder.relative_positions.window(num_frames, device=x.device, dtype=x.dtype)
    for layer in encoder.conformer_layers:
        x = x + 0.5 * layer.ffn1(x)
        x = x + layer.self_attn(layer.self_attn_layer_norm(x), visible, positions)
        module = layer.conv_module
        hidden = functional.glu(module.pointwise_conv1(module.layer_norm(x).transpose(1, 2)), dim=1)
        hidden = module.batch_norm(convolve(module.depthwise_conv, hidden, 1))
        x = x + module.pointwise_conv2(functional.silu(hidden)).transpose(1, 2)
        x = layer.final_layer_norm(x + 0.5 * layer.ffn2(x))
    return x


@torch.no_grad()
def test_a_new_chunk_size_holds_from_the_next_block_on() -> None:
    encoder = make_encoder().double()
    source = speech(4 * (8 + 8 + 48 + 4) + 3)
    assert source.size(1) == 275
    torch.testing.assert_close(
        by_definition(encoder, source[:, :101], [(40, 8, 8)]),
        offline(encoder, source[:, :101]),
        atol=1e-9,
        rtol=0,
    )
    state = encoder.init_state(1)
    # The second block has begun when the size changes, the third when it changes again.
    calls = [(40, 8, 8), (20, 24, 16), (30, 24, 16), (185, 4, 4)]
    outputs, begin = [], 0
    for index, (num_frames, chunk_size, conv_chunk_size) in enumerate(calls):
        outputs.append(
            encoder.streaming_forward(
                source[:, begin : begin + num_frames],
                state,
                is_final=index == len(calls) - 1,
                chunk_size=chunk_size,
                conv_chunk_size=conv_chunk_size,
            )
        )
        begin += num_frames
    expected = by_definition(encoder, source, [(8, 8, 8), (8, 8, 8), (48, 24, 16), (8, 4, 4)])
    torch.testing.assert_close(torch.cat(outputs, dim=1), expected, atol=1e-9, rtol=0)


def test_positions_go_on_beyond_the_table() -> None:
    encoder = make_encoder(pos_enc_type="abs", max_source_positions=20).double()
    source = speech(4 * 60)
    frames = encoder.streaming_forward(source, encoder.init_state(1), is_final=True)
    torch.testing.assert_close(frames, offline(encoder, source), atol=1e-9, rtol=0)


def test_public_size() -> None:
    torch.manual_seed(0)
    args = arguments(
        "streamspeech", attn_type="espnet", pos_enc_type="rel_pos", chunk_size=8, encoder_layers=12,
        conv_channels=1024,
    )  # fmt: skip
    encoder = StreamSpeechEncoder(args).eval()
    source = speech(32 * 6 - 2, num_bins=80).float()
    state = encoder.init_state(1)
    final = [torch.zeros(1, 0, 256)]
    for call in range(6):
        so_far = source[:, : 32 * (call + 1) - 2]  # 320 ms of audio a call; windows are 25 ms long
        final.append(encoder.streaming_forward(so_far[:, max(0, 32 * call - 2) :], state))
        frames = torch.cat([*final, encoder.provisional(state)], dim=1)
        assert frames.size(1) == 8 * (call + 1)
        torch.testing.assert_close(frames, offline(encoder, so_far), atol=1e-5, rtol=0)
    assert state.num_finished_frames == 40


def test_what_cannot_stream_is_refused() -> None:
    with pytest.raises(ValueError, match="convtransformer cannot stream"):
        make_encoder(conv_version="convtransformer").init_state(1)
    encoder = make_encoder()
    state = encoder.init_state(1)
    with pytest.raises(ValueError, match="multiple of 2"):
        encoder.streaming_forward(speech(9).float(), state, conv_chunk_size=3)
    with pytest.raises(ValueError, match=r"\[B, t, 8\]"):
        encoder.streaming_forward(torch.zeros(9, NUM_BINS), state)
    with pytest.raises(ValueError, match="dimension 8"):
        encoder.streaming_forward(torch.zeros(1, 9, NUM_BINS + 1), state)
    encoder.train()
    for call in (
        lambda: encoder.streaming_forward(speech(9).float(), state),
        lambda: encoder.provisional(state),
    ):
        with pytest.raises(RuntimeError, match="eval"):
            call()
    encoder.eval()
    # A refused call leaves the stream as it was.
    source = speech(75).float()
    assert torch.equal(
        encoder.streaming_forward(source, state, is_final=True),
        encoder.streaming_forward(source, encoder.init_state(1), is_final=True),
    )
    with pytest.raises(StreamFinishedError, match="reset"):
        encoder.streaming_forward(source, state)


def test_a_target_speaker_cannot_stream() -> None:
    args = arguments("streamspeech", **TINY_CONFORMER, speaker_embed_dim=3)
    args.target_speaker_embed = True
    with pytest.raises(ValueError, match="target speaker"):
        StreamSpeechEncoder(args).init_state(1)
