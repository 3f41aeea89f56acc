"""Conformer layers: fairseq's numbers without chunks, visibility with chunks, padding, batch statistics."""

import pytest
import torch
from fairseq.modules.conformer_layer import ConformerEncoderLayer
from fairseq.modules.positional_encoding import RelPositionalEncoding

from echostream.modules.conformer_layer import ConformerLayer, ConvolutionModule, visible_in_chunks
from echostream.modules.relative_attention import RelativePositions, build_self_attention, scores_by_key

DIM, FFN, HEADS, KERNEL = 16, 24, 4, 7


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def positions_for(x: torch.Tensor, pos_enc_type: str) -> torch.Tensor | None:
    if pos_enc_type != "rel_pos":
        return None
    return RelativePositions(x.size(2)).window(x.size(1), device=x.device, dtype=x.dtype)


@pytest.mark.parametrize(
    ("attn_type", "pos_enc_type"),
    [("espnet", "rel_pos"), ("espnet", "rope"), ("espnet", "abs"), (None, "abs")],
)
@pytest.mark.parametrize("frames", [1, 13])
def test_offline_layer_is_fairseqs(attn_type: str | None, pos_enc_type: str, frames: int) -> None:
    reference = ConformerEncoderLayer(
        DIM,
        FFN,
        HEADS,
        0.0,
        use_fp16=False,
        depthwise_conv_kernel_size=KERNEL,
        attn_type=attn_type,
        pos_enc_type=pos_enc_type,
    ).eval()
    ours = ConformerLayer(DIM, FFN, HEADS, 0.0, KERNEL, attn_type, pos_enc_type).eval()
    ours.load_state_dict(reference.state_dict())
    x = torch.randn(2, frames, DIM)
    padding = torch.zeros(2, frames, dtype=torch.bool)
    table = RelPositionalEncoding(50, DIM)(x.transpose(0, 1))
    expected, _ = reference(x.transpose(0, 1), padding, table)
    y = ours(x, visible_in_chunks(frames, None, padding), padding, positions_for(x, pos_enc_type))
    torch.testing.assert_close(y, expected.transpose(0, 1), atol=2e-6, rtol=1e-5)


def test_scores_by_key_by_definition() -> None:
    for frames, past in ((1, 0), (2, 0), (6, 0), (1, 5), (2, 1), (6, 7)):
        scores = torch.randn(2, frames, past + 2 * frames - 1)
        by_key = scores_by_key(scores)
        assert by_key.shape == (2, frames, past + frames)
        for t in range(frames):
            for s in range(past + frames):
                assert torch.equal(by_key[:, t, s], scores[:, t, past + frames - 1 - (past + t - s)])


def test_positions_by_definition_however_the_table_grew() -> None:
    positions = RelativePositions(6)
    for frames, past in ((3, 0), (1, 0), (2, 40), (5, 1), (90, 7), (1, 500)):
        for dtype in (torch.float32, torch.float64):
            window = positions.window(frames, past, device=torch.device("cpu"), dtype=dtype)
            assert window.dtype == dtype
            distance = torch.arange(past + frames - 1, -frames, -1, dtype=torch.float64).unsqueeze(1)
            angle = distance * 10000.0 ** -(torch.arange(0, 6, 2) / 6)
            expected = torch.zeros(past + 2 * frames - 1, 6, dtype=torch.float64)
            expected[:, 0::2], expected[:, 1::2] = angle.sin(), angle.cos()
            torch.testing.assert_close(window.double(), expected, atol=1e-4, rtol=0)


def test_positions_made_without_gradients_serve_training() -> None:
    attention = build_self_attention("espnet", "rel_pos", DIM, HEADS, 0.0)
    positions = RelativePositions(DIM)
    with torch.inference_mode():
        positions.window(9, device=torch.device("cpu"), dtype=torch.float32)
    window = positions.window(5, device=torch.device("cpu"), dtype=torch.float32)
    attention(torch.randn(1, 5, DIM), None, window).sum().backward()
    assert all(parameter.grad is not None for parameter in attention.parameters())


@pytest.mark.parametrize("pos_enc_type", ["rel_pos", "rope", "abs"])
def test_layer_sees_its_chunk_and_the_past_only(pos_enc_type: str) -> None:
    layer = ConformerLayer(DIM, FFN, HEADS, 0.0, KERNEL, "espnet", pos_enc_type).eval()
    frames, chunk = 11, 4
    x = torch.randn(1, frames, DIM, requires_grad=True)
    padding = torch.zeros(1, frames, dtype=torch.bool)
    visible = visible_in_chunks(frames, chunk, padding)
    y = layer(x, visible, padding, positions_for(x, pos_enc_type), chunk)
    for t in range(frames):
        (gradient,) = torch.autograd.grad(y[0, t].sum() + y[0, t, 0], x, retain_graph=True)
        seen = gradient[0].abs().sum(dim=1) > 0
        end = min((t // chunk + 1) * chunk, frames)
        assert seen[:end].all()
        assert not seen[end:].any()


@pytest.mark.parametrize("chunk", [None, 4])
@pytest.mark.parametrize("pos_enc_type", ["rel_pos", "abs"])
def test_padded_row_equals_the_row_alone(chunk: int | None, pos_enc_type: str) -> None:
    layer = ConformerLayer(DIM, FFN, HEADS, 0.0, KERNEL, "espnet", pos_enc_type).eval()
    x = torch.randn(2, 10, DIM)
    padding = torch.arange(10).unsqueeze(0) >= torch.tensor([[10], [5]])
    y = layer(x, visible_in_chunks(10, chunk, padding), padding, positions_for(x, pos_enc_type), chunk)
    alone = x[1:, :5]
    no_padding = torch.zeros(1, 5, dtype=torch.bool)
    expected = layer(
        alone, visible_in_chunks(5, chunk, no_padding), no_padding, positions_for(alone, pos_enc_type), chunk
    )
    torch.testing.assert_close(y[1:, :5], expected)
    assert y.isfinite().all()


def test_batch_statistics_ignore_padding() -> None:
    module = ConvolutionModule(DIM, KERNEL, 0.0).train()
    with_padding = ConvolutionModule(DIM, KERNEL, 0.0).train()
    with_padding.load_state_dict(module.state_dict())
    x = torch.randn(1, 9, DIM)
    padded = torch.cat([x, 7 + torch.randn(1, 6, DIM)], dim=1)
    padding = (torch.arange(15) >= 9).unsqueeze(0)
    expected = module(x, torch.zeros(1, 9, dtype=torch.bool), None)
    y = with_padding(padded, padding, None)
    torch.testing.assert_close(y[:, :9], expected)
    torch.testing.assert_close(with_padding.batch_norm.running_mean, module.batch_norm.running_mean)
    torch.testing.assert_close(with_padding.batch_norm.running_var, module.batch_norm.running_var)


def test_dropout_of_attention_is_off_in_evaluation() -> None:
    layer = ConformerLayer(DIM, FFN, HEADS, 0.5, KERNEL)
    x = torch.randn(1, 6, DIM)
    padding = torch.zeros(1, 6, dtype=torch.bool)
    arguments = (x, visible_in_chunks(6, None, padding), padding, positions_for(x, "rel_pos"))
    assert not torch.equal(layer(*arguments), layer(*arguments))
    layer.eval()
    assert torch.equal(layer(*arguments), layer(*arguments))


def test_impossible_attention() -> None:
    with pytest.raises(ValueError, match="do not divide"):
        build_self_attention("espnet", "abs", 10, 4, 0.0)
    with pytest.raises(ValueError, match="--attn-type"):
        build_self_attention("flash", "abs", 8, 4, 0.0)
    with pytest.raises(ValueError, match="--pos-enc-type"):
        build_self_attention(None, "rel_pos", 8, 4, 0.0)
    attention = build_self_attention("espnet", "rel_pos", 8, 4, 0.0)
    with pytest.raises(ValueError, match="relative positions"):
        attention(torch.zeros(1, 2, 8), torch.ones(1, 1, 2, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="even number"):
        RelativePositions(5)
