"""Sessions: independent of delivery, incremental, restartable, and equal to what the policy prescribes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echostream.data.audio import AudioError, Samples
from echostream.inference.chunking import ChunkSizeError
from echostream.inference.loaded_model import LoadedModel
from echostream.inference.session import Output, SessionOptions, StepResult, StreamingTranslator
from echostream.inference.unit_synthesis import UnitSynthesizer
from tests.inference.fakes import (
    FakeChunkEncoder,
    FakeModel,
    FakeStreamingEncoder,
    FakeVocoder,
    load_fake,
    noise,
)

CPU = torch.device("cpu")


def make(loaded: LoadedModel | None = None, **options: Any) -> StreamingTranslator:
    chosen = replace(SessionOptions(dur_prediction=True, max_len=30), **options)
    synthesizer = UnitSynthesizer(FakeVocoder(), dur_prediction=chosen.dur_prediction, device=CPU)
    return StreamingTranslator(loaded or load_fake(), chosen, synthesizer)


def run(
    session: StreamingTranslator, signal: Samples, sizes: list[int], rate: int = 16000
) -> list[StepResult]:
    results = []
    position = 0
    for size in sizes:
        results.append(session.push(signal[position : position + size], rate))
        position += size
    results.append(session.push(signal[position:], rate, is_final=True))
    return results


def outcome(results: list[StepResult]) -> tuple[str, tuple[int, ...], tuple[int, ...], list[float], str, str]:
    return (
        " ".join(result.text for result in results if result.text),
        tuple(token for result in results for token in result.tokens),
        tuple(unit for result in results for unit in result.units),
        np.concatenate([result.waveform for result in results]).tolist(),
        results[-1].transcription,
        results[-1].translation,
    )


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 9000), max_size=6),
    chunk_ms=st.sampled_from([40, 320, 640]),
    rate=st.sampled_from([16000, 22050, 48000]),
    output=st.sampled_from(list(Output)),
)
def test_delivery_does_not_change_the_outcome(
    sizes: list[int], chunk_ms: int, rate: int, output: Output
) -> None:
    signal = noise(rate)
    whole = run(make(chunk_ms=chunk_ms, output=output), signal, [], rate)
    pieces = run(make(chunk_ms=chunk_ms, output=output), signal, sizes, rate)
    assert outcome(pieces) == outcome(whole)
    assert outcome(whole)[0]


def test_writes_before_the_end_and_texts_agree() -> None:
    session = make()
    results = run(session, noise(48000), [5120] * 9)
    assert any(result.units for result in results[:-1])
    text, tokens, units, waveform, transcription, translation = outcome(results)
    assert text == translation == session.loaded.text_vocabulary.text(tokens)
    assert list(units) == session.units
    assert len(waveform) == 4 * sum(unit % 3 + 1 for unit in units)
    assert transcription
    assert [result.is_final for result in results] == [False] * 9 + [True]


@pytest.mark.parametrize("chunk_ms", [320, 640])
def test_every_token_keeps_the_frames_that_it_first_saw(chunk_ms: int) -> None:
    session = make(chunk_ms=chunk_ms)
    model = session.loaded.model
    assert isinstance(model, FakeModel)
    frames_at_token: list[int] = []
    signal = noise(48000)
    for begin in range(0, 48000, 5120):
        is_final = begin + 5120 >= 48000
        result = session.push(signal[begin : begin + 5120], 16000, is_final=is_final)
        frames_at_token += [session.num_encoder_frames] * len(result.tokens)
    assert model.seen[-1][: len(frames_at_token)] == frames_at_token
    assert len(set(frames_at_token)) > 2


def test_whole_words_from_640_ms_on() -> None:
    session = make(chunk_ms=640)
    results = run(session, noise(64000, 3), [10240] * 6)
    written = ""
    for result in results:
        written += result.text.replace(" ", "")
        assert written == result.translation.replace(" ", "")
    assert any(result.text for result in results[:-1])
    vocabulary = session.loaded.text_vocabulary
    held_back = run(make(chunk_ms=600), noise(64000, 3), [9600] * 6)
    pieces = [vocabulary.symbols[token] for result in held_back[:-1] for token in result.tokens]
    assert any(result.text.split() != vocabulary.text(result.tokens).split() for result in held_back)
    assert pieces


def test_lagging_delays_and_stride_groups() -> None:
    def translate(**options: Any) -> list[StepResult]:
        session = make(output=Output.TEXT, max_len=200, chunk_ms=120, **options)
        return run(session, noise(32000, 1), [1920] * 16)

    prompt, late, coarse = translate(), translate(lagging_k1=3), translate(stride_n=4)

    def num_before_end(results: list[StepResult]) -> int:
        return sum(len(result.tokens) for result in results[:-1])

    assert num_before_end(late) < num_before_end(prompt)
    assert len([r for r in coarse if r.tokens]) < len([r for r in prompt if r.tokens])


def test_lagging_k2_holds_units_back_until_the_end() -> None:
    signal = noise(48000)
    prompt = run(make(), signal, [5120] * 9)
    late = run(make(lagging_k2=4), signal, [5120] * 9)
    assert outcome(late)[1:3] == outcome(prompt)[1:3]
    assert sum(len(r.units) for r in late[:-1]) < sum(len(r.units) for r in prompt[:-1])


def test_encoder_is_incremental_and_its_cache_is_reset() -> None:
    encoder = FakeStreamingEncoder()
    session = make(load_fake(encoder))
    resets = encoder.num_resets
    run(session, noise(48000), [5120] * 9)
    assert encoder.num_processed_frames == 298
    assert set(encoder.chunk_sizes) == {8}
    session.reset()
    assert encoder.num_resets == resets + 1


def test_recomputing_encoder_gives_the_same_translation() -> None:
    encoder = FakeChunkEncoder()
    recomputed = run(make(load_fake(encoder)), noise(48000), [5120] * 9)
    incremental = run(make(load_fake(FakeStreamingEncoder())), noise(48000), [5120] * 9)
    assert outcome(recomputed) == outcome(incremental)
    assert set(encoder.chunk_sizes) == {8}


@pytest.mark.parametrize(
    ("chunk_ms", "segment_length", "expected"), [(320, None, 8), (1280, None, 16), (320, 4, 4), (40, None, 1)]
)
def test_segment_length_follows_the_chunk(chunk_ms: int, segment_length: int | None, expected: int) -> None:
    encoder = FakeStreamingEncoder()
    run(make(load_fake(encoder), chunk_ms=chunk_ms, segment_length=segment_length), noise(8000), [])
    assert set(encoder.chunk_sizes) == {expected}


def test_chunk_conformer_takes_any_chunk() -> None:
    encoder = FakeChunkEncoder()
    run(make(load_fake(encoder), chunk_ms=1280), noise(40000), [])
    assert set(encoder.chunk_sizes) == {32}
    with pytest.raises(ValueError, match="Emformer"):
        make(load_fake(encoder), segment_length=4)


def test_two_sessions_share_a_model() -> None:
    loaded = load_fake()
    signals = [noise(32000, 1), noise(32000, 2)]
    alone = [outcome(run(make(loaded), signal, [5120] * 6)) for signal in signals]
    sessions = [make(loaded), make(loaded)]
    results: list[list[StepResult]] = [[], []]
    for begin in range(0, 32000, 5120):
        for index in (0, 1):
            chunk = signals[index][begin : begin + 5120]
            results[index].append(sessions[index].push(chunk, 16000, is_final=begin + 5120 >= 32000))
    assert [outcome(result) for result in results] == alone


def test_reset_equals_fresh() -> None:
    session = make()
    first = outcome(run(session, noise(32000), [5120] * 6))
    with pytest.raises(RuntimeError, match="reset"):
        session.push(noise(100), 16000)
    session.reset()
    assert outcome(run(session, noise(32000), [700] * 6)) == first
    session.reset()
    session.push(noise(20000, 9), 16000)
    session.reset()
    assert outcome(run(session, noise(32000), [])) == first


def test_latency_changes_in_mid_stream() -> None:
    encoder = FakeStreamingEncoder()
    session = make(load_fake(encoder))
    signal = noise(64000)
    session.push(signal[:10240], 16000)
    session.set_chunk_ms(640)
    result = session.push(signal[10240:20479], 16000)
    assert not result.tokens
    session.push(signal[20479:20480], 16000)
    assert encoder.chunk_sizes == [8, 8, 16]
    session.push(signal[20480:], 16000, is_final=True)
    with pytest.raises(ChunkSizeError):
        session.set_chunk_ms(330)


@pytest.mark.parametrize("num_samples", [0, 10, 399, 400, 700])
def test_tiny_utterances(num_samples: int) -> None:
    result = run(make(), noise(num_samples), [])[-1]
    assert result.is_final
    assert bool(result.tokens) == (num_samples >= 400)


@pytest.mark.parametrize("chunk_ms", [0, -320, 1, 330])
def test_bad_chunks(chunk_ms: int) -> None:
    with pytest.raises(ChunkSizeError, match="multiple of the encoder frame of 40 ms"):
        make(chunk_ms=chunk_ms)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lagging_k1": -1}, "lagging-k1"),
        ({"stride_n": 0}, "stride-n"),
        ({"lagging_k2": -1}, "lagging-k2"),
        ({"stride_n2": 0}, "stride-n2"),
        ({"max_len": 0}, "at least one token"),
        ({"segment_length": 0}, "segment length"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_speech_needs_a_vocoder_and_the_rate_is_fixed() -> None:
    with pytest.raises(ValueError, match="vocoder"):
        StreamingTranslator(load_fake(), SessionOptions())
    session = StreamingTranslator(load_fake(), SessionOptions(output=Output.TEXT, max_len=200))
    session.push(noise(100), 16000)
    with pytest.raises(AudioError, match="16000 to 8000"):
        session.push(noise(100), 8000)


def test_max_len_bounds_the_translation() -> None:
    results = run(make(max_len=3), noise(64000), [5120] * 12)
    assert len(outcome(results)[1]) == 3


def test_transcription_grows_word_by_word() -> None:
    session = make(output=Output.TRANSCRIPTION)
    results = run(session, noise(64000), [5120] * 12)
    text = outcome(results)[0]
    assert text == results[-1].transcription
    assert any(result.text for result in results[:-1])
    assert results[-1].translation == ""
