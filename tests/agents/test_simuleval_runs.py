"""The agents in SimulEval, for both architectures, from entry file and by class."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from echostream.inference.step_record import STEPS_FILE, StepRecord
from tests.agents.conftest import RunAgent, entry_file, model_options, read_lines, read_log, simulate
from tests.inference.fakes import noise
from tests.inference.tiny_checkpoint import TinyCheckpoint

S2ST = entry_file("speech_to_speech")
S2TT = entry_file("speech_to_text.s2tt")
ASR = entry_file("speech_to_text.asr")
SPEECH_METRICS = ["--latency-metrics", "AL", "ATD", "StartOffset", "EndOffset", "RTF", "DiscontinuityNum"]


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
        *("--hold-back-frames", "0"),
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
    records = [StepRecord.from_json(line) for line in read_lines(tmp_path / "extra" / STEPS_FILE)]
    for info, spoken, record in zip(log, units, records, strict=True):
        assert record.heard_ms == sorted(record.heard_ms)
        assert record.heard_ms[-1] == int(info["source_length"])
        assert set(record.heard_ms[:-1]) <= set(range(320, 10000, 320))
        assert len(record.compute_ms) == len(record.num_units) == len(record.heard_ms)
        assert min(record.compute_ms) > 0
        assert sum(record.num_units) == len(spoken)
        assert all(word.known_ms in record.heard_ms for word in record.source_words)
        assert all(word.known_ms >= word.source_ms for word in record.source_words)
    printed = capsys.readouterr().out
    translations = read_lines(tmp_path / "extra" / "st.txt")
    transcriptions = read_lines(tmp_path / "extra" / "asr.txt")
    assert f"Simultaneous translation: {translations[0]}\n" in printed
    assert f"Streaming ASR: {transcriptions[1]}\n" in printed
    assert translations[2] == transcriptions[2] == ""
    for record, translation, transcription in zip(records, translations, transcriptions, strict=True):
        assert " ".join(word.text for word in record.target_words) == translation
        assert " ".join(word.text for word in record.source_words) == transcription
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
    assert [info["prediction"] for info in log] == read_lines(tmp_path / "extra" / "st.txt")
    for info in log:
        assert len(info["delays"]) == len(info["prediction"].split())
        assert info["delays"] == sorted(info["delays"])
    assert all(info["prediction"] for info in log[:2])
    assert not (tmp_path / "extra" / "unit.txt").exists()


@pytest.mark.parametrize("arch", ["echostream", "streamspeech"])
def test_recognition(run_agent: RunAgent, checkpoints: dict[str, TinyCheckpoint], arch: str) -> None:
    output = run_agent(ASR, checkpoints[arch], "--quality-metrics", "WER")
    log = read_log(output)
    transcriptions = read_lines(output / "asr.txt")  # beside the log, where nothing else is said
    assert len(read_lines(output / STEPS_FILE)) == len(log)
    assert [bool(text) for text in transcriptions] == [True, True, False]
    assert [info["prediction"] for info in log] == transcriptions
    assert log[0]["delays"][0] < log[0]["source_length"]
    assert not (output / "st.txt").exists()


def test_recomputing_gives_the_same(
    run_agent: RunAgent, checkpoints: dict[str, TinyCheckpoint], tmp_path: Path
) -> None:
    texts = []
    flags: tuple[str, ...]
    for flags in ((), ("--recompute",)):
        extra = tmp_path / f"extra{len(flags)}"
        flags = (*flags, "--window-ms", "0", "--extra-output-dir", str(extra))
        log = read_log(run_agent(S2ST, checkpoints["echostream"], *flags))
        files = [read_lines(extra / name) for name in ("asr.txt", "st.txt", "unit.txt")]
        texts.append((files, [info["delays"] for info in log]))
    assert texts[0] == texts[1]


def test_wait_k(run_agent: RunAgent, checkpoints: dict[str, TinyCheckpoint]) -> None:
    output = run_agent(S2TT, checkpoints["echostream"], "--waitk-lagging", "3", "--stride-n", "2")
    for info in read_log(output)[:2]:
        assert info["delays"]
        assert info["delays"][0] >= 3 * 320
        assert all(delay in {960, 1600, info["source_length"]} for delay in info["delays"])


@pytest.mark.parametrize("arch", ["echostream", "streamspeech"])
def test_long_input_is_cut(
    run_agent: RunAgent, checkpoints: dict[str, TinyCheckpoint], arch: str, tmp_path: Path
) -> None:
    long = tmp_path / "long.wav"
    soundfile.write(long, noise(160000, 4), 16000)
    flags = ["--window-ms", "2000", "--pause-ms", "200", "--extra-output-dir", str(tmp_path / "extra")]
    output = run_agent(S2ST, checkpoints[arch], *flags, *SPEECH_METRICS, wavs=[long])
    [info] = read_log(output)
    windows = {int(delay // 2000) for delay in info["delays"] if delay < info["source_length"]}
    assert len(windows) >= 3
    [units] = read_lines(tmp_path / "extra" / "unit.txt")
    assert len(units.split()) == sum(info["durations"]) / 20


def test_many_channels(run_agent: RunAgent, checkpoints: dict[str, TinyCheckpoint], tmp_path: Path) -> None:
    mono, many = tmp_path / "mono.wav", tmp_path / "many.wav"
    soundfile.write(mono, noise(28000), 16000, subtype="FLOAT")
    soundfile.write(many, np.repeat(noise(28000)[:, None], 8, axis=1), 16000, subtype="FLOAT")
    first, second = read_log(run_agent(ASR, checkpoints["echostream"], wavs=[mono, many]))
    assert first["prediction"]
    assert (first["prediction"], first["delays"]) == (second["prediction"], second["delays"])


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


@pytest.mark.parametrize("arch", ["echostream", "streamspeech"])
def test_text_to_speech(
    checkpoints: dict[str, TinyCheckpoint], arch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["the cat sleeps on the mat", "no bird sings", ""]
    (tmp_path / "text.txt").write_text("".join(f"{text}\n" for text in texts))
    output = tmp_path / "output"
    simulate(
        monkeypatch,
        *entry_file("text_to_speech.tts"),
        *model_options(checkpoints[arch]),
        *("--source", str(tmp_path / "text.txt"), "--target", str(tmp_path / "text.txt")),
        *("--source-type", "text", "--target-type", "speech", "--source-word-ms", "200"),
        *("--hold-back-frames", "0"),
        *("--output", str(output), "--computation-aware", *SPEECH_METRICS),
    )
    log = read_log(output)
    assert [info["source"] for info in log] == [info["reference"] for info in log] == texts
    assert [info["source_length"] for info in log] == [1200, 600, 0]
    for info in log[:2]:
        samples, rate = soundfile.read(info["prediction"])
        assert rate == 16000
        assert np.abs(samples).max() > 0
        assert all(delay % 200 == 0 for delay in info["delays"])
        assert info["delays"][-1] == info["source_length"]
        assert all(late > delay for late, delay in zip(info["elapsed"], info["delays"], strict=True))
    assert log[0]["delays"][0] < log[0]["source_length"]
    assert log[2]["durations"] == []
    assert "StartOffset_CA" in (output / "scores.tsv").read_text()
