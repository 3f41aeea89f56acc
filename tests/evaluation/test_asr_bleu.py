"""Quality scores of speech output: right with a recogniser, an error without one, never 0 for a failure."""

import json
import sys
from pathlib import Path

import pytest

from echostream.evaluation.asr_bleu import write_asr_bleu
from echostream.evaluation.normalization import NORMALIZATION
from echostream.evaluation.transcription import (
    CommandTranscriber,
    RememberingTranscriber,
    TranscriptionError,
    transcribe_all,
)
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
    with pytest.raises(TranscriptionError, match=r"--asr-model whisper .* or --asr-command"):
        run_simuleval("ScriptedSpeechAgent", *SCORE)
    with pytest.raises(TranscriptionError, match="two recognisers"):
        run_simuleval("ScriptedSpeechAgent", *SCORE, "--asr-command", "echo", "--asr-model", "whisper")
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


def test_score_by_hand(tmp_path: Path) -> None:
    # 13 of 14 words, 11 of 12 pairs, 9 of 10 triples, 7 of 8 quadruples: "for" was heard as "four".
    transcripts = ["The boat leaves four Nice at 6:00!", "You pay 20 euros for it, please."]
    references = ["the boat leaves for nice at six o'clock", "you pay twenty euros for it please"]
    expected = 100 * ((14 / 15) * (11 / 13) * (8 / 11) * (5 / 9)) ** (1 / 4)
    assert write_asr_bleu(tmp_path, transcripts, references, recogniser="an ear") == pytest.approx(expected)
    report = json.loads((tmp_path / "asr_bleu.json").read_text())
    assert report["score"] == pytest.approx(expected)
    assert report["wer"] == pytest.approx(100 / 15)
    assert (report["normalization"], report["recogniser"]) == (NORMALIZATION, "an ear")
    assert report["num_utterances"] == 2
    heard = "the boat leaves four nice at six o'clock\nyou pay twenty euros for it please\n"
    assert (tmp_path / "asr_transcripts.txt").read_text() == heard


def test_without_silence(run_simuleval: RunSimulEval, tmp_path: Path) -> None:
    """Each utterance says 1300 ms in four pieces, with two pauses: 300 ms in all, and 800 ms."""
    length = "import sys, wave; print(wave.open(sys.argv[1]).getnframes() // 16, 'ms')"
    output = run_simuleval(
        "ScriptedSpeechAgent",
        *("--quality-metrics", "ASR_BLEU", "ASR_BLEU_NO_SILENCE", "--latency-metrics", "DiscontinuitySum"),
        *("--asr-command", recogniser(tmp_path, length)),
    )
    heard = (output / "asr_transcripts.txt").read_text().splitlines()
    assert heard == ["one thousand six hundred ms", "two thousand one hundred ms"]
    heard = (output / "asr_transcripts_no_silence.txt").read_text().splitlines()
    assert heard == ["one thousand three hundred ms"] * 2
    scores = read_scores(output)
    for name in ("asr_bleu", "asr_bleu_no_silence"):
        kept = json.loads((output / f"{name}.json").read_text())
        assert kept["score"] == pytest.approx(scores[name.upper()], abs=1e-3)


def test_a_file_is_heard_once(tmp_path: Path) -> None:
    class Ear:
        name = "ear"
        num_heard = 0

        def transcribe(self, wav: Path) -> str:
            self.num_heard += 1
            return wav.read_text()

    ear, wav = Ear(), tmp_path / "a.wav"
    remembering = RememberingTranscriber(ear)
    wav.write_text("one")
    assert transcribe_all(remembering, [wav, None, wav]) == ["one", "", "one"]
    assert (remembering.name, ear.num_heard) == ("ear", 1)
    wav.write_text("other")
    assert remembering.transcribe(wav) == "other"
