"""The recogniser of --asr-model: loaded once, without a network, and an error that says how to repair it."""

import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from echostream.evaluation import whisper_asr
from echostream.evaluation.asr_models import add_asr_args, load_model, transcriber_of
from echostream.evaluation.transcription import TranscriptionError
from echostream.evaluation.whisper_asr import WhisperTranscriber, read_base_weights
from tests.evaluation.conftest import RunSimulEval

SENTENCE = "the train is late this morning"


class FakeWhisper:
    """What is asked of faster-whisper's model; remembers how it was made and what it was given."""

    made: list[tuple[str, dict[str, Any]]] = []  # noqa: RUF012
    heard: list[tuple[int, dict[str, Any]]] = []  # noqa: RUF012
    supported_languages = ("en", "fr")

    def __init__(self, model: str, **settings: Any) -> None:
        if "refused" in model:
            raise RuntimeError("unsupported model binary version")
        self.made.append((model, settings))

    def transcribe(self, audio: np.ndarray, **settings: Any) -> tuple[list[Any], None]:
        self.heard.append((len(audio), settings))
        return [SimpleNamespace(text=" One, two"), SimpleNamespace(text=" 3 end.")], None


@pytest.fixture
def fake_whisper(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[FakeWhisper]]:
    """faster-whisper and the two packages of weights, both fake."""
    package = SimpleNamespace(WhisperModel=FakeWhisper, __version__="9.9")
    monkeypatch.setitem(sys.modules, "faster_whisper", package)
    names = ("echostream_test_weights_1", "echostream_test_weights_2")
    for number, name in enumerate(names, start=1):
        data = tmp_path / name / "data"
        data.mkdir(parents=True)
        (tmp_path / name / "__init__.py").touch()
        (data / f"model.bin.part{number}").write_bytes(b"half %d;" % number)
        monkeypatch.delitem(sys.modules, name, raising=False)
    for file in whisper_asr.BASE_FILES:
        (tmp_path / names[0] / "data" / file).write_text(file)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(whisper_asr, "WEIGHT_PACKAGES", names)
    FakeWhisper.made.clear()
    FakeWhisper.heard.clear()
    load_model.cache_clear()
    yield FakeWhisper
    load_model.cache_clear()


def test_whisper_is_loaded_once(run_simuleval: RunSimulEval, fake_whisper: type[FakeWhisper]) -> None:
    output = run_simuleval(
        "ScriptedSpeechAgent",
        *("--quality-metrics", "ASR_BLEU", "ASR_BLEU_NO_SILENCE", "--latency-metrics", "StartOffset"),
        *("--asr-model", "whisper", "--asr-beam", "2"),
    )
    [(model, settings)] = fake_whisper.made
    assert model == "whisper-base"
    assert settings["files"].pop("model.bin") == b"half 1;half 2;"
    assert settings["files"] == {name: name.encode() for name in whisper_asr.BASE_FILES}
    assert settings["local_files_only"]
    # Two utterances of 1300 ms with their pauses, then without.
    assert [length // 16 for length, _ in fake_whisper.heard] == [1600, 2100, 1300, 1300]
    given = fake_whisper.heard[0][1]
    assert (given["language"], given["beam_size"], given["temperature"]) == ("en", 2, 0.0)
    assert (output / "asr_transcripts.txt").read_text() == "one two three end\n" * 2
    note = "whisper-base, int8, beam 2, en, faster-whisper 9.9"
    assert note in (output / "asr_bleu_no_silence.json").read_text()


def test_a_folder_of_another_whisper(fake_whisper: type[FakeWhisper], tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    for name in whisper_asr.FOLDER_FILES:
        with pytest.raises(TranscriptionError, match=f"it has no .*{name}"):
            load_model(str(folder), 1, "fr")
        (folder / name).touch()
    assert load_model(str(folder), 1, "fr").name == f"{folder}, int8, beam 1, fr, faster-whisper 9.9"
    assert load_model(str(folder), 1, "fr") is load_model(str(folder), 1, "fr")
    assert [name for name, _ in fake_whisper.made] == [str(folder)]
    refused = tmp_path / "refused"
    folder.rename(refused)
    with pytest.raises(TranscriptionError, match=r"refused: cannot be loaded: unsupported model"):
        load_model(str(refused), 1, "en")


def options(*arguments: str) -> Namespace:
    parser = ArgumentParser()
    add_asr_args(parser)
    return parser.parse_args(arguments)


@pytest.mark.usefixtures("fake_whisper")
def test_what_cannot_be_loaded_says_how_to_repair_it(monkeypatch: pytest.MonkeyPatch) -> None:
    whisper = ("--asr-model", "whisper")
    for arguments, language, message in (
        ((), "en", "--asr-model whisper .* or --asr-command 'PROGRAM"),
        ((*whisper, "--asr-command", "echo"), "en", "two recognisers"),
        (("--asr-model", "whispr"), "en", "whispr: there is no such folder, and the names known are whisper"),
        (("--asr-model", "fairseq:none.pt"), "en", "fairseq:none.pt: none.pt: no such checkpoint"),
        (("--asr-model", "pocketsphinx"), "fr", "knows English only, not 'fr'"),
        ((*whisper, "--asr-beam", "0"), "en", "--asr-beam must be at least 1"),
        (whisper, "xx", "whisper-base does not know the language 'xx'"),
    ):
        with pytest.raises(TranscriptionError, match=message):
            transcriber_of(options(*arguments), language)
    monkeypatch.setattr(whisper_asr, "WEIGHT_PACKAGES", ("echostream_no_such_1", "echostream_no_such_2"))
    with pytest.raises(TranscriptionError, match=r"pip install 'echostream\[asr\]'.*pocketsphinx"):
        transcriber_of(options(*whisper))
    for package in ("faster_whisper", "pocketsphinx"):
        monkeypatch.setitem(sys.modules, package, None)
    for name, extra in (("whisper", "asr"), ("pocketsphinx", "evaluation")):
        with pytest.raises(
            TranscriptionError, match=rf"is not installed: pip install 'echostream\[{extra}\]'"
        ):
            transcriber_of(options("--asr-model", name))


def test_whisper_hears_clear_speech(tmp_path: Path) -> None:
    for package in ("faster_whisper", *whisper_asr.WEIGHT_PACKAGES):
        pytest.importorskip(package, reason="needs the extra asr: Whisper-base, 145 MB")
    wav = tmp_path / "speech.wav"
    subprocess.run(["flite", "-voice", "slt", "-t", SENTENCE, "-o", str(wav)], check=True)
    assert len(read_base_weights()["model.bin"]) == 145_217_532
    transcript = WhisperTranscriber(beam=1).transcribe(wav)
    assert transcript.lower().strip(" .") == SENTENCE
