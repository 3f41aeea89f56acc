"""Audio is in memory only while its utterance is being heard."""

from argparse import Namespace
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
import pytest
import soundfile
from simuleval.data.dataloader.dataloader import DATALOADER_DICT
from simuleval.evaluator.instance import SpeechOutputInstance

from echostream.evaluation.source_audio import SourceAudio
from tests.evaluation.conftest import RunSimulEval, read_log
from tests.evaluation.scripted_agent import HoldingAgent


def test_it_is_the_list_that_simuleval_makes(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    for shape in ((100,), (100, 2)):
        path = tmp_path / f"{len(shape)}.wav"
        soundfile.write(path, random.uniform(-1, 1, shape), 16000)
        expected = soundfile.read(path, dtype="float32")[0].tolist()
        audio = SourceAudio(path)
        assert (len(audio), audio.num_held_bytes) == (100, 0)
        assert audio[10:30] == expected[10:30]
        assert audio[99] == expected[99]
        assert audio.num_held_bytes == 4 * np.prod(shape)
        audio.release()
        assert (len(audio), audio.num_held_bytes) == (100, 0)
        assert list(audio) == expected


def test_a_bad_file_is_an_error_before_the_evaluation(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.wav: no such audio file; .* --source"):
        SourceAudio(tmp_path / "none.wav")
    (tmp_path / "text.wav").write_text("no audio")
    with pytest.raises(ValueError, match=r"text\.wav: cannot be read as audio"):
        SourceAudio(tmp_path / "text.wav")


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the agent know of all sources and outputs."""
    for kind, known in ((SourceAudio, HoldingAgent.sources), (SpeechOutputInstance, HoldingAgent.outputs)):

        def init(self: Any, *args: Any, made: Any = kind.__init__, known: WeakSet[Any] = known) -> None:
            made(self, *args)
            known.add(self)

        known.clear()
        monkeypatch.setattr(kind, "__init__", init)
    HoldingAgent.held_seconds.clear()


@pytest.mark.usefixtures("counting")
def test_one_utterance_is_held_at_a_time(run_simuleval: RunSimulEval) -> None:
    seconds = (1.0, 1.5, 0.5, 2.0)
    output = run_simuleval("HoldingAgent", "--latency-metrics", "StartOffset", seconds=seconds)
    assert [info["source_length"] for info in read_log(output)] == [1000 * length for length in seconds]
    assert len(HoldingAgent.held_seconds) == sum(length / 0.25 for length in seconds)
    # At each call: the source of this utterance until it is over, and its speech so far; nothing else.
    expected = [
        (0.0 if call == length / 0.25 else length, 0.1 * (call - 1))
        for length in seconds
        for call in range(1, int(length / 0.25) + 1)
    ]
    np.testing.assert_allclose(HoldingAgent.held_seconds, expected)
    for index, length in enumerate(seconds):
        assert soundfile.info(output / "wavs" / f"{index}_pred.wav").frames >= 16000 * 0.1 * length / 0.25


@pytest.mark.parametrize("target_type", ["speech", "text"])
def test_a_list_names_files_as_seen_from_the_working_directory_or_from_the_list(
    target_type: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("lists", "elsewhere"):
        (tmp_path / folder).mkdir()
        soundfile.write(tmp_path / folder / f"{folder}.wav", np.zeros(160), 16000)
    absolute = str(tmp_path / "lists" / "lists.wav")
    for name, lines in {
        "wav_list.txt": ["lists.wav", "elsewhere.wav", absolute, "none.wav"],
        "target.txt": ["a", "b", "c", "d"],
    }.items():
        (tmp_path / "lists" / name).write_text("".join(f"{line}\n" for line in lines))
    monkeypatch.chdir(tmp_path / "elsewhere")
    names = {"source": "../lists/wav_list.txt", "target": "../lists/target.txt", "tgt_lang": None}
    loader = DATALOADER_DICT[f"speech-to-{target_type}"].from_args(Namespace(**names))
    located = [loader.get_source_audio_path(index) for index in range(4)]
    assert [Path(path).resolve() for path in located[:3]] == [
        Path(absolute),
        tmp_path / "elsewhere" / "elsewhere.wav",
        Path(absolute),
    ]
    assert Path(located[0]).is_absolute()
    assert located[3] == "none.wav"
    assert len(loader.get_source(0)) == 160
