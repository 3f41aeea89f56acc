"""Sessions over real, tiny models: delivery, sharing, changes in mid-stream, snapshots, and bad input."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from echostream.data.audio import AudioError
from echostream.inference.chunking import ChunkSizeError
from echostream.inference.loaded_model import LoadedModel
from echostream.inference.loading import load_model
from echostream.inference.options import Output, SessionOptions
from echostream.inference.session import Session
from echostream.inference.translator import StreamingTranslator
from echostream.streaming import StreamFinishedError
from echostream.vocoder.code_hifigan import CodeHiFiGANVocoder
from tests.inference.fakes import noise
from tests.inference.streams import heard, run, said, steps_of
from tests.inference.tiny_checkpoint import VOCODER_CONFIG, TinyCheckpoint

Make = Callable[..., StreamingTranslator]
SIGNAL = noise(40000, 5)


@pytest.fixture(scope="module")
def models(checkpoints: dict[str, TinyCheckpoint]) -> dict[str, LoadedModel]:
    return {arch: load_model(tiny.checkpoint, data_bin=tiny.folder) for arch, tiny in checkpoints.items()}


@pytest.fixture(scope="module")
def make(models: dict[str, LoadedModel], checkpoints: dict[str, TinyCheckpoint]) -> Make:
    vocoder = CodeHiFiGANVocoder(checkpoints["echostream"].vocoder, VOCODER_CONFIG)

    def build(arch: str = "echostream", *, recompute: bool = False, **options: Any) -> StreamingTranslator:
        chosen = SessionOptions(**{"max_len": 25, **options})
        return StreamingTranslator(models[arch], vocoder, chosen, recompute=recompute)

    return build


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(0, 9000), max_size=6),
    chunk_ms=st.sampled_from([160, 320, 640]),
    rate=st.sampled_from([16000, 22050, 48000]),
    output=st.sampled_from(list(Output)),
    arch=st.sampled_from(["echostream", "streamspeech"]),
)
def test_delivery_does_not_change_the_outcome(
    make: Make, sizes: list[int], chunk_ms: int, rate: int, output: Output, arch: str
) -> None:
    signal = noise(int(1.3 * rate), 3)
    translator = make(arch, chunk_ms=chunk_ms, output=output)
    whole = run(translator.start(sample_rate=rate), signal)
    pieces = run(translator.start(sample_rate=rate), signal, sizes)
    assert said(pieces) == said(whole)
    assert said(whole)[0]
    np.testing.assert_allclose(heard(pieces), heard(whole), atol=1e-5)


@pytest.mark.parametrize("arch", ["echostream", "streamspeech"])
def test_writes_before_the_end(make: Make, arch: str) -> None:
    outputs = run(make(arch).start(), SIGNAL, steps_of(5120, SIGNAL))
    assert any(output.tokens for output in outputs[:-1])
    assert any(output.waveform.size for output in outputs[:-1])
    assert [output.is_final for output in outputs] == [False] * 7 + [True]
    assert [output.heard_ms for output in outputs] == [*range(320, 2241, 320), 2500]
    starts = [output.waveform_start_samples for output in outputs]
    assert starts == np.cumsum([0, *(output.waveform.size for output in outputs[:-1])]).tolist()
    assert outputs[-1].tentative_source_text == outputs[-1].tentative_target_text == ""
    words = [word for output in outputs for word in output.target_words]
    assert [word.source_ms for word in words] == sorted(word.source_ms for word in words)
    for output in outputs:
        assert all(word.source_ms == output.heard_ms for word in output.target_words)
        assert all(word.source_ms <= output.heard_ms for word in output.source_words)


def test_tentative_text_completes_what_is_final(models: dict[str, LoadedModel], make: Make) -> None:
    session = make(window_ms=0).start()
    vocabulary = models["echostream"].text_vocabulary
    target = ""
    tokens: list[int] = []
    for begin in range(0, 40000, 5120):
        output = session.step(SIGNAL[begin : begin + 5120], is_final=begin + 5120 >= 40000)
        tokens += output.tokens
        target = f"{target} {output.target_text}".strip()
        assert f"{target} {output.tentative_target_text}".strip() == vocabulary.text(tokens)
    assert len(tokens) == 25


def test_streamspeech_recomputed_does_what_the_public_agent_does(make: Make) -> None:
    """Without streaming masks: units of all text states known, as a prefix and what is new."""
    outputs = run(make("streamspeech", recompute=True).start(), SIGNAL, steps_of(5120, SIGNAL))
    assert any(output.tokens for output in outputs[:-1])
    state: Any = make("streamspeech", recompute=True).start().state.pipeline
    assert state.visible_frames == []
    assert said(outputs)[3]
    assert heard(outputs).size >= 320 * len(said(outputs)[3])


def test_sessions_share_a_model_and_interleave(make: Make) -> None:
    signals = [noise(32000, 1), noise(32000, 2), noise(32000, 3)]
    translator = make(dur_prediction=True)
    alone = [run(translator.start(), signal, steps_of(5120, signal)) for signal in signals]
    sessions = [translator.start(chunk_ms=320) for _ in signals]
    together: list[list[Any]] = [[], [], []]
    for begin in range(0, 32000, 5120):
        for index, signal in enumerate(signals):
            is_final = begin + 5120 >= 32000
            together[index].append(sessions[index].step(signal[begin : begin + 5120], is_final=is_final))
    for index in range(3):
        assert said(together[index]) == said(alone[index])
        np.testing.assert_array_equal(heard(together[index]), heard(alone[index]))


@pytest.mark.parametrize("arch", ["echostream", "streamspeech"])
@pytest.mark.parametrize("cut", [0, 100, 9000, 20480])
def test_snapshot_and_restore(make: Make, arch: str, cut: int) -> None:
    options = {"dur_prediction": True, "lagging_k2": 1, "hold_back_frames": 2}
    session = make(arch, **options).start(sample_rate=16000)
    session.step(SIGNAL[:cut])
    stream = io.BytesIO()
    torch.save(session.snapshot(), stream)
    expected = session.step(SIGNAL[cut:], is_final=True)
    stream.seek(0)
    tensors = torch.load(stream, weights_only=True)
    assert all(isinstance(tensor, torch.Tensor) for tensor in tensors.values())
    for _ in range(2):  # the snapshot stays as it is
        restored = make(arch, **options).restore(tensors, sample_rate=16000)
        actual = restored.step(SIGNAL[cut:], is_final=True)
        assert said([actual]) == said([expected])
        np.testing.assert_array_equal(actual.waveform, expected.waveform)


def test_a_snapshot_of_something_else_is_refused(make: Make) -> None:
    snapshot = make().start().snapshot()
    with pytest.raises(ValueError, match="another kind"):
        make("streamspeech").restore(snapshot)
    with pytest.raises(ValueError, match="another kind"):
        make().restore({name: tensor for name, tensor in snapshot.items() if "vocoder" not in name})
    with pytest.raises(ValueError, match=r"16000 Hz, not 8000 Hz|another kind"):
        make().restore(snapshot, sample_rate=8000)


def test_latency_changes_in_mid_stream(make: Make) -> None:
    session = make(max_len=100).start()
    session.step(SIGNAL[:10240])
    session.configure(chunk_ms=640, lagging_k1=2, stride_n=2, lagging_k2=1, whole_words=False)
    assert session.step(SIGNAL[10240:20479]).heard_ms == 640
    assert session.step(SIGNAL[20479:20480]).heard_ms == 1280
    session.configure(chunk_ms=160, whole_words=True, hold_back_frames=1, waitk_lagging=3)
    assert session.step(SIGNAL[20480:23040]).heard_ms == 1440
    assert session.step(SIGNAL[23040:], is_final=True).is_final
    with pytest.raises(ChunkSizeError):
        session.configure(chunk_ms=330)
    assert session.options.chunk_ms == 160
    with pytest.raises(ValueError, match="fixed when a session starts"):
        session.configure(output=Output.TEXT)
    with pytest.raises(ValueError, match="no setting 'chunk'"):
        session.configure(chunk=320)
    baseline = make("streamspeech").start()
    with pytest.raises(ValueError, match="Emformer"):
        baseline.configure(segment_length=4)
    assert baseline.options.segment_length is None


def test_a_change_equals_a_stream_that_had_it_from_the_start(make: Make) -> None:
    expected = run(make(chunk_ms=640, lagging_k1=1).start(), SIGNAL)
    session = make(chunk_ms=320).start()
    session.configure(chunk_ms=640, lagging_k1=1)
    assert said(run(session, SIGNAL)) == said(expected)


def test_latency_settings_matter(make: Make) -> None:
    def tokens_before_the_end(**options: Any) -> list[int]:
        outputs = run(make(output=Output.TEXT, max_len=200, chunk_ms=120, **options).start(), SIGNAL, [39000])
        return [len(output.tokens) for output in outputs]

    prompt = tokens_before_the_end()
    assert tokens_before_the_end(lagging_k1=8)[0] < prompt[0]
    assert tokens_before_the_end(waitk_lagging=2)[0] == 19
    assert tokens_before_the_end(waitk_lagging=2, stride_n=3)[0] == 21
    assert tokens_before_the_end(waitk_lagging=12)[0] == 9


def test_lagging_k2_holds_units_back_until_the_end(make: Make) -> None:
    prompt = run(make().start(), SIGNAL, steps_of(5120, SIGNAL))
    late = run(make(lagging_k2=4).start(), SIGNAL, steps_of(5120, SIGNAL))
    assert said(late)[2] == said(prompt)[2]
    assert sum(len(o.units) for o in late[:-1]) < sum(len(o.units) for o in prompt[:-1])


def test_whole_words(make: Make) -> None:
    outputs = run(make(chunk_ms=320, whole_words=True, max_len=60).start(), SIGNAL, steps_of(5120, SIGNAL))
    assert all(output.tentative_target_text == "" for output in outputs)
    pieces = run(make(chunk_ms=640, whole_words=False, max_len=60).start(), SIGNAL, steps_of(5120, SIGNAL))
    assert any(output.tentative_target_text for output in pieces)


@pytest.mark.parametrize("num_samples", [0, 10, 399, 400, 700])
@pytest.mark.parametrize("arch", ["echostream", "streamspeech"])
def test_tiny_utterances(make: Make, num_samples: int, arch: str) -> None:
    (output,) = run(make(arch).start(), noise(num_samples))
    assert output.is_final
    assert bool(output.tokens) == (num_samples >= 400)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.array([0.1, np.nan]), "not finite"),
        (np.array([0.1, -np.inf]), "not finite"),
        (np.zeros((100, 64)), "channels"),
        (np.zeros((2, 3, 4)), "shape"),
        (np.array([3000.0, -20000.0]), "32768"),
        (np.array(["a"]), "type"),
        (np.array([True, False]), "type"),
    ],
    ids=["nan", "infinity", "transposed", "3d", "int16 as float", "text", "bool"],
)
@pytest.mark.parametrize("arch", ["echostream", "streamspeech"])
def test_bad_samples_are_refused_and_the_session_goes_on(
    make: Make, samples: Any, message: str, arch: str
) -> None:
    expected = run(make(arch).start(), SIGNAL, [7000])
    session = make(arch).start()
    first = session.step(SIGNAL[:7000])
    with pytest.raises(AudioError, match=message):
        session.step(samples)
    with pytest.raises(AudioError, match=message):
        session.step(samples, is_final=True)
    with pytest.raises(AudioError, match="16000 to 8000"):
        session.step(SIGNAL[:10], sample_rate=8000)
    session.step(np.zeros(0))
    assert said([first, session.step(SIGNAL[7000:], is_final=True, sample_rate=16000)]) == said(expected)


def test_after_the_final_step_nothing_comes(make: Make) -> None:
    session = make().start()
    session.step(SIGNAL, is_final=True)
    for samples in (SIGNAL[:10], np.zeros(0)):
        with pytest.raises(StreamFinishedError, match="start another session"):
            session.step(samples)


def test_int16_and_eight_channels_are_understood(make: Make) -> None:
    pcm = np.round(SIGNAL * 20000).astype(np.int16)
    expected = said(run(make().start(), pcm / np.float32(32768)))
    assert said(run(make().start(), pcm)) == expected
    channels = np.repeat(pcm[:, None], 8, axis=1)
    assert said(run(make().start(), channels, [999])) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lagging_k1": -1}, "lagging-k1"),
        ({"stride_n": 0}, "stride-n"),
        ({"lagging_k2": -1}, "lagging-k2"),
        ({"stride_n2": 0}, "stride-n2"),
        ({"waitk_lagging": 0}, "waitk-lagging"),
        ({"max_len": 0}, "at least one token"),
        ({"segment_length": 0}, "segment length"),
        ({"chunk_ms": 0}, "multiple of the encoder frame of 40 ms"),
        ({"chunk_ms": 330}, "multiple of the encoder frame of 40 ms"),
        ({"hold_back_frames": -1}, "hold-back-frames"),
        ({"window_ms": -5}, "window-ms"),
        ({"pause_ms": -5}, "pause-ms"),
        ({"max_repeats": -1}, "max-repeats"),
        ({"unit_blank_penalty": float("nan")}, "unit-blank-penalty"),
        ({"silence_dbfs": 3.0}, "silence-dbfs"),
    ],
)
def test_bad_options(make: Make, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**options)
    with pytest.raises(ValueError, match=message):
        make().start(**options)


def test_what_a_model_cannot_do_is_refused(
    models: dict[str, LoadedModel], make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="vocoder"):
        StreamingTranslator(models["echostream"], None, SessionOptions())
    assert StreamingTranslator(models["echostream"]).options.output is Output.TEXT
    with pytest.raises(ValueError, match="Emformer"):
        make("streamspeech", segment_length=4)
    encoder: Any = models["streamspeech"].model.text_to_unit_encoder
    monkeypatch.setattr(encoder, "unidirectional", False)
    with pytest.raises(ValueError, match="--recompute"):
        make("streamspeech")
    assert said(run(make("streamspeech", recompute=True).start(), SIGNAL))[3]
    assert said(run(make("streamspeech", output=Output.TEXT).start(), SIGNAL))[2]
    rates: list[Any] = [0, -1, 0.5, True]
    for rate in rates:
        with pytest.raises(AudioError, match="sample rate"):
            make().start(sample_rate=rate)


def last_levels(session: Session, signal: Any) -> int:
    return sum(len(output.tokens) for output in run(session, signal, steps_of(5120, signal))[:-1])


def test_silence_guard(make: Make) -> None:
    quiet = SIGNAL * np.float32(1e-3)
    assert last_levels(make(output=Output.TEXT).start(), quiet) > 0
    guarded = make(output=Output.TEXT, silence_dbfs=-60.0)
    outputs = run(guarded.start(), quiet, steps_of(5120, quiet))
    assert said(outputs)[1:3] == ("", ())
    assert said(run(guarded.start(), SIGNAL)) == said(run(make(output=Output.TEXT).start(), SIGNAL))


def test_repetition_guard(make: Make) -> None:
    free = said(run(make(output=Output.TEXT, max_len=60).start(), SIGNAL))[2]
    guarded = said(run(make(output=Output.TEXT, max_len=60, max_repeats=2).start(), SIGNAL))[2]
    assert len(guarded) < len(free) == 60
    assert list(guarded) == list(free[: len(guarded)])
    for size in range(1, 5):
        for begin in range(len(guarded) - 3 * size + 1):
            window = guarded[begin : begin + 3 * size]
            assert not window[:size] == window[size : 2 * size] == window[2 * size :]


@pytest.mark.parametrize("arch", ["echostream", "streamspeech"])
def test_long_form_with_real_parts(make: Make, arch: str) -> None:
    signal = noise(12 * 16000, 7)
    translator = make(arch, window_ms=2000, max_len=40, dur_prediction=True)
    outputs = run(translator.start(), signal, steps_of(5120, signal))
    assert outputs[-1].num_segments >= 5
    assert said(run(translator.start(), signal)) == said(outputs)
    starts = [output.waveform_start_samples for output in outputs]
    assert starts == np.cumsum([0, *(output.waveform.size for output in outputs[:-1])]).tolist()
    times = [word.source_ms for output in outputs for word in output.source_words]
    assert times == sorted(times)
    assert times[-1] <= 12000


def test_transcription_is_the_same_however_the_text_is_cut(make: Make) -> None:
    signal = noise(6 * 16000, 7)
    whole = run(make(output=Output.TRANSCRIPTION, window_ms=0).start(), signal)
    cut = run(make(output=Output.TRANSCRIPTION, window_ms=1500).start(), signal)
    assert cut[-1].num_segments > 3
    assert said(cut)[0].replace(" ", "") == said(whole)[0].replace(" ", "")
