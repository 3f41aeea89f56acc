"""Options, errors and life cycle of the agents."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from simuleval.agents import GenericAgent
from simuleval.agents.states import AgentStates
from simuleval.data.segments import EmptySegment, Segment, SpeechSegment, TextSegment

from echostream.agents.asr import EchoStreamASRAgent
from echostream.agents.model_agent import ModelAgent
from echostream.agents.option_checks import OptionError, resolve_device
from echostream.agents.s2st import EchoStreamS2STAgent
from echostream.agents.s2tt import EchoStreamS2TTAgent
from echostream.agents.settings import ALL_SETTINGS
from echostream.agents.tts import EchoStreamTTSAgent
from echostream.data.audio import AudioError
from echostream.inference.options import SessionOptions
from echostream.inference.recompute import RecomputingPipeline
from tests.agents.conftest import parse
from tests.inference.fakes import noise
from tests.inference.tiny_checkpoint import TinyCheckpoint

AGENTS = (EchoStreamS2STAgent, EchoStreamS2TTAgent, EchoStreamASRAgent)


def make(tiny: TinyCheckpoint, *extra: str, agent: type[GenericAgent] = EchoStreamS2TTAgent) -> GenericAgent:
    return agent.from_args(parse(tiny, *extra, agent=agent))


def speak(agent: GenericAgent, num_samples: int = 25600, chunk_samples: int = 5120) -> list[Segment]:
    signal = noise(num_samples)
    outputs = []
    for begin in range(0, num_samples, chunk_samples):
        content = signal[begin : begin + chunk_samples].tolist()
        finished = begin + chunk_samples >= num_samples
        outputs.append(agent.pushpop(SpeechSegment(content=content, sample_rate=16000, finished=finished)))
    return outputs


@pytest.fixture(scope="module")
def tiny(checkpoints: dict[str, TinyCheckpoint]) -> TinyCheckpoint:
    return checkpoints["echostream"]


@pytest.mark.parametrize("agent", AGENTS)
def test_streamspeechs_flags_are_accepted(tiny: TinyCheckpoint, agent: type[GenericAgent]) -> None:
    flags = "--user-dir researches/ctc_unity --agent-dir agent --segment-size 320 --unit-per-subword 15"
    flags += " --max-len 10"
    flags += (
        " --shift-size 10 --window-size 25 --sample-rate 48000 --feature-dim 80 --lagging-k1 0 --lagging-k2 0"
    )
    flags += " --stride-n 1 --stride-n2 1 --force-finish --tgt-splitter-type SentencePiece --dur-prediction"
    paths = ["--tgt-splitter-path", "spm.model", "--global-stats", str(tiny.folder / "gcmvn.npz")]
    paths += ["--vocoder", str(tiny.vocoder), "--vocoder-cfg", str(tiny.vocoder_config), "--device", "cpu"]
    built = make(tiny, *flags.split(), *paths, agent=agent)
    outputs = speak(built)
    assert outputs[-1].finished
    assert not any(output.finished for output in outputs[:-1])
    assert any(len(output.content) for output in outputs)


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ([], False),
        (["--output-asr-translation"], True),
        (["--output-asr-translation", "True"], True),
        (["--output-asr-translation", "False"], False),
        (["--output-asr-translation", "table"], "table"),
    ],
)
def test_output_asr_translation(tiny: TinyCheckpoint, extra: list[str], expected: bool | str) -> None:
    assert parse(tiny, *extra, agent=EchoStreamS2STAgent).output_asr_translation == expected


def test_output_asr_translation_takes_nothing_else(
    tiny: TinyCheckpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(tiny, "--output-asr-translation", "maybe", agent=EchoStreamS2STAgent)
    assert "True or False is expected" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--source-segment-size", "330"], "330 ms"),
        (["--feature-dim", "40"], "--feature-dim must be 80"),
        (["--shift-size", "20"], "--shift-size must be 10"),
        (["--window-size", "20"], "--window-size must be 25"),
        (["--tgt-splitter-type", "BPE"], "SentencePiece"),
        (["--unit-per-subword", "0"], "--unit-per-subword must be positive"),
        (["--max-len", "0"], "max-len, the longest text segment"),
        (["--stride-n", "0"], "stride-n"),
        (["--lagging-k1", "-1"], "lagging-k1"),
        (["--waitk-lagging", "0"], "waitk-lagging"),
        (["--stride-n2", "0"], "stride-n2"),
        (["--hold-back-frames", "-1"], "hold-back-frames"),
        (["--window-ms", "-1"], "window-ms"),
        (["--pause-ms", "-1"], "pause-ms"),
        (["--max-repeats", "-1"], "max-repeats"),
        (["--unit-blank-penalty", "inf"], "unit-blank-penalty"),
        (["--silence-dbfs", "3"], "silence-dbfs"),
        (["--device", "abacus"], "abacus: unknown"),
        (["--segment-length", "0"], "segment length"),
        (["--model-path", "none.pt"], r"none\.pt: no such checkpoint"),
        (["--data-bin", "nowhere"], "no such folder"),
        (["--global-stats", "none.npz"], r"none\.npz"),
    ],
)
def test_bad_options(tiny: TinyCheckpoint, extra: list[str], message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        make(tiny, *extra)


def test_device_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("gpu", "cuda", "cuda:1"):
        with pytest.raises(OptionError, match="no CUDA device"):
            resolve_device(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("gpu") == torch.device("cuda")
    assert resolve_device("cuda:1").index == 1


def test_half_precision_needs_cuda(tiny: TinyCheckpoint) -> None:
    agent = make(tiny)
    agent.to("cpu")
    with pytest.raises(OptionError, match="half precision"):
        agent.to("cpu", fp16=True)


def test_segment_length_is_for_emformers(checkpoints: dict[str, TinyCheckpoint]) -> None:
    assert isinstance(make(checkpoints["echostream"], "--segment-length", "4"), GenericAgent)
    with pytest.raises(ValueError, match="Emformer"):
        make(checkpoints["streamspeech"], "--segment-length", "4")


@pytest.mark.parametrize("agent", AGENTS)
def test_settings_are_the_sessions(tiny: TinyCheckpoint, agent: type[ModelAgent]) -> None:
    built = make(tiny, agent=agent)
    assert built.settings == SessionOptions(output=agent.output)
    flags = (
        "--lagging-k1 1 --stride-n 2 --waitk-lagging 3 --silence-dbfs -60.5 --max-repeats 4 --window-ms 5000"
    )
    flags += " --pause-ms 300 --resets-encoder --max-len 30 --segment-length 4 --lagging-k2 1 --stride-n2 2"
    flags += " --unit-blank-penalty 1.5 --dur-prediction --hold-back-frames 3 --source-segment-size 640"
    flags += " --recompute"
    built = make(tiny, *flags.split(), agent=agent)
    expected: dict[str, Any] = {
        "lagging_k1": 1,
        "stride_n": 2,
        "waitk_lagging": 3,
        "silence_dbfs": -60.5,
        "max_repeats": 4,
        "window_ms": 5000,
        "pause_ms": 300,
        "resets_encoder": True,
        "max_len": 30,
        "segment_length": 4,
        "lagging_k2": 1,
        "stride_n2": 2,
        "unit_blank_penalty": 1.5,
        "dur_prediction": True,
        "hold_back_frames": 3,
    }
    assert expected.keys() == ALL_SETTINGS.keys()
    assert built.settings == replace(SessionOptions(output=agent.output, chunk_ms=640), **expected)
    built.pushpop(SpeechSegment(content=[0.0], sample_rate=16000))
    assert isinstance(built.session._pipeline, RecomputingPipeline)


@pytest.mark.parametrize("agent", AGENTS)
def test_reset_equals_fresh_and_clears_the_cache(
    tiny: TinyCheckpoint, agent: type[GenericAgent], monkeypatch: pytest.MonkeyPatch
) -> None:
    built = make(tiny, "--max-len", "10", agent=agent)
    calls: list[bool] = []
    encoder = built.loaded.model.encoder
    original = encoder.reset_cache

    def counting() -> None:
        calls.append(True)
        original()

    first = [(output.content, output.finished) for output in speak(built)]
    monkeypatch.setattr(encoder, "reset_cache", counting)
    built.reset()
    assert calls == [True]
    assert [(output.content, output.finished) for output in speak(built)] == first
    built.reset()
    speak(built, num_samples=15360)
    built.reset()
    assert [(output.content, output.finished) for output in speak(built)] == first


def test_an_utterance_has_one_rate(tiny: TinyCheckpoint) -> None:
    agent = make(tiny, "--max-len", "10")
    agent.pushpop(SpeechSegment(content=noise(4000).tolist(), sample_rate=8000))
    with pytest.raises(AudioError, match="from 8000 to 16000 Hz"):
        agent.pushpop(SpeechSegment(content=noise(4000).tolist(), sample_rate=16000))
    agent.reset()
    assert speak(agent)[-1].finished


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, -1, 0], "type int64"),
        ([12000.0, -30000.0], "scale"),
        ([0.0, float("nan")], "not finite"),
        ([[0.0] * 40] * 10, "channels"),
    ],
)
def test_bad_samples_are_refused_and_the_session_goes_on(
    tiny: TinyCheckpoint, content: list[Any], message: str
) -> None:
    agent = make(tiny, "--max-len", "10")
    expected = [output.content for output in speak(agent)]
    agent.reset()
    signal = noise(25600)
    outputs = [agent.pushpop(SpeechSegment(content=signal[:5120].tolist(), sample_rate=16000)).content]
    with pytest.raises(AudioError, match=message):
        agent.pushpop(SpeechSegment(content=content, sample_rate=16000))
    for begin in range(5120, 25600, 5120):
        part = signal[begin : begin + 5120].tolist()
        finished = begin + 5120 == 25600
        outputs.append(
            agent.pushpop(SpeechSegment(content=part, sample_rate=16000, finished=finished)).content
        )
    assert outputs == expected


def test_text_becomes_speech_word_by_word(tiny: TinyCheckpoint) -> None:
    agent = make(tiny, "--hold-back-frames", "0", agent=EchoStreamTTSAgent)
    assert (agent.source_type, agent.target_type, agent.settings.lagging_k2) == ("text", "speech", 1)

    def say(*texts: str) -> list[Segment]:
        pushed = [agent.pushpop(TextSegment(content=text)) for text in texts]
        return [*pushed, agent.pushpop(EmptySegment(finished=True))]

    outputs = say("the", "cat sleeps on", "", "the mat")
    assert [output.finished for output in outputs] == [False] * 4 + [True]
    assert outputs[2].is_empty
    samples = [sample for output in outputs for sample in output.content]
    assert samples
    assert outputs[-1].sample_rate == 16000
    assert any(output.content for output in outputs[:-1])
    agent.reset()
    again = say("the cat", "sleeps on the mat")
    assert [sample for output in again for sample in output.content] == samples
    agent.reset()
    [end] = say()
    assert (end.finished, end.content) == (True, [])


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--tgt-splitter-path", "none.model"], r"none\.model"),
        (["--source-silence-ms", "0"], "source-silence-ms"),
        (["--stride-n2", "0"], "stride-n2"),
        (["--vocoder", "none.pt"], r"none\.pt"),
    ],
)
def test_bad_options_of_synthesis(tiny: TinyCheckpoint, extra: list[str], message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        make(tiny, *extra, agent=EchoStreamTTSAgent)


def test_an_agent_serves_one_stream(tiny: TinyCheckpoint) -> None:
    agent = make(tiny)
    with pytest.raises(RuntimeError, match="one agent for each stream"):
        agent.pushpop(SpeechSegment(content=[0.0], sample_rate=16000), states=AgentStates())


def test_stereo_empty_and_early_end(tiny: TinyCheckpoint) -> None:
    agent = make(tiny, "--max-len", "10")
    mono = [output.content for output in speak(agent)]
    agent.reset()
    signal = noise(25600)
    stereo = np.stack([signal, signal], axis=1)
    outputs = []
    for begin in range(0, 25600, 5120):
        outputs.append(
            agent.pushpop(SpeechSegment(content=stereo[begin : begin + 5120].tolist(), sample_rate=16000))
        )
        assert agent.pushpop(EmptySegment()).is_empty
        assert agent.states.source == []
    outputs.append(agent.pushpop(EmptySegment(finished=True)))
    assert outputs[-1].finished
    contents = " ".join(output.content for output in outputs if output.content)
    assert contents == " ".join(content for content in mono if content)
    agent.reset()
    assert agent.pushpop(EmptySegment(finished=True)).finished


def test_extra_files_are_of_this_run(tiny: TinyCheckpoint, tmp_path: Path) -> None:
    extra = tmp_path / "a" / "extra"
    extra.mkdir(parents=True)
    (extra / "asr.txt").write_text("of an earlier run\n")
    agent = make(tiny, "--extra-output-dir", str(extra))
    speak(agent)
    agent.reset()
    speak(agent)
    lines = (extra / "asr.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2
    assert lines[0] == lines[1] != "of an earlier run"
