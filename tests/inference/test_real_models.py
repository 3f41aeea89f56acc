"""Sessions over real models: what is streamed is what the model computes under the training's masks."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from echostream.data.fbank import extract_fbank
from echostream.inference.encoder_stream import as_encoder_out
from echostream.inference.loaded_model import LoadedModel
from echostream.inference.loading import load_model
from echostream.inference.session import SessionOptions, StepResult, StreamingTranslator
from echostream.inference.unit_synthesis import UnitSynthesizer
from echostream.policy.ctc_alignment import collapse
from tests.inference.fakes import FakeVocoder, noise
from tests.inference.tiny_checkpoint import TinyCheckpoint

CPU = torch.device("cpu")
SIGNAL = noise(40000, 5)


@pytest.fixture(scope="module")
def models(checkpoints: dict[str, TinyCheckpoint]) -> dict[str, LoadedModel]:
    return {arch: load_model(tiny.checkpoint, data_bin=tiny.folder) for arch, tiny in checkpoints.items()}


def translate(
    loaded: LoadedModel, sizes: list[int], **options: Any
) -> tuple[StreamingTranslator, list[StepResult]]:
    chosen = replace(SessionOptions(max_len=25), **options)
    session = StreamingTranslator(
        loaded, chosen, UnitSynthesizer(FakeVocoder(), dur_prediction=False, device=CPU)
    )
    results, position = [], 0
    for size in sizes:
        results.append(session.push(SIGNAL[position : position + size], 16000))
        position += size
    results.append(session.push(SIGNAL[position:], 16000, is_final=True))
    return session, results


@pytest.mark.parametrize("arch", ["echostream", "streamspeech"])
@pytest.mark.parametrize("chunk_ms", [320, 640])
def test_delivery_does_not_change_the_outcome(
    models: dict[str, LoadedModel], arch: str, chunk_ms: int
) -> None:
    whole, _ = translate(models[arch], [], chunk_ms=chunk_ms)
    pieces, results = translate(models[arch], [1, 399, 0, 7000, 5120, 9999], chunk_ms=chunk_ms)
    assert pieces._text.tokens == whole._text.tokens
    assert pieces._text.visible_frames == whole._text.visible_frames
    assert pieces.units == whole.units
    assert any(result.tokens for result in results[:-1]) or chunk_ms == 640
    assert whole.units


@torch.no_grad()
@pytest.mark.parametrize("segment_length", [None, 4])
def test_echostream_streams_what_forward_computes(
    models: dict[str, LoadedModel], segment_length: int | None
) -> None:
    loaded = models["echostream"]
    session, results = translate(loaded, [5120] * 7, segment_length=segment_length)
    assert loaded.cmvn is not None
    features = loaded.cmvn(extract_fbank(SIGNAL)).unsqueeze(0)
    lengths = torch.tensor([features.size(1)])
    encoder_out = loaded.model.encoder(features, lengths, chunk_size=segment_length or 8)
    frames = encoder_out["encoder_out"][0]
    torch.testing.assert_close(session._encoder.frames, frames, atol=1e-5, rtol=0)
    text = session._text
    previous = torch.tensor([[2, *text.tokens]])[:, : len(text.tokens) + int(text.finished)]
    last = [frames.size(0)] * int(text.finished)
    visible = torch.tensor([[*text.visible_frames, *last]])
    logits, states = loaded.model.decode_text(previous, encoder_out, visible_frames=visible)
    assert text.features is not None
    torch.testing.assert_close(text.features, states, atol=1e-5, rtol=0)
    allowed = logits[0, : len(text.tokens)].clone()
    allowed[:, :2] = -torch.inf
    allowed[0, 2] = -torch.inf
    assert allowed.argmax(dim=-1).tolist() == text.tokens
    units = loaded.model.text_to_units(states, streaming_config={"k2": 0, "n2": 1})[0].argmax(dim=-1)
    symbols = [loaded.unit_vocabulary.symbols[unit] for unit in collapse(units, loaded.unit_blank).tolist()]
    assert [int(symbol) for symbol in symbols if symbol.isdecimal()] == session.units
    assert sum(len(result.units) for result in results) == len(session.units)


@torch.no_grad()
def test_streamspeech_streams_what_forward_computes(models: dict[str, LoadedModel]) -> None:
    loaded = models["streamspeech"]
    session, _ = translate(loaded, [5120] * 7)
    assert loaded.cmvn is not None
    features = loaded.cmvn(extract_fbank(SIGNAL)).unsqueeze(0)
    encoder_out = loaded.model.encoder(features, torch.tensor([features.size(1)]), chunk_size=8)
    frames = encoder_out["encoder_out"][0]
    torch.testing.assert_close(session._encoder.frames, frames, atol=1e-5, rtol=0)
    assert (
        session._asr_tokens
        == collapse(loaded.model.asr_logits(as_encoder_out(frames))[0].argmax(dim=-1)).tolist()
    )


def test_echostream_encodes_each_frame_once(models: dict[str, LoadedModel]) -> None:
    loaded = models["echostream"]
    streaming = loaded.model.encoder.streaming_forward
    seen: list[int] = []

    def counting(src_tokens: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        seen.append(src_tokens.size(1))
        result: torch.Tensor = streaming(src_tokens, *args, **kwargs)
        return result

    loaded.model.encoder.streaming_forward = counting
    try:
        translate(loaded, [5120] * 7)
    finally:
        del loaded.model.encoder.streaming_forward
    assert sum(seen) == extract_fbank(SIGNAL).size(0)


def test_reset_clears_the_encoders_cache(
    models: dict[str, LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = models["echostream"]
    calls: list[bool] = []
    original = loaded.model.encoder.reset_cache

    def reset_and_count() -> None:
        calls.append(True)
        original()

    monkeypatch.setattr(loaded.model.encoder, "reset_cache", reset_and_count)
    session, first = translate(loaded, [5120] * 3)
    calls.clear()
    session.reset()
    assert calls == [True]
    again = session.push(SIGNAL, 16000, is_final=True)
    assert again.translation == first[-1].translation
    np.testing.assert_array_equal(again.waveform, np.concatenate([result.waveform for result in first]))
