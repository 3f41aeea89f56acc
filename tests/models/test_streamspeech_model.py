"""The two-pass model: masks, batches, inference pieces, options."""

from typing import Any

import pytest
import torch

from echostream.models import StreamSpeechModel
from echostream.models.decoders import CTCDecoder, CTCDecoderWithTransformerLayer, TransformerMTDecoder
from echostream.policy.streaming_mask import visible_text
from tests.models.tiny_models import (
    TASKS,
    TEXT_ENTRIES,
    TINY_CONFORMER,
    UNIT_ENTRIES,
    arguments,
    batch,
    build,
    fake_task,
    row,
    tiny_echostream,
    tiny_streamspeech,
)

CONFIG = {"k1": 0, "n1": 1, "k2": 0, "n2": 2}
RATE = TINY_CONFORMER["ctc_upsample_rate"]


@pytest.fixture(params=["streamspeech", "echostream"])
def model(request: pytest.FixtureRequest) -> StreamSpeechModel:
    built = tiny_streamspeech() if request.param == "streamspeech" else tiny_echostream()
    return spread_ctc(built)


def spread_ctc(built: StreamSpeechModel) -> StreamSpeechModel:
    """Make the CTC heads decided, so that masks differ from token to token."""
    with torch.no_grad():
        for name in ("source_unigram", "ctc_target_unigram"):
            built.text_decoder(name).proj.weight.mul_(40)
    return built


@pytest.mark.parametrize("config", [None, CONFIG, {"k1": 2, "n1": 2, "k2": 1, "n2": 3}])
def test_padded_batch_equals_single_rows(model: StreamSpeechModel, config: dict[str, int] | None) -> None:
    sample = batch()
    with torch.no_grad():
        unit_logits, extra = model(**sample, streaming_config=config, return_all_hiddens=True)
        assert extra["decoder_padding_mask"].sum(dim=1).tolist() == [0, 2 * RATE]
        for index in range(2):
            alone_logits, alone = model(**row(sample, index), streaming_config=config)
            num_units, num_tokens = alone_logits.size(1), alone["mt_decoder_out"][0].size(1)
            assert alone["decoder_padding_mask"] is None
            torch.testing.assert_close(unit_logits[index, :num_units], alone_logits[0], atol=2e-5, rtol=1e-4)
            mt_logits = extra["mt_decoder_out"][0][index, :num_tokens]
            torch.testing.assert_close(mt_logits, alone["mt_decoder_out"][0][0], atol=2e-5, rtol=1e-4)
            if config is not None:
                assert torch.equal(extra["visible_frames"][index, :num_tokens], alone["visible_frames"][0])


def test_shapes_and_hidden_states(model: StreamSpeechModel) -> None:
    sample = batch()
    unit_logits, extra = model(**sample, return_all_hiddens=True)
    assert unit_logits.shape == (2, 6 * RATE, UNIT_ENTRIES)
    assert extra["mt_decoder_out"][0].shape == (2, 6, TEXT_ENTRIES)
    assert len(extra["encoder_states"]) == 2
    torch.testing.assert_close(extra["encoder_states"][-1], extra["encoder_out"]["encoder_out"][0])
    assert extra["encoder_padding_mask"][0].shape == (2, 19)
    assert model.asr_logits(extra["encoder_out"]).shape == (2, 19, TEXT_ENTRIES)
    assert "encoder_states" not in model(**sample)[1]


def test_inference_pieces_give_what_forward_gives(model: StreamSpeechModel) -> None:
    sample = batch()
    with torch.no_grad():
        for config in (None, CONFIG):
            expected, extra = model(**sample, streaming_config=config)
            tokens = sample["prev_output_tokens_mt"]
            logits, features = model.decode_text(tokens, extra["encoder_out"], extra["visible_frames"])
            units = model.text_to_units(features, tokens.eq(1), config)
            assert torch.equal(logits, extra["mt_decoder_out"][0])
            assert torch.equal(units, expected)
            assert features.shape[:2] == (6, 2)


def test_tokens_see_their_visible_frames_and_no_more(model: StreamSpeechModel) -> None:
    sample = row(batch(), 0)
    encoder_out = model.forward_encoder(sample["src_tokens"], sample["src_lengths"])
    frames = encoder_out["encoder_out"][0].detach().requires_grad_()
    visible = torch.tensor([[1, 4, 4, 9, 12, 19]])
    logits, _ = model.decode_text(
        sample["prev_output_tokens_mt"], {**encoder_out, "encoder_out": [frames]}, visible
    )
    for token, end in enumerate(visible[0].tolist()):
        (gradient,) = torch.autograd.grad(logits[0, token, 5], frames, retain_graph=True)
        seen = gradient[:, 0].abs().sum(dim=1) > 0
        assert seen[:end].all()
        assert not seen[end:].any()


def test_streaming_prefix_equals_the_masked_whole(model: StreamSpeechModel) -> None:
    """A token decoded with the frames known at its time has the logits of the training forward."""
    sample = row(batch(), 0)
    with torch.no_grad():
        _, extra = model(**sample, streaming_config=CONFIG)
        encoder_out, visible = extra["encoder_out"], extra["visible_frames"]
        assert len(set(visible[0].tolist())) > 1
        for token in range(6):
            known = int(visible[0, token])
            part = {**encoder_out, "encoder_out": [encoder_out["encoder_out"][0][:known]]}
            tokens = sample["prev_output_tokens_mt"][:, : token + 1]
            logits, _ = model.decode_text(tokens, part, visible[:, : token + 1])
            torch.testing.assert_close(
                logits[0, -1], extra["mt_decoder_out"][0][0, token], atol=1e-5, rtol=1e-5
            )


def test_units_see_their_text(model: StreamSpeechModel) -> None:
    text = torch.randn(5, 1, 12).requires_grad_()
    config = {"k1": 0, "n1": 1, "k2": 1, "n2": 2}
    out = {"encoder_out": [text], "encoder_padding_mask": []}
    logits, _ = model.decoder(None, encoder_out=out, streaming_config=config)
    visible = visible_text(5 * RATE, 5, lagging_k=1, stride_n=2, upsample_rate=RATE).tolist()
    for position, end in enumerate(visible):
        (gradient,) = torch.autograd.grad(logits[0, position, 5], text, retain_graph=True)
        seen = gradient[:, 0].abs().sum(dim=1) > 0
        assert seen[:end].all()
        assert not seen[end:].any()


def test_text_to_unit_encoder_is_causal_on_request() -> None:
    features = torch.randn(4, 1, 12)
    for unidirectional in (True, False):
        built = tiny_streamspeech(uni_encoder=unidirectional)
        assert built.synthesizer_encoder is not None
        whole = built.synthesizer_encoder(features, None)["encoder_out"][0]
        part = built.synthesizer_encoder(features[:2], None)["encoder_out"][0]
        assert torch.allclose(whole[:2], part, atol=1e-5) == unidirectional


def test_without_text_to_unit_encoder_layers() -> None:
    built = tiny_streamspeech(synthesizer_encoder_layers=0)
    assert built.synthesizer_encoder is None
    with torch.no_grad():
        logits, extra = built(**batch())
    assert logits.isfinite().all()
    assert extra["decoder_padding_mask"].sum() == 2 * RATE


def test_constant_unit_positions_are_the_first_row_for_every_batch_row() -> None:
    text = torch.randn(3, 1, 12).repeat(1, 2, 1)
    out = {"encoder_out": [text], "encoder_padding_mask": []}
    constant = tiny_streamspeech().decoder
    table = constant.embed_positions.weights
    assert torch.equal(constant.unit_positions(9, text.device), table[2:3])
    logits, _ = constant(None, encoder_out=out)
    torch.testing.assert_close(logits[0], logits[1], atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(logits[0, 0], logits[0, 1])  # the first subword's units cannot differ
    real = tiny_streamspeech(constant_unit_positions=False).decoder
    assert torch.equal(real.unit_positions(9, text.device), table[2:11])
    logits, _ = real(None, encoder_out=out)
    torch.testing.assert_close(logits[0], logits[1], atol=1e-6, rtol=1e-6)
    assert not torch.allclose(logits[0, 0], logits[0, 1], atol=1e-4)


def test_unit_positions_go_beyond_the_table() -> None:
    decoder = tiny_streamspeech(constant_unit_positions=False).decoder
    assert decoder.unit_positions(3000, torch.device("cpu")).shape == (3000, 12)


def test_mt_decoder_caches_tokens_but_not_masks() -> None:
    built = tiny_streamspeech()
    sample = row(batch(), 0)
    tokens = sample["prev_output_tokens_mt"]
    decoder = built.text_decoder("target_unigram")
    with torch.no_grad():
        encoder_out = built.forward_encoder(sample["src_tokens"], sample["src_lengths"])
        expected, _ = built.decode_text(tokens, encoder_out)
        state: dict[str, Any] = {}
        steps = [
            decoder(tokens[:, : end + 1], encoder_out=encoder_out, incremental_state=state)[0]
            for end in range(tokens.size(1))
        ]
    torch.testing.assert_close(torch.cat(steps, dim=1), expected, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="incremental state"):
        decoder(tokens, encoder_out=encoder_out, incremental_state={}, visible_frames=torch.full((1, 6), 3))
    with pytest.raises(ValueError, match="without an encoder output"):
        decoder(tokens, encoder_out=None, visible_frames=torch.full((1, 6), 3))


def test_gradients_reach_every_parameter(model: StreamSpeechModel) -> None:
    model.train()
    sample = batch()
    unit_logits, extra = model(**sample, streaming_config=CONFIG, return_all_hiddens=True)
    encoder_out = extra["encoder_out"]
    losses = [
        unit_logits,
        extra["mt_decoder_out"][0],
        model.asr_logits(encoder_out),
        model.st_logits(encoder_out),
    ]
    sum(loss.square().mean() for loss in losses).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert without == []


def test_training_chunks_are_drawn_by_torch() -> None:
    built = tiny_streamspeech()
    assert built.training_chunk_sizes == (8, 16, 24, 32, 999)
    generator = torch.Generator().manual_seed(0)
    drawn = [built.draw_training_chunk(generator) for _ in range(200)]
    assert drawn == [
        built.draw_training_chunk(g) for g in [torch.Generator().manual_seed(0)] for _ in range(200)
    ]
    assert {chunk["chunk_size"] for chunk in drawn} == {8, 16, 24, 32, 999}
    assert {(c["chunk_size"], c["conv_chunk_size"]) for c in drawn} == {
        (size, min(size, conv)) for size in (8, 16, 24, 32, 999) for conv in (8, 16)
    }
    torch.manual_seed(4)
    first = [built.draw_training_chunk() for _ in range(20)]
    torch.manual_seed(4)
    assert [built.draw_training_chunk() for _ in range(20)] == first
    with torch.no_grad():
        for chunk in ({"chunk_size": 999, "conv_chunk_size": 8}, {"chunk_size": 32, "conv_chunk_size": 16}):
            assert built(**batch(), streaming_config=CONFIG, **chunk)[0].isfinite().all()


def test_mask_follows_the_chunk_of_the_call() -> None:
    built = spread_ctc(tiny_streamspeech())
    sample = row(batch(), 0)
    with torch.no_grad():
        at_8 = built(**sample, streaming_config=CONFIG)[1]["visible_frames"]
        at_16 = built(**sample, streaming_config=CONFIG, chunk_size=16)[1]["visible_frames"]
        offline = built(**sample, streaming_config=CONFIG, chunk_size=999)[1]["visible_frames"]
    assert set(at_8[0].tolist()) <= {8, 16, 19}
    assert set(at_16[0].tolist()) <= {16, 19}
    assert set(offline[0].tolist()) == {19}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_precisions(model: StreamSpeechModel, dtype: torch.dtype) -> None:
    sample = batch()
    with torch.no_grad():
        expected = model(**sample, streaming_config=CONFIG)[1]
        visible = expected["visible_frames"]
        model.to(dtype)
        sample["src_tokens"] = sample["src_tokens"].to(dtype)
        unit_logits, extra = model(**sample, streaming_config=CONFIG)
    assert unit_logits.dtype == dtype
    assert unit_logits.isfinite().all()
    encoder_out = extra["encoder_out"]["encoder_out"][0]
    tolerance = 0.2 if dtype is torch.bfloat16 else 1e-4
    valid = ~extra["encoder_out"]["encoder_padding_mask"][0].transpose(0, 1)
    difference = encoder_out.float() - expected["encoder_out"]["encoder_out"][0]
    assert difference[valid].abs().max() < tolerance
    if dtype is torch.float64:
        assert torch.equal(extra["visible_frames"], visible)


def dropouts(decoder: TransformerMTDecoder) -> tuple[float, float, float]:
    layer = decoder.layers[0]
    return decoder.dropout_module.p, layer.self_attn.dropout_module.p, layer.activation_dropout_module.p


def test_dropout_of_the_mt_decoder() -> None:
    assert dropouts(tiny_streamspeech().text_decoder("target_unigram")) == (0.3, 0.3, 0.3)
    assert dropouts(tiny_echostream(dropout=0.15).text_decoder("target_unigram")) == (0.15, 0.15, 0.15)
    tasks = {**TASKS, "target_unigram": ("transformer", {"dropout": 0.2, "activation_dropout": 0.0})}
    for arch, values in (("streamspeech", TINY_CONFORMER), ("echostream_mini", {})):
        built = build(arch, fake_task(tasks), **values)
        assert dropouts(built.text_decoder("target_unigram")) == (0.2, 0.2, 0.0)


def test_ctc_head_with_layers() -> None:
    tasks = {**TASKS, "ctc_target_unigram": ("ctc", {"encoder_layers": 2})}
    built = build("streamspeech", fake_task(tasks), **TINY_CONFORMER)
    head = built.text_decoder("ctc_target_unigram")
    assert isinstance(head, CTCDecoderWithTransformerLayer)
    assert type(built.text_decoder("source_unigram")) is CTCDecoder
    sample = batch()
    with torch.no_grad():
        encoder_out = built.forward_encoder(sample["src_tokens"], sample["src_lengths"])
        logits = built.st_logits(encoder_out)
        frames = encoder_out["encoder_out"][0]
        torch.testing.assert_close(head(frames[:7])["encoder_out"].transpose(0, 1), logits[:, :7])  # causal
        head.unidirectional = False
        logits = built.st_logits(encoder_out)
        alone = built.forward_encoder(sample["src_tokens"][1:, :46], sample["src_lengths"][1:])
        torch.testing.assert_close(built.st_logits(alone)[0], logits[1, :12], atol=1e-5, rtol=1e-5)
    wrong = {**TASKS, "ctc_target_unigram": ("ctc", {"encoder_layers": 1, "encoder_embed_dim": 8})}
    with pytest.raises(ValueError, match="encoder_embed_dim"):
        build("streamspeech", fake_task(wrong), **TINY_CONFORMER)


def test_public_arguments_without_ours_build_a_public_model() -> None:
    args = arguments("streamspeech", **TINY_CONFORMER)
    del args.constant_unit_positions
    del args.mt_decoder_dropout
    built = StreamSpeechModel.build_model(args, fake_task())
    assert built.decoder.constant_unit_positions
    assert dropouts(built.text_decoder("target_unigram")) == (0.3, 0.3, 0.3)


def test_mini_preset() -> None:
    built = build("streamspeech_mini")
    assert len(built.encoder.conformer_layers) == 6
    assert built.encoder.linear.weight.shape == (144, 144)
    assert built.encoder.subsample.conv_layers[0].weight.shape == (256, 80, 5)
    assert built.decoder.ctc_upsample_rate == 10
    assert not built.decoder.constant_unit_positions
    assert len(built.text_decoder("target_unigram").layers) == 2
    assert dropouts(built.text_decoder("target_unigram")) == (0.1, 0.1, 0.1)


@pytest.mark.parametrize(
    ("values", "tasks", "message"),
    [
        ({"synthesizer_augmented_cross_attention": True}, TASKS, "augmented-cross-attention"),
        ({"ctc_upsample_rate": 0}, TASKS, "--ctc-upsample-rate"),
        ({}, {"source_unigram": ("ctc", {})}, "no translation decoder"),
        ({}, {"target_unigram": ("transformer", {}), "x": ("rnn", {})}, "decoder_type 'rnn'"),
    ],
)
def test_impossible_models(values: dict[str, Any], tasks: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build("streamspeech", fake_task(tasks), **{**TINY_CONFORMER, **values})


def test_stacked_units_are_refused() -> None:
    args = arguments("streamspeech", **TINY_CONFORMER)
    args.n_frames_per_step = 2
    with pytest.raises(ValueError, match="--n-frames-per-step 1"):
        StreamSpeechModel.build_model(args, fake_task())


def test_masks_need_both_heads() -> None:
    built = build("streamspeech", fake_task({"target_unigram": ("transformer", {})}), **TINY_CONFORMER)
    with torch.no_grad():
        assert built(**batch())[0].isfinite().all()
        with pytest.raises(ValueError, match="no decoder 'source_unigram'"):
            built(**batch(), streaming_config=CONFIG)
