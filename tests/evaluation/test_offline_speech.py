"""ASR-BLEU of speech in a folder, also of speech that is made of the manifest's units."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile

from echostream.evaluation.offline_speech import main
from tests.inference.tiny_checkpoint import write_vocoder

MANIFEST = "id\ttgt_text\ttgt_audio\na\tThe cat sleeps here, now.\t1 2 3\nb\tnothing\t4\n"
RECOGNISER = "sh -c 'basename {wav} | sed s/0_pred.wav/THE\\ cat\\ sleeps\\ here\\ now/'"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Speech of the first utterance, and an empty file for the second, for which no units were predicted."""
    (tmp_path / "test.tsv").write_text(MANIFEST)
    soundfile.write(tmp_path / "0_pred.wav", np.zeros(1600, dtype=np.float32), 16000)
    soundfile.write(tmp_path / "1_pred.wav", np.zeros(0, dtype=np.float32), 16000)
    return tmp_path


def score(folder: Path, *options: str) -> None:
    paths = [f"--manifest={folder / 'test.tsv'}", f"--wavs={folder}", f"--output={folder / 'scores'}"]
    main([*paths, *options])


def transcripts(folder: Path) -> str:
    return (folder / "scores" / "asr_transcripts.txt").read_text()


def test_transcripts_in_the_manifests_order(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    score(folder, "--asr-command", RECOGNISER)
    assert transcripts(folder) == "the cat sleeps here now\n\n"
    report = json.loads((folder / "scores" / "asr_bleu.json").read_text())
    assert report["recogniser"] == RECOGNISER
    assert 80 < report["score"] < 100  # five of six reference words, all in order
    printed = capsys.readouterr().out
    assert f"ASR-BLEU {report['score']:.2f}  WER {100 / 6:.2f}  2 utterances" in printed


def test_other_names_and_plain_references(folder: Path) -> None:
    (folder / "texts.txt").write_text("one\ntwo\n")
    soundfile.write(folder / "b.wav", np.zeros(160), 16000)
    (folder / "0_pred.wav").rename(folder / "a.wav")
    base = "sh -c 'basename {wav} .wav'"
    score(folder, "--asr-command", base, "--wav-names", "{id}.wav")
    assert transcripts(folder) == "a\nb\n"
    (folder / "a.wav").rename(folder / "speech0.wav")
    texts = f"--manifest={folder / 'texts.txt'}"
    score(folder, texts, "--asr-command", base, "--wav-names", "speech{index}.wav", "--limit", "1")
    assert transcripts(folder) == "speech zero\n"


def test_units_are_spoken_first(folder: Path) -> None:
    """The ceiling of a system that predicts units: these units, by this vocoder."""
    vocoder, config = write_vocoder(folder)
    speak = ("--vocoder", str(vocoder), "--vocoder-cfg", str(config))
    length = "sh -c 'wc -c < {wav}'"
    score(folder, *speak, "--asr-command", length)
    lengths = [soundfile.info(folder / f"{index}_pred.wav").frames for index in (0, 1)]
    assert lengths == [3 * 320, 320]
    assert transcripts(folder) == "one thousand nine hundred sixty four\nsix hundred eighty four\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--asr-model whisper"),
        (("--asr-command", shlex.join(["false", "{wav}"])), "failed with exit code 1"),
        (("--asr-command", "echo", "--wav-names", "{name}.wav"), "'name' is neither index nor a column"),
        (("--asr-command", "echo", "--wav-names", "a.wav"), "several utterances have one name"),
        (("--asr-command", "echo", "--limit", "0"), "at least 1 is expected"),
        (("--asr-command", "echo", "--vocoder", "v.pt"), "give both, or neither"),
        (("--asr-command", "echo", "--vocoder", "v", "--vocoder-cfg", "c", "--wav-names", "{id}"), "leave"),
    ],
)
def test_what_cannot_be_scored_is_an_error(
    folder: Path, options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        score(folder, *options)
    assert message in capsys.readouterr().err
    assert not (folder / "scores").exists()


def test_missing_files_and_units_are_errors(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "0_pred.wav").unlink()
    with pytest.raises(SystemExit):
        score(folder, "--asr-command", RECOGNISER)
    assert "0_pred.wav: no such output" in capsys.readouterr().err
    (folder / "test.tsv").write_text("id\ttgt_text\na\tone\n")
    vocoder, config = write_vocoder(folder)
    with pytest.raises(SystemExit):
        score(folder, "--asr-command", "echo", "--vocoder", str(vocoder), "--vocoder-cfg", str(config))
    assert "tgt_audio, which 0_pred.wav does not have" in capsys.readouterr().err
