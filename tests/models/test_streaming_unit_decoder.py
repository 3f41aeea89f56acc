"""The unit decoder in streaming: configurations, latency that changes in mid-stream, limits."""

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from echostream.models.decoders import CTCTransformerUnitDecoder
from echostream.policy.read_write import required_target_tokens
from tests.models.tiny_decoders import RATE, TEXT_DIM, UNIT_VARIANTS, unit_decoder


def random_text(num_text: int, *, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, num_text, TEXT_DIM, generator=generator, dtype=torch.float64)


def encoder_out(text: Tensor) -> dict[str, list[Tensor]]:
    return {"encoder_out": [text.transpose(0, 1)], "encoder_padding_mask": []}


@pytest.mark.parametrize("values", UNIT_VARIANTS.values(), ids=UNIT_VARIANTS)
@pytest.mark.parametrize(("lagging_k", "stride_n"), [(0, 1), (1, 1), (0, 4), (3, 2), (-1, 1)])
def test_every_configuration_equals_forward(values: dict[str, Any], lagging_k: int, stride_n: int) -> None:
    decoder = unit_decoder(**values).double()
    text = random_text(25)
    state = decoder.init_state(1)
    pieces = [
        decoder.streaming_forward(chunk, state, lagging_k=lagging_k, stride_n=stride_n)
        for chunk in text.split([1, 1, 3, 0, 15, 5], dim=1)
    ]
    final = decoder.streaming_forward(
        text[:, :0], state, is_final=True, lagging_k=lagging_k, stride_n=stride_n
    )
    actual = torch.cat([*pieces, final], dim=1)
    with torch.no_grad():
        expected = decoder(None, encoder_out(text), {"k2": lagging_k, "n2": stride_n})[0]
    assert state.num_units == 25 * RATE
    torch.testing.assert_close(actual, expected, atol=1e-9, rtol=0)


def test_text_that_comes_at_once_at_the_end_sees_all_as_forward_without_a_mask() -> None:
    decoder = unit_decoder().double()
    text = random_text(6)
    with torch.no_grad():
        expected = decoder(None, encoder_out(text))[0]
    actual = decoder.streaming_forward(text, decoder.init_state(1), is_final=True, lagging_k=100)
    torch.testing.assert_close(actual, expected, atol=1e-9, rtol=0)


Step = tuple[int, int, int]  # new text, lagging_k, stride_n


def visible_by_definition(steps: list[Step]) -> Iterator[list[int]]:
    """For each step, the text that the text positions whose units come out in it may see."""
    num_known = num_done = 0
    for index, (num_new, lagging_k, stride_n) in enumerate(steps):
        num_known += num_new
        visible = []
        is_final = index == len(steps) - 1
        while num_done < num_known:
            required = required_target_tokens(num_done, lagging_k, stride_n)
            if required > num_known and not is_final:
                break
            visible.append(min(required, num_known))
            num_done += 1
        yield visible


def forward_with(decoder: CTCTransformerUnitDecoder, text: Tensor, visible: list[int]) -> Tensor:
    seen = torch.tensor(visible).repeat_interleave(RATE)
    hidden = torch.arange(text.size(1)) >= seen.unsqueeze(1)
    with torch.no_grad(), patch.object(CTCTransformerUnitDecoder, "_text_mask", return_value=hidden[None]):
        logits: Tensor = decoder(None, encoder_out(text))[0]
    return logits


@pytest.mark.parametrize("constant", [False, True])
def test_latency_changes_hold_for_the_text_not_yet_decoded(constant: bool) -> None:
    decoder = unit_decoder(constant_unit_positions=constant).double()

    @settings(deadline=None, max_examples=40, derandomize=True)
    @given(
        st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(1, 3)), min_size=1, max_size=7)
    )
    def check(steps: list[Step]) -> None:
        text = random_text(sum(num_new for num_new, _, _ in steps))
        state = decoder.init_state(1)
        outputs, visible = [], []
        chunks = text.split([num_new for num_new, _, _ in steps], dim=1)
        for index, now_visible in enumerate(visible_by_definition(steps)):
            _, lagging_k, stride_n = steps[index]
            is_final = index == len(steps) - 1
            logits = decoder.streaming_forward(
                chunks[index], state, is_final=is_final, lagging_k=lagging_k, stride_n=stride_n
            )
            assert logits.size(1) == RATE * len(now_visible)
            outputs.append(logits)
            visible += now_visible
        if visible:
            expected = forward_with(decoder, text, visible)
            torch.testing.assert_close(torch.cat(outputs, dim=1), expected, atol=1e-9, rtol=0)

    check()


def test_waiting_text_is_forgotten_on_reset() -> None:
    decoder = unit_decoder().double()
    text = random_text(5)
    state = decoder.init_state(1)
    assert decoder.streaming_forward(text, state, lagging_k=9).size(1) == 0
    assert state.waiting.size(1) == 5
    state.reset()
    assert state.waiting.size(1) == 0
    expected = decoder.streaming_forward(text, decoder.init_state(1), is_final=True)
    assert torch.equal(decoder.streaming_forward(text, state, is_final=True), expected)


def test_a_stride_below_one_is_refused() -> None:
    decoder = unit_decoder().double()
    with pytest.raises(ValueError, match="n2"):
        decoder.streaming_forward(random_text(2), decoder.init_state(1), stride_n=0)


def test_learned_positions_end_and_sinusoids_go_on() -> None:
    text = random_text(40)
    learned = unit_decoder(decoder_learned_pos=True, max_target_positions=60).double()
    state = learned.init_state(1)
    learned.streaming_forward(text[:, :20], state)
    with pytest.raises(ValueError, match=r"position 63 .* has 60"):
        learned.streaming_forward(text[:, 20:21], state)
    assert state.num_units == 60
    sinusoids = unit_decoder(max_target_positions=60).double()
    streamed = sinusoids.streaming_forward(text, sinusoids.init_state(1), is_final=True)
    with torch.no_grad():
        expected = unit_decoder(max_target_positions=200).double()(
            None, encoder_out(text), {"k2": 0, "n2": 1}
        )
    torch.testing.assert_close(streamed, expected[0], atol=1e-9, rtol=0)
