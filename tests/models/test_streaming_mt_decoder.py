"""The MT decoder in streaming: frames that come, go and are kept in mind, against its `forward`."""

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from echostream.models.decoders import TransformerMTDecoder
from echostream.models.decoders.transformer_mt_decoder import MTDecoderState
from echostream.streaming import StreamFinishedError
from tests.models.tiny_decoders import ENCODER_DIM, MT_VARIANTS, mt_decoder
from tests.models.tiny_models import TEXT_ENTRIES
from tests.streaming_contract import TimeStepMeter, WorkMeter

PADDING = 1


def random_frames(num_frames: int, *, batch_size: int = 1, seed: int = 0, dim: int = ENCODER_DIM) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch_size, num_frames, dim, generator=generator, dtype=torch.float64)


def random_tokens(num_tokens: int, *, batch_size: int = 1, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(4, TEXT_ENTRIES, (batch_size, num_tokens), generator=generator)


def whole(decoder: TransformerMTDecoder, tokens: Tensor, frames: Tensor, visible: list[int]) -> Tensor:
    encoder_out = {"encoder_out": [frames.transpose(0, 1)], "encoder_padding_mask": []}
    visible_frames = torch.tensor([visible]).expand_as(tokens)
    with torch.no_grad():
        features: Tensor = decoder(tokens, encoder_out, features_only=True, visible_frames=visible_frames)[0]
    return features


@pytest.mark.parametrize("values", MT_VARIANTS.values(), ids=MT_VARIANTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_every_configuration_equals_forward(values: dict[str, Any], dtype: torch.dtype) -> None:
    decoder = mt_decoder(**values).to(dtype)
    dim = values.get("encoder_embed_dim", ENCODER_DIM)
    frames, tokens = random_frames(30, batch_size=2, dim=dim).to(dtype), random_tokens(45, batch_size=2)
    state = decoder.init_state(2)
    features, visible = [], []
    for num_frames, num_tokens in ((3, 1), (0, 1), (7, 5), (20, 38)):
        decoder.append_frames(frames[:, state.num_frames : state.num_frames + num_frames], state)
        new = tokens[:, state.num_positions : state.num_positions + num_tokens]
        features.append(decoder.streaming_forward(new, state))
        visible += [state.num_frames] * num_tokens
    assert (state.num_frames, state.num_positions) == (30, 45)
    expected = whole(decoder, tokens, frames, visible)
    tolerance = 1e-9 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(torch.cat(features, dim=1), expected, atol=tolerance, rtol=0)


OPERATIONS = st.one_of(
    st.tuples(st.just("frames"), st.integers(0, 9)),
    st.tuples(st.just("tokens"), st.integers(0, 4)),
    st.tuples(st.just("drop frames"), st.integers(0, 6)),
    st.tuples(st.just("drop tokens"), st.integers(0, 6)),
    st.tuples(st.just("clone"), st.just(0)),
)


@dataclass
class Record:
    """A session with the decoder, and what `forward` needs to say what it should have given."""

    decoder: TransformerMTDecoder
    state: MTDecoderState
    frames: list[Tensor] = field(default_factory=list)  # every frame that ever came
    known: list[int] = field(default_factory=list)  # which of them are known now
    seen: list[list[int]] = field(default_factory=list)  # and which each kept token saw
    tokens: list[Tensor] = field(default_factory=list)
    features: list[Tensor] = field(default_factory=list)

    def do(self, operation: str, count: int) -> None:
        if operation == "frames":
            new = random_frames(count, seed=len(self.frames))
            self.decoder.append_frames(new, self.state)
            self.known += range(len(self.frames), len(self.frames) + count)
            self.frames += new.split(1, dim=1) if count else []
        elif operation == "tokens" and self.known:
            new_tokens = random_tokens(count, seed=100 * len(self.tokens) + count)
            features = self.decoder.streaming_forward(new_tokens, self.state)
            self.tokens += new_tokens.split(1, dim=1) if count else []
            self.features += features.split(1, dim=1) if count else []
            self.seen += [list(self.known)] * count
        elif operation == "drop frames":
            del self.known[max(len(self.known) - count, 0) :]
            self.state.truncate_frames(len(self.known))
        elif operation == "drop tokens":
            keep = max(len(self.tokens) - count, 0)
            self.state.truncate_positions(keep)
            del self.tokens[keep:], self.features[keep:], self.seen[keep:]
        elif operation == "clone":
            other, self.state = self.state, self.state.clone()
            self.decoder.append_frames(random_frames(2, seed=99), other)
            self.decoder.streaming_forward(random_tokens(2, seed=99), other)

    def expected(self) -> Tensor:
        """`forward` over every frame that ever came, under a mask that shows each token what it saw."""
        hidden = torch.ones(1, len(self.tokens), len(self.frames), dtype=torch.bool)
        for position, seen in enumerate(self.seen):
            hidden[0, position, seen] = False
        frames = torch.cat(self.frames, dim=1).transpose(0, 1)
        encoder_out = {"encoder_out": [frames], "encoder_padding_mask": [hidden]}
        with torch.no_grad():
            features: Tensor = self.decoder(torch.cat(self.tokens, dim=1), encoder_out, features_only=True)[0]
        return features


def test_any_schedule_equals_forward() -> None:
    decoder = mt_decoder().double()

    @settings(deadline=None, max_examples=80, derandomize=True)
    @given(st.lists(OPERATIONS, min_size=1, max_size=14))
    def check(operations: list[tuple[str, int]]) -> None:
        record = Record(decoder, decoder.init_state(1))
        for operation, count in operations:
            record.do(operation, count)
        assert record.state.num_frames == len(record.known)
        assert record.state.num_positions == len(record.tokens)
        if record.tokens:
            actual = torch.cat(record.features, dim=1)
            torch.testing.assert_close(actual, record.expected(), atol=1e-9, rtol=0)

    check()


def test_dropped_tokens_and_provisional_frames_leave_no_trace() -> None:
    decoder = mt_decoder()
    frames, tokens = random_frames(12).float(), random_tokens(9)
    clean, tried = (decoder.init_state(1) for _ in range(2))
    for state in (clean, tried):
        decoder.append_frames(frames[:, :8], state)
        decoder.streaming_forward(tokens[:, :4], state)
    decoder.append_frames(-frames[:, :3], tried)
    decoder.streaming_forward(tokens[:, :6], tried)
    tried.truncate_positions(4)
    tried.truncate_frames(8)
    for state in (clean, tried):
        decoder.append_frames(frames[:, 8:], state)
    actual, expected = (decoder.streaming_forward(tokens[:, 4:], state) for state in (tried, clean))
    assert torch.equal(actual, expected)


def test_the_output_layer_gives_the_logits_of_forward() -> None:
    decoder = mt_decoder()
    frames, tokens = random_frames(5).float(), random_tokens(3)
    state = decoder.init_state(1)
    decoder.append_frames(frames, state)
    with torch.no_grad():
        logits = decoder.output_layer(decoder.streaming_forward(tokens, state))
        expected = decoder(tokens, {"encoder_out": [frames.transpose(0, 1)], "encoder_padding_mask": []})[0]
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)


def test_a_frame_is_projected_once_and_a_token_decoded_once() -> None:
    decoder = mt_decoder()
    state = decoder.init_state(1)
    with TimeStepMeter(decoder) as meter:
        decoder.append_frames(random_frames(10).float(), state)
    layers = len(decoder.layers)
    assert meter.num_elements == 10 * 2 * layers
    steps, elements = [], []
    for _ in range(20):
        with TimeStepMeter(decoder) as meter, WorkMeter() as work:
            decoder.streaming_forward(random_tokens(1), state)
        steps.append(meter.num_elements)
        elements.append(work.num_elements)
    assert len(set(steps)) == len(set(elements)) == 1


def test_positions_end_where_the_decoder_was_built_for() -> None:
    decoder = mt_decoder(max_target_positions=6)
    state = decoder.init_state(1)
    decoder.append_frames(random_frames(2).float(), state)
    decoder.streaming_forward(random_tokens(5), state)
    with pytest.raises(ValueError, match=r"position 7 .* built for 6"):
        decoder.streaming_forward(random_tokens(2), state)
    assert state.num_positions == 5
    decoder.streaming_forward(random_tokens(1), state)


def test_what_cannot_be_decoded_is_refused() -> None:
    decoder = mt_decoder()
    state = decoder.init_state(2)
    tokens = random_tokens(3, batch_size=2)
    with pytest.raises(ValueError, match="append_frames"):
        decoder.streaming_forward(tokens, state)
    decoder.append_frames(random_frames(2, batch_size=2).float(), state)
    with pytest.raises(ValueError, match="padding"):
        decoder.streaming_forward(tokens.index_fill(1, torch.tensor([2]), PADDING), state)
    for wrong in (tokens[:1], tokens[0]):
        with pytest.raises(ValueError, match=r"tokens \[2, n\]"):
            decoder.streaming_forward(wrong, state)
    for truncate, most in ((state.truncate_positions, 0), (state.truncate_frames, 2)):
        with pytest.raises(ValueError, match=f"history of {most} positions"):
            truncate(most + 1)
    decoder.streaming_forward(tokens, state, is_final=True)
    with pytest.raises(StreamFinishedError):
        decoder.append_frames(random_frames(1, batch_size=2).float(), state)
    with pytest.raises(StreamFinishedError):
        decoder.streaming_forward(tokens, state)


def test_a_token_reads_earlier_tokens_and_no_later_one() -> None:
    decoder = mt_decoder().double()
    frames, tokens = random_frames(5), random_tokens(6)
    embedded = decoder.embed_tokens(tokens).detach().requires_grad_()
    decoder.embed_tokens = torch.nn.Module()
    decoder.embed_tokens.forward = lambda _: embedded
    encoder_out = {"encoder_out": [frames.transpose(0, 1)], "encoder_padding_mask": []}
    features = decoder(
        tokens, encoder_out, features_only=True, visible_frames=torch.tensor([[1, 1, 2, 5, 5, 5]])
    )[0]
    weights = torch.arange(1, features.size(2) + 1, dtype=features.dtype).sin()
    for index in range(6):
        (gradient,) = torch.autograd.grad((features[0, index] * weights).sum(), embedded, retain_graph=True)
        assert gradient[0].abs().sum(dim=1).nonzero().flatten().tolist() == list(range(index + 1))
