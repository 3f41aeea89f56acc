"""Streams without end: text segments end where they may, and no word is lost at a cut or said twice."""

from typing import Any

import numpy as np
import pytest

from echostream.data.audio import Samples
from echostream.inference.options import Output, SessionOptions
from echostream.inference.outputs import StepOutput
from echostream.inference.segmentation import fullness, required_pause_ms, segment_ends
from echostream.inference.session import Session
from echostream.inference.translator import StreamingTranslator
from tests.inference.word_model import (
    NUM_WORDS,
    RATE,
    ToneVocoder,
    WordModel,
    load_word_model,
    silence,
    speak,
)


def make(**options: Any) -> tuple[Session, WordModel]:
    loaded = load_word_model()
    vocoder: Any = ToneVocoder()
    session = StreamingTranslator(loaded, vocoder, SessionOptions(**options)).start(sample_rate=RATE)
    assert isinstance(loaded.model, WordModel)
    return session, loaded.model


def run(session: Session, signal: Samples, step_samples: int = 5120) -> list[StepOutput]:
    return [
        session.step(signal[begin : begin + step_samples], is_final=begin + step_samples >= signal.size)
        for begin in range(0, signal.size, step_samples)
    ]


def sentences(count: int, seed: int = 0) -> list[list[int]]:
    generator = np.random.default_rng(seed)
    result = []
    for _ in range(count):
        words = [int(generator.integers(NUM_WORDS))]
        for _ in range(int(generator.integers(3, 12))):
            words.append(int((words[-1] + generator.integers(1, NUM_WORDS)) % NUM_WORDS))
        result.append(words)
    return result


def stream_of(parts: list[list[int]], pauses_ms: list[float]) -> Samples:
    pieces = []
    for words, pause in zip(parts, pauses_ms, strict=True):
        pieces += [speak(words), silence(pause)]
    return np.concatenate(pieces)


def texts(outputs: list[StepOutput]) -> tuple[list[str], list[str]]:
    source = [word.text for output in outputs for word in output.source_words]
    target = [word.text for output in outputs for word in output.target_words]
    return source, target


@pytest.mark.parametrize("window_ms", [6000, 10000, 30000])
@pytest.mark.parametrize("chunk_ms", [160, 320, 640])
@pytest.mark.parametrize("resets_encoder", [False, True])
def test_no_word_is_lost_and_none_repeated(window_ms: int, chunk_ms: int, resets_encoder: bool) -> None:
    parts = sentences(12, seed=window_ms)
    pauses = [float(pause) for pause in np.random.default_rng(1).uniform(700, 1500, len(parts))]
    session, model = make(window_ms=window_ms, chunk_ms=chunk_ms, resets_encoder=resets_encoder)
    signal = stream_of(parts, pauses)
    outputs = run(session, signal)
    words = [word for part in parts for word in part]
    source, target = texts(outputs)
    assert source == [f"mot{word}" for word in words]
    assert target == [f"word{word}" for word in words]
    assert [unit for output in outputs for unit in output.units] == words
    waveform = np.concatenate([output.waveform for output in outputs])
    np.testing.assert_array_equal(waveform, np.repeat(words, 4))
    starts = [output.waveform_start_samples for output in outputs]
    assert starts == np.cumsum([0, *(output.waveform.size for output in outputs[:-1])]).tolist()
    seconds = signal.size / RATE
    assert outputs[-1].num_segments >= seconds * 1000 / (1.25 * window_ms)
    assert model.encoder.num_features == pytest.approx(100 * seconds, abs=3)
    if window_ms == 6000:
        assert model.mt_decoder.largest_position <= 25


def test_words_have_the_time_at_which_they_were_heard() -> None:
    parts = sentences(30, seed=3)
    session, _ = make(window_ms=6000, resets_encoder=True)
    outputs = run(session, stream_of(parts, [800.0] * len(parts)))
    expected_ms, clock = [], 0.0
    for words in parts:
        expected_ms += [clock + 300 * index for index in range(len(words))]
        clock += 300 * len(words) + 800
    times = [word.source_ms for output in outputs for word in output.source_words]
    assert all(abs(time - expected) <= 80 for time, expected in zip(times, expected_ms, strict=True))
    written = [word.source_ms for output in outputs for word in output.target_words]
    assert all(late >= heard for late, heard in zip(written, expected_ms, strict=True))


def test_speech_without_a_pause_is_cut_between_words_within_the_hard_limit() -> None:
    words = [index % NUM_WORDS for index in range(100)]
    session, _ = make(window_ms=4000)
    outputs = run(session, speak(words))
    assert texts(outputs)[1] == [f"word{word}" for word in words]
    assert outputs[-1].num_segments >= 30 / 5


def test_a_segment_ends_when_its_text_is_as_long_as_it_may_get() -> None:
    words = [index % NUM_WORDS for index in range(100)]
    session, model = make(max_len=40, chunk_ms=120)
    outputs = run(session, speak(words))
    assert texts(outputs)[1] == [f"word{word}" for word in words]
    assert model.mt_decoder.largest_position <= 41


def test_without_a_window_a_stream_is_one_utterance() -> None:
    parts = sentences(6)
    session, _ = make(window_ms=0)
    outputs = run(session, stream_of(parts, [2000.0] * 6))
    assert outputs[-1].num_segments == 1
    assert texts(outputs)[1] == [f"word{word}" for part in parts for word in part]


@pytest.mark.parametrize("output", list(Output))
def test_silence_alone_ends_segments_and_writes_nothing(output: Output) -> None:
    session, _ = make(window_ms=1000, output=output)
    outputs = run(session, np.concatenate([speak([1, 2, 3]), silence(9000)]))
    assert texts(outputs)[0] == ["mot1", "mot2", "mot3"]
    assert outputs[-1].num_segments == 1
    assert session.state.num_segment_chunks < 5


def test_state_stays_bounded() -> None:
    session, _ = make(window_ms=6000)
    parts = sentences(60, seed=5)
    signal = stream_of(parts, [800.0] * len(parts))
    sizes = []
    for begin in range(0, signal.size - 5120, 5120):
        session.step(signal[begin : begin + 5120])
        tensors = session.snapshot()
        sizes.append(sum(tensor.numel() for tensor in tensors.values()))
    assert max(sizes[len(sizes) // 2 :]) <= max(sizes[: len(sizes) // 4]) + 100


def test_rules() -> None:
    options = SessionOptions(window_ms=10000, pause_ms=600, max_len=100)
    assert [fullness(age, 0, options) for age in (0, 5000, 12500)] == [0, 0.5, 1.25]
    assert fullness(0, 100, options) == 1.25
    assert fullness(5000, 80, options) == 1
    assert required_pause_ms(0.49, options) is None
    assert [required_pause_ms(full, options) for full in (0.5, 0.75, 1.0, 1.1)] == [600, 300, 0, 0]

    def ends(full: float, blank_frames: int, last: str = "▁mot") -> bool:
        return segment_ends(full, blank_frames, [last], options)

    assert not ends(0.49, 100)
    assert ends(0.5, 15)
    assert not ends(0.5, 14)
    assert ends(0.5, 1, "▁mot.")
    assert not ends(0.5, 0, "▁mot.")
    assert ends(1.0, 1)
    assert not ends(1.0, 0)
    assert ends(1.25, 0)
    assert not segment_ends(0.7, 1, [], options)
