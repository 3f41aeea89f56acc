"""Options, errors and life cycle of the agents."""

import argparse
import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from simuleval.agents import GenericAgent
from simuleval.agents.states import AgentStates
from simuleval.data.segments import EmptySegment, Segment, SpeechSegment

from echostream.agents.asr import EchoStreamASRAgent
from echostream.agents.option_checks import OptionError, resolve_device
from echostream.agents.s2st import EchoStreamS2STAgent
from echostream.agents.s2tt import EchoStreamS2TTAgent
from tests.agents.conftest import model_options
from tests.inference.fakes import noise
from tests.inference.tiny_checkpoint import TinyCheckpoint, write_vocoder

AGENTS = (EchoStreamS2STAgent, EchoStreamS2TTAgent, EchoStreamASRAgent)


def parse(tiny: TinyCheckpoint, *extra: str, agent: type[GenericAgent] = EchoStreamS2STAgent) -> Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--source-segment-size", type=int, default=320)
    agent.add_args(parser)
    return parser.parse_args([*model_options(tiny), *extra])


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
    ],
)
def test_output_asr_translation(tiny: TinyCheckpoint, extra: list[str], expected: bool) -> None:
    assert parse(tiny, *extra).output_asr_translation is expected


def test_output_asr_translation_takes_nothing_else(
    tiny: TinyCheckpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(tiny, "--output-asr-translation", "maybe")
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
        (["--max-len", "0"], "--max-len must be positive"),
        (["--stride-n", "0"], "stride-n"),
        (["--lagging-k1", "-1"], "lagging-k1"),
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


def test_bad_vocoders(tiny: TinyCheckpoint, tmp_path: Path) -> None:
    def build(*extra: str) -> None:
        make(tiny, *extra, agent=EchoStreamS2STAgent)

    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        build("--vocoder-cfg", "none.json")
    with pytest.raises(FileNotFoundError, match=r"none\.pt"):
        build("--vocoder", "none.pt")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ValueError, match=r"bad\.json: .*not JSON"):
        build("--vocoder-cfg", str(tmp_path / "bad.json"))
    config = json.loads(tiny.vocoder_config.read_text())
    (tmp_path / "other.json").write_text(json.dumps({**config, "upsample_initial_channel": 64}))
    with pytest.raises(ValueError, match="vocoder"):
        build("--vocoder-cfg", str(tmp_path / "other.json"))
    small, small_config = write_vocoder(tmp_path, num_units=7)
    with pytest.raises(OptionError, match="knows 7 units, but the model writes 20"):
        build("--vocoder", str(small), "--vocoder-cfg", str(small_config))


@pytest.mark.parametrize("agent", AGENTS)
def test_reset_equals_fresh_and_clears_the_cache(tiny: TinyCheckpoint, agent: type[GenericAgent]) -> None:
    built = make(tiny, "--max-len", "10", agent=agent)
    calls: list[bool] = []
    encoder = built.session.loaded.model.encoder
    original = encoder.reset_cache

    def counting() -> None:
        calls.append(True)
        original()

    encoder.reset_cache = counting
    first = [(output.content, output.finished) for output in speak(built)]
    with pytest.raises(RuntimeError, match="reset"):
        built.session.push(np.zeros(10), 16000)
    built.reset()
    assert calls == [True]
    assert [(output.content, output.finished) for output in speak(built)] == first


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
