"""The baseline's encoder: offline numbers, chunks, padding, and what a call leaves behind."""

import math
from typing import Any

import pytest
import torch
from fairseq.models.speech_to_speech.s2s_conformer import S2SConformerEncoder

from echostream.models import StreamSpeechEncoder
from tests.models.tiny_models import TINY_CONFORMER, arguments


def encoder(**values: Any) -> StreamSpeechEncoder:
    torch.manual_seed(0)
    target_speaker = values.pop("target_speaker_embed", False)
    args = arguments("streamspeech", **{**TINY_CONFORMER, **values})
    args.target_speaker_embed = target_speaker
    return StreamSpeechEncoder(args).eval()


def speech(num_frames: int, batch_size: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    source = torch.randn(batch_size, num_frames, 80, generator=generator)
    return source, torch.full((batch_size,), num_frames)


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"pos_enc_type": "abs"},
        {"attn_type": None, "pos_enc_type": "abs"},
        {"conv_version": "convtransformer"},
        {"no_scale_embedding": True},
    ],
)
@pytest.mark.parametrize("chunk_size", [999, 99999, -1, 0])
def test_offline_encoder_is_fairseqs_conformer(flags: dict[str, Any], chunk_size: int) -> None:
    args = arguments("streamspeech", **{**TINY_CONFORMER, **flags, "chunk_size": chunk_size})
    args.fp16 = False
    torch.manual_seed(0)
    reference = S2SConformerEncoder(args).eval()
    ours = StreamSpeechEncoder(args).eval()
    ours.load_state_dict(reference.state_dict())
    source, lengths = speech(75)
    expected = reference(source, lengths, return_all_hiddens=True)
    out = ours(source, lengths, return_all_hiddens=True)
    torch.testing.assert_close(out["encoder_out"][0], expected["encoder_out"][0], atol=5e-6, rtol=1e-5)
    assert len(out["encoder_states"]) == 2
    for state, expected_state in zip(out["encoder_states"], expected["encoder_states"], strict=True):
        torch.testing.assert_close(state, expected_state, atol=5e-6, rtol=1e-5)
    assert out["encoder_padding_mask"] == []


@pytest.mark.parametrize(
    ("configured", "chunk_size", "conv_chunk_size", "resolved"),
    [
        (8, None, None, (8, 8)),
        (32, None, None, (32, 32)),
        (-1, None, None, (None, None)),
        (999, None, None, (None, None)),
        (8, 999, None, (None, None)),
        (8, 24, None, (24, 16)),
        (8, 16, None, (16, 16)),
        (8, 12, None, (12, 8)),
        (8, 4, None, (4, 8)),
        (999, 8, None, (8, 8)),
        (8, 999, 16, (None, 16)),
        (8, None, 16, (8, 16)),
        (8, 16, 999, (16, None)),
    ],
)
def test_chunk_rules(
    configured: int,
    chunk_size: int | None,
    conv_chunk_size: int | None,
    resolved: tuple[int | None, int | None],
) -> None:
    assert encoder(chunk_size=configured).resolve_chunks(chunk_size, conv_chunk_size) == resolved


def test_a_chunk_size_in_the_call_equals_a_configured_one_and_is_not_kept() -> None:
    model, at_16 = encoder(chunk_size=8), encoder(chunk_size=16)
    source, lengths = speech(150)
    before = model(source, lengths)["encoder_out"][0]
    changed = model(source, lengths, chunk_size=16)["encoder_out"][0]
    torch.testing.assert_close(changed, at_16(source, lengths)["encoder_out"][0])
    assert not torch.allclose(changed, before, atol=1e-3)
    assert torch.equal(model(source, lengths)["encoder_out"][0], before)


def test_complete_chunks_never_change() -> None:
    model = encoder()
    source, lengths = speech(32 * 4)
    whole = model(source, lengths)["encoder_out"][0]
    part = model(source[:, :64], torch.tensor([64]))["encoder_out"][0]
    torch.testing.assert_close(part, whole[:16], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pos_enc_type", ["rel_pos", "rope", "abs"])
@pytest.mark.parametrize("chunk_size", [8, 999])
@pytest.mark.parametrize("conv_version", ["s2t_transformer", "convtransformer"])
def test_padded_row_equals_the_row_alone(pos_enc_type: str, chunk_size: int, conv_version: str) -> None:
    model = encoder(pos_enc_type=pos_enc_type, conv_version=conv_version)
    source, _ = speech(101, batch_size=3)
    lengths = torch.tensor([101, 62, 3])
    out = model(source, lengths, chunk_size=chunk_size)
    expected_lengths = [math.ceil(math.ceil(int(length) / 2) / 2) for length in lengths]
    assert (~out["encoder_padding_mask"][0]).sum(dim=1).tolist() == expected_lengths
    for row, length in enumerate(expected_lengths):
        alone = model(source[row : row + 1, : lengths[row]], lengths[row : row + 1], chunk_size=chunk_size)
        torch.testing.assert_close(
            out["encoder_out"][0][:length, row], alone["encoder_out"][0][:, 0], atol=1e-5, rtol=1e-5
        )


def test_frozen_updates_have_no_gradient() -> None:
    model = encoder(encoder_freezing_updates=5)
    source, lengths = speech(20)
    assert not model(source, lengths)["encoder_out"][0].requires_grad
    model.set_num_updates(5)
    assert model(source, lengths)["encoder_out"][0].requires_grad


def test_target_speaker() -> None:
    model = encoder(target_speaker_embed=True, speaker_embed_dim=3)
    source, lengths = speech(20, batch_size=2)
    with pytest.raises(ValueError, match="speaker"):
        model(source, lengths)
    first = model(source, lengths, tgt_speaker=torch.zeros(2, 3))["encoder_out"][0]
    second = model(source, lengths, tgt_speaker=torch.tensor([[0.0, 0, 0], [1, 1, 1]]))["encoder_out"][0]
    assert torch.equal(first[:, 0], second[:, 0])
    assert not torch.allclose(first[:, 1], second[:, 1])


def test_rows_can_be_reordered() -> None:
    model = encoder()
    source, _ = speech(60, batch_size=2)
    out = model(source, torch.tensor([60, 40]))
    turned = model.reorder_encoder_out(out, torch.tensor([1, 0, 1]))
    assert torch.equal(turned["encoder_out"][0][:, 0], out["encoder_out"][0][:, 1])
    assert turned["encoder_padding_mask"][0].shape == (3, 15)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="no fbank frames"):
        encoder()(torch.zeros(1, 0, 80), torch.tensor([0]))
    with pytest.raises(ValueError, match="--conv-version"):
        encoder(conv_version="conv3d")
    with pytest.raises(ValueError, match="--chunk-size must be even"):
        encoder(chunk_size=3)
    source, lengths = speech(20)
    with pytest.raises(ValueError, match="multiple of 2"):
        encoder()(source, lengths, conv_chunk_size=3)
