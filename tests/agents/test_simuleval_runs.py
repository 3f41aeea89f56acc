"""The three agents in SimulEval, for both architectures, from entry file and by class."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.agents.conftest import ROOT, RunAgent
from tests.inference.tiny_checkpoint import TinyCheckpoint

S2ST = ["--agent", str(ROOT / "agent" / "speech_to_speech.echostream.agent.py")]
S2TT = ["--agent", str(ROOT / "agent" / "speech_to_text.s2tt.echostream.agent.py")]
ASR = ["--agent", str(ROOT / "agent" / "speech_to_text.asr.echostream.agent.py")]
SPEECH_METRICS = ["--latency-metrics", "AL", "ATD", "StartOffset", "EndOffset", "RTF", "DiscontinuityNum"]


def read_log(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "instances.log").read_text().splitlines()]


def read_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]


@pytest.mark.parametrize("arch", ["echostream", "streamspeech"])
def test_speech_to_speech(
    run_agent: RunAgent,
    checkpoints: dict[str, TinyCheckpoint],
    arch: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tiny = checkpoints[arch]
    output = run_agent(
        S2ST,
        tiny,
        *("--vocoder", str(tiny.vocoder), "--vocoder-cfg", str(tiny.vocoder_config)),
        *("--extra-output-dir", str(tmp_path / "extra"), "--output-asr-translation", "True"),
        *("--computation-aware", *SPEECH_METRICS),
    )
    log = read_log(output)
    units = [line.split() for line in read_lines(tmp_path / "extra" / "unit.txt")]
    assert len(log) == len(units) == 3
    for info, spoken in zip(log[:2], units[:2], strict=True):
        samples, rate = soundfile.read(info["prediction"])
        assert rate == 16000
        assert sum(info["durations"]) == pytest.approx(20 * len(spoken))
        assert len(samples) >= 320 * len(spoken) > 0
        assert np.abs(samples).max() > 0
        assert info["delays"][0] < info["source_length"]
        assert all(late > delay for late, delay in zip(info["elapsed"], info["delays"], strict=True))
    assert log[2]["durations"] == units[2] == []
    printed = capsys.readouterr().out
    translations = read_lines(tmp_path / "extra" / "st.txt")
    transcriptions = read_lines(tmp_path / "extra" / "asr.txt")
    assert f"Simultaneous translation: {translations[0]}\n" in printed
    assert f"Streaming ASR: {transcriptions[1]}\n" in printed
    assert translations[2] == transcriptions[2] == ""
    assert "EndOffset_CA" in (output / "scores.tsv").read_text()


@pytest.mark.parametrize(
    ("arch", "segment_ms"), [("echostream", 320), ("echostream", 640), ("streamspeech", 320)]
)
def test_speech_to_text(
    run_agent: RunAgent, checkpoints: dict[str, TinyCheckpoint], arch: str, segment_ms: int, tmp_path: Path
) -> None:
    output = run_agent(
        S2TT, checkpoints[arch], "--extra-output-dir", str(tmp_path / "extra"), segment_ms=segment_ms
    )
    log = read_log(output)
    translations = read_lines(tmp_path / "extra" / "st.txt")
    for info, translation in zip(log, translations, strict=True):
        words = info["prediction"].split()
        assert "".join(words) == translation.replace(" ", "")
        assert len(info["delays"]) == len(words)
        assert info["delays"] == sorted(info["delays"])
    if segment_ms == 320:
        assert [info["prediction"] for info in log] == translations
        assert any(info["delays"][0] < info["source_length"] for info in log[:2])
    assert not (tmp_path / "extra" / "unit.txt").exists()


@pytest.mark.parametrize("arch", ["echostream", "streamspeech"])
def test_recognition(
    run_agent: RunAgent, checkpoints: dict[str, TinyCheckpoint], arch: str, tmp_path: Path
) -> None:
    output = run_agent(
        ASR, checkpoints[arch], "--extra-output-dir", str(tmp_path / "extra"), "--quality-metrics", "WER"
    )
    log = read_log(output)
    transcriptions = read_lines(tmp_path / "extra" / "asr.txt")
    assert [bool(text) for text in transcriptions] == [True, True, False]
    if arch == "echostream":
        assert [info["prediction"] for info in log] == transcriptions
    assert log[0]["delays"][0] < log[0]["source_length"]
    assert not (tmp_path / "extra" / "st.txt").exists()


def test_agent_class_and_the_configured_vocoder(
    run_agent: RunAgent, checkpoints: dict[str, TinyCheckpoint]
) -> None:
    by_class = ["--agent-class", "echostream.agents.s2st.EchoStreamS2STAgent"]
    output = run_agent(by_class, checkpoints["echostream"], "--dur-prediction", *SPEECH_METRICS)
    log = read_log(output)
    assert all(info["durations"] for info in log[:2])


@pytest.mark.parametrize(("segment_ms", "message"), [(330, "330 ms"), (1, "1 ms")])
def test_bad_segment_size(
    run_agent: RunAgent, checkpoints: dict[str, TinyCheckpoint], segment_ms: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run_agent(S2TT, checkpoints["echostream"], segment_ms=segment_ms)
