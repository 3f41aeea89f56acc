"""Quality scores of speech output: right with a recogniser, an error without one, never 0 for a failure."""

import json
import sys
from pathlib import Path

import pytest

from echostream.evaluation.asr_bleu import StrictBLEUScorer, StrictWERScorer, normalize
from echostream.evaluation.transcription import CommandTranscriber, TranscriptionError, transcribe_all
from tests.evaluation.conftest import RunSimulEval, read_scores

SCORE = ("--quality-metrics", "ASR_BLEU", "--latency-metrics", "StartOffset")


def recogniser(tmp_path: Path, body: str) -> str:
    path = tmp_path / "recogniser.py"
    path.write_text(body)
    return f"{sys.executable} {path} {{wav}}"


def test_a_recogniser_gives_the_score(run_simuleval: RunSimulEval, tmp_path: Path) -> None:
    command = recogniser(tmp_path, "import sys; open(sys.argv[1]); print('One, two three  END.')")
    output = run_simuleval("ScriptedSpeechAgent", *SCORE, "--asr-command", command)
    assert read_scores(output)["ASR_BLEU"] == pytest.approx(100)
    report = json.loads((output / "asr_bleu.json").read_text())
    assert report["score"] == pytest.approx(100)
    assert "version:" in report["signature"]
    assert (output / "asr_transcripts.txt").read_text() == "one two three end\n" * 2


def test_silence_is_an_empty_transcript(run_simuleval: RunSimulEval, tmp_path: Path) -> None:
    command = recogniser(tmp_path, "print('one two three end')")
    output = run_simuleval("SilentAgent", *SCORE, "--asr-command", command)
    assert (output / "asr_transcripts.txt").read_text() == "one two three end\n\n"
    assert 0 < read_scores(output)["ASR_BLEU"] < 60


def test_without_recogniser_it_fails_before_the_evaluation(
    run_simuleval: RunSimulEval, tmp_path: Path
) -> None:
    with pytest.raises(TranscriptionError, match="--asr-command"):
        run_simuleval("ScriptedSpeechAgent", *SCORE)
    assert not (tmp_path / "output" / "instances.log").exists()


def test_a_failing_recogniser_is_an_error(run_simuleval: RunSimulEval, tmp_path: Path) -> None:
    command = recogniser(tmp_path, "import sys; sys.exit('no model')")
    with pytest.raises(TranscriptionError, match=r"exit code 1: no model"):
        run_simuleval("ScriptedSpeechAgent", *SCORE, "--asr-command", command)


def test_text_output_is_refused(run_simuleval: RunSimulEval, tmp_path: Path) -> None:
    command = recogniser(tmp_path, "print('x')")
    with pytest.raises(TranscriptionError, match="use BLEU"):
        run_simuleval("ScriptedTextAgent", *SCORE, "--asr-command", command)


def test_bad_commands_and_files(tmp_path: Path) -> None:
    with pytest.raises(TranscriptionError, match="no program no-such-program"):
        CommandTranscriber("no-such-program {wav}")
    with pytest.raises(TranscriptionError, match="empty"):
        CommandTranscriber(" ")
    echo = CommandTranscriber("echo")
    assert transcribe_all(echo, [None]) == [""]
    with pytest.raises(TranscriptionError, match=r"gone\.wav"):
        transcribe_all(echo, [tmp_path / "gone.wav"])
    wav = tmp_path / "a.wav"
    wav.touch()
    assert transcribe_all(echo, [wav]) == [str(wav)]


def test_normalize() -> None:
    assert normalize("  It’s 5 o'clock — “now”, isn't it?") == "it's 5 o'clock now isn't it"


class TextInstance:
    """An instance of text output."""

    def __init__(self, prediction: object, reference: str) -> None:
        self.prediction = prediction
        self.reference = reference


def test_text_scores_raise_instead_of_zero() -> None:
    good = {0: TextInstance("a b c d e", "a b c d f")}
    assert 0 < StrictBLEUScorer()(good) < 100
    assert StrictWERScorer(None)(good) == pytest.approx(20)
    with pytest.raises((TypeError, AttributeError)):
        StrictBLEUScorer()({0: TextInstance(None, "a")})
    with pytest.raises(ValueError, match="no words"):
        StrictWERScorer(None)({0: TextInstance("a", " ")})
