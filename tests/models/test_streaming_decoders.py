"""The streaming contract for the CTC heads, the text-to-unit encoder and both decoders."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from echostream.models.decoders.streaming_layers import LayerStackState
from echostream.policy.read_write import required_target_tokens
from echostream.streaming import StreamState
from tests.models import tiny_decoders
from tests.models.tiny_decoders import ENCODER_DIM, LAYERS, RATE, TEXT_DIM
from tests.models.tiny_models import TEXT_ENTRIES
from tests.streaming_contract import StreamingAdapter, StreamingContract, WorkMeter

FLOAT32_BYTES = 4
FINITE_PADDING = 7.0  # fairseq's attention multiplies the values of padding by zero


def history_bytes(dim: int) -> int:
    """Keys and values of one position in all layers, in float32."""
    return 2 * LAYERS * dim * FLOAT32_BYTES


def padding(lengths: Tensor, length: int) -> Tensor:
    return torch.arange(length) >= lengths.unsqueeze(1)


class HeadAdapter(StreamingAdapter):
    """The linear CTC head: a frame's logits depend on that frame alone."""

    name = "ctc"
    input_dim = ENCODER_DIM
    period = 1
    num_inputs = 11

    def build(self) -> nn.Module:
        return tiny_decoders.ctc_decoder()

    def output_length(self, num_inputs: int) -> int:
        return num_inputs

    def num_ready(self, num_inputs: int) -> int:
        return num_inputs

    def visible_inputs(self, output_index: int, num_inputs: int) -> range:
        return range(output_index, output_index + 1)

    def forward(self, module: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
        logits: Tensor = module(x.transpose(0, 1), lengths)["encoder_out"].transpose(0, 1)
        return logits.masked_fill(padding(lengths, x.size(1)).unsqueeze(2), 0.0)


class CausalHeadAdapter(HeadAdapter):
    """The CTC head with causal Transformer layers."""

    padding = FINITE_PADDING
    keeps_history = True
    bytes_per_input = history_bytes(ENCODER_DIM)

    def __init__(self, name: str, **values: Any) -> None:
        self.name = name
        self.values = values

    def build(self) -> nn.Module:
        return tiny_decoders.ctc_transformer(**self.values)

    def visible_inputs(self, output_index: int, num_inputs: int) -> range:
        return range(output_index + 1)


class TextToUnitAdapter(CausalHeadAdapter):
    input_dim = TEXT_DIM
    bytes_per_input = history_bytes(TEXT_DIM)

    def build(self) -> nn.Module:
        return tiny_decoders.text_to_unit_encoder(**self.values)

    def forward(self, module: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
        is_padding = padding(lengths, x.size(1))
        encoded: Tensor = module(x.transpose(0, 1), is_padding)["encoder_out"][0].transpose(0, 1)
        return encoded.masked_fill(is_padding.unsqueeze(2), 0.0)


class UnitDecoderAdapter(StreamingAdapter):
    """Text states come in; each gives ``RATE`` unit positions."""

    input_dim = TEXT_DIM
    padding = FINITE_PADDING
    num_inputs = 11
    keeps_history = True
    bytes_per_input = (1 + RATE) * history_bytes(TEXT_DIM)

    def __init__(self, name: str, lagging_k: int, stride_n: int, **values: Any) -> None:
        self.name = f"{name}-k{lagging_k}-n{stride_n}"
        self.lagging_k = lagging_k
        self.period = self.stride_n = stride_n
        self.values = values

    def build(self) -> nn.Module:
        return tiny_decoders.unit_decoder(**self.values)

    def output_length(self, num_inputs: int) -> int:
        return RATE * num_inputs

    def num_ready(self, num_inputs: int) -> int:
        return RATE * sum(self._required(index) <= num_inputs for index in range(num_inputs))

    def visible_inputs(self, output_index: int, num_inputs: int) -> range:
        return range(min(self._required(output_index // RATE), num_inputs))

    def forward(self, module: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
        is_padding = padding(lengths, x.size(1))
        text = {"encoder_out": [x.transpose(0, 1)], "encoder_padding_mask": [is_padding]}
        logits: Tensor = module(None, text, {"k2": self.lagging_k, "n2": self.stride_n})[0]
        return logits.masked_fill(is_padding.repeat_interleave(RATE, dim=1).unsqueeze(2), 0.0)

    def step(self, module: Any, x: Tensor, state: StreamState, is_final: bool) -> Tensor:
        logits: Tensor = module.streaming_forward(
            x, state, is_final=is_final, lagging_k=self.lagging_k, stride_n=self.stride_n
        )
        return logits

    def _required(self, text_index: int) -> int:
        return required_target_tokens(text_index, self.lagging_k, self.stride_n)


class MTDecoderAdapter(StreamingAdapter):
    """Encoder frames come in; after every fourth one two tokens are decoded, and two at the end if frames are
    left over.
    """

    input_dim = ENCODER_DIM
    padding = FINITE_PADDING
    period = 4
    num_inputs = 18
    keeps_history = True
    bytes_per_input = history_bytes(TEXT_DIM) * 3 // 2  # a frame, and half a token
    tokens = torch.randint(4, TEXT_ENTRIES, (1, 100), generator=torch.Generator().manual_seed(1))

    def __init__(self, name: str) -> None:
        self.name = f"mt-{name}"
        self.values = {"max_target_positions": 100} | tiny_decoders.MT_VARIANTS[name]
        self.input_dim = self.values.get("encoder_embed_dim", ENCODER_DIM)

    def build(self) -> nn.Module:
        return tiny_decoders.mt_decoder(**self.values)

    def output_length(self, num_inputs: int) -> int:
        return 2 * -(-num_inputs // 4)

    def num_ready(self, num_inputs: int) -> int:
        return 2 * (num_inputs // 4)

    def visible_inputs(self, output_index: int, num_inputs: int) -> range:
        return range(min(4 * (output_index // 2 + 1), num_inputs))

    def forward(self, module: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
        num_tokens = torch.tensor([self.output_length(int(length)) for length in lengths])
        is_padding = padding(num_tokens, int(num_tokens.max()))
        tokens = self.tokens[:, : is_padding.size(1)].masked_fill(is_padding, 1)
        visible = 4 * (torch.arange(is_padding.size(1)) // 2 + 1).unsqueeze(0)
        frames = {
            "encoder_out": [x.transpose(0, 1)],
            "encoder_padding_mask": [padding(lengths, x.size(1))],
        }
        visible = visible.minimum(lengths.unsqueeze(1))
        features: Tensor = module(tokens, frames, features_only=True, visible_frames=visible)[0]
        return features.masked_fill(is_padding.unsqueeze(2), 0.0)

    def step(self, module: Any, x: Tensor, state: Any, is_final: bool) -> Tensor:
        features = []
        to_fourth = 4 - state.num_frames % 4
        for piece in (x[:, :to_fourth], *x[:, to_fourth:].split(4, dim=1)):
            module.append_frames(piece, state)
            features.append(self._decode(module, state, self.num_ready(state.num_frames), False))
        if is_final:
            features.append(self._decode(module, state, self.output_length(state.num_frames), True))
        return torch.cat(features, dim=1)

    def _decode(self, module: Any, state: Any, num_tokens: int, is_final: bool) -> Tensor:
        tokens = self.tokens[:, state.num_positions : num_tokens].expand(state.batch_size, -1)
        features: Tensor = module.streaming_forward(tokens, state, is_final=is_final)
        return features


ADAPTERS = [
    HeadAdapter(),
    CausalHeadAdapter("ctc-transformer"),
    CausalHeadAdapter("ctc-transformer-post-norm", encoder_normalize_before=False),
    TextToUnitAdapter("t2u"),
    TextToUnitAdapter("t2u-post-norm", encoder_normalize_before=False),
    UnitDecoderAdapter("units", 0, 1),
    UnitDecoderAdapter("units", 2, 3),
    UnitDecoderAdapter("units-constant", 1, 2, constant_unit_positions=True),
    *(MTDecoderAdapter(name) for name in ("default", "post-norm", "learned positions")),
]
ATTENTION_ADAPTERS = [adapter for adapter in ADAPTERS if adapter.keeps_history]


@pytest.mark.parametrize("adapter", ADAPTERS, ids=str)
class TestDecoderContract(StreamingContract):
    pass


@pytest.mark.parametrize("adapter", ATTENTION_ADAPTERS, ids=str)
def test_training_mode_is_refused(adapter: StreamingAdapter) -> None:
    module = adapter.build()
    state = adapter.init_state(module, 1, torch.float32)
    with pytest.raises(RuntimeError, match="eval"):
        adapter.step(module.train(), torch.zeros(1, 1, adapter.input_dim), state, False)


@pytest.mark.parametrize("adapter", ATTENTION_ADAPTERS, ids=str)
def test_a_refused_input_leaves_the_state_as_it_was(adapter: StreamingAdapter) -> None:
    module = adapter.build()
    x = torch.randn(1, 9, adapter.input_dim)
    clean, disturbed = (adapter.init_state(module, 1, x.dtype) for _ in range(2))
    for state in (clean, disturbed):
        adapter.step(module, x[:, :5], state, False)
    for wrong in (torch.zeros(2, 1, adapter.input_dim), torch.zeros(1, 1, 5), torch.zeros(1, 5)):
        with pytest.raises(ValueError, match=f"1, n, {adapter.input_dim}"):
            adapter.step(module, wrong, disturbed, True)
    actual, expected = (adapter.step(module, x[:, 5:], state, True) for state in (disturbed, clean))
    assert torch.equal(actual, expected)


@pytest.mark.parametrize("build", [tiny_decoders.ctc_transformer, tiny_decoders.text_to_unit_encoder])
def test_layers_that_read_ahead_cannot_stream(build: Any) -> None:
    with pytest.raises(ValueError, match="uni-encoder"):
        build(uni_encoder=False).init_state(1)


@pytest.mark.parametrize("values", [{"cross_self_attention": True}, {"decoder_layers": 0}])
def test_layers_without_a_causal_step_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"cross_self_attention|at least one layer"):
        tiny_decoders.mt_decoder(**values).init_state(1)


def test_the_state_follows_the_model_or_the_request() -> None:
    module = tiny_decoders.text_to_unit_encoder().double()
    assert module.init_state(1).self_attention[0].key_buffer.dtype == torch.float64
    state = module.init_state(1, device="meta", dtype=torch.float16)
    assert state.self_attention[0].key_buffer.dtype == torch.float16
    assert state.self_attention[0].key_buffer.device.type == "meta"


def test_a_step_of_one_position_copies_no_history() -> None:
    module = tiny_decoders.ctc_transformer()
    state: LayerStackState = module.init_state(1)
    work = []
    for frame in torch.randn(1, 200, ENCODER_DIM).split(1, dim=1):
        with WorkMeter() as meter:
            module.streaming_forward(frame, state)
        work.append(meter.num_elements)
    grown = [index for index, elements in enumerate(work) if elements != work[0]]
    assert grown == [32, 64, 128]
