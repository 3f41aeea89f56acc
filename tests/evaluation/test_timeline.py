"""The timeline of an utterance: what it reads, where words stand, what is drawn."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from echostream.evaluation import timeline
from echostream.inference.step_record import RecordedWord

RATE = 16000


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A run of two utterances: 7 says two pieces with a pause between them, 8 nothing."""
    folder = tmp_path / "chunk_size=320"
    (folder / "wavs").mkdir(parents=True)
    soundfile.write(tmp_path / "source.wav", 0.5 * np.sin(np.arange(RATE) / 20), RATE)
    output = np.concatenate([np.full(3200, 0.3), np.zeros(1600), np.full(4800, -0.3)])
    soundfile.write(folder / "wavs" / "7_pred.wav", output, RATE)
    spoken: dict[str, Any] = {
        "index": 7,
        "prediction": "/elsewhere/wavs/7_pred.wav",
        "delays": [640, 940],
        "durations": [200.0, 300.0],
        "intervals": [[640, 200.0], [940, 300.0]],
        "reference": "l'été à Noël",
        "source": str(tmp_path / "source.wav"),
    }
    silent = {**spoken, "index": 8, "delays": [], "durations": [], "intervals": []}
    (folder / "instances.log").write_text(f"{json.dumps(spoken)}\n{json.dumps(silent)}\n")
    steps: dict[str, Any] = {
        "heard_ms": [320, 640, 960, 1000],
        "compute_ms": [1.0] * 4,
        "num_units": [0, 10, 0, 15],
        "source_words": [["où", 320, 200], ["est", 640, 400], ["l'hôtel", 640, 600]],
        "target_words": [["where", 640, 640], ["hotel", 1000, 1000]],
        "num_segments": 1,
    }
    (folder / "steps.jsonl").write_text(f"{json.dumps(steps, ensure_ascii=False)}\n" * 2)
    return folder


def test_an_utterance_is_read_and_drawn(run_folder: Path, tmp_path: Path) -> None:
    found = timeline.read_timeline(run_folder, 7)
    assert [piece.start_s for piece in found.pieces] == [0.64, 0.94]
    assert [piece.samples.size for piece in found.pieces] == [3200, 4800]
    assert np.abs(found.pieces[1].samples + 0.3).max() < 1e-3  # the pause between them is cut out
    assert found.source.size == RATE
    assert found.end_s == pytest.approx(1.24)
    assert found.steps.source_words[2] == RecordedWord("l'hôtel", 640, 600)
    output = tmp_path / "timeline.png"
    timeline.main(["--results", str(run_folder), "--index", "7", "--output", str(output)])
    assert output.read_bytes().startswith(b"\x89PNG")
    timeline.main(["--results", str(run_folder), "--index", "8", "--output", str(output)])


def test_words_of_one_moment_stand_together_and_cover_no_others() -> None:
    words = [RecordedWord(text, known_ms, 0) for text, known_ms in (("a", 320), ("bb", 320), ("ccc", 640))]
    placed = timeline.place_words(words, character_s=0.05)
    assert [(item.text, item.begin_s, item.lane) for item in placed] == [("a bb", 0.32, 0), ("ccc", 0.64, 0)]
    crowded = timeline.place_words(words, character_s=0.2)
    assert [item.lane for item in crowded] == [0, 1]
    assert crowded[0].end_s > crowded[1].begin_s


def test_what_cannot_be_drawn_is_named(run_folder: Path, tmp_path: Path) -> None:
    def fails(message: str, *arguments: str) -> None:
        with pytest.raises(SystemExit, match=message):
            timeline.main(["--results", *arguments, "--output", str(tmp_path / "timeline.png")])

    fails(r"instances\.log: not there; --results is the folder of one run", str(tmp_path))
    fails("has no utterance 3; --index is one of 7 to 8", str(run_folder), "--index", "3")
    soundfile.write(run_folder / "wavs" / "7_pred.wav", np.zeros(99), RATE)
    fails("has 99 samples, but its entry in instances.log has 9600", str(run_folder), "--index", "7")
    steps = run_folder / "steps.jsonl"
    steps.write_text(steps.read_text() * 2)
    fails("of different runs", str(run_folder), "--index", "7")
