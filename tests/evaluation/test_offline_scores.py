"""Scores of fairseq-generate's results."""

from pathlib import Path

import pytest

from echostream.evaluation.offline import evaluate, main

MANIFEST = (
    "id\ttgt_audio\tsrc_text\ttgt_text\na\t1 2 3 4\tle chat dort ici\tthe cat sleeps here\nb\t5 6\toui\tyes\n"
)
TABLE = (
    "index\tid\tasr\tst_ctc\tmt\tunits\n"
    "1\tb\toui\tno\tyes\t5 6\n"
    "0\ta\tle chat dort là\tthe cat sleeps\tthe cat sleeps here\t1 2 3 4\n"
)


def write(folder: Path, manifest: str = MANIFEST, table: str = TABLE) -> Path:
    (folder / "test.tsv").write_text(manifest, encoding="utf-8")
    (folder / "generate-test.text.tsv").write_text(table, encoding="utf-8")
    return folder / "test.tsv"


def test_scores_and_files_are_in_the_manifests_order(tmp_path: Path) -> None:
    scores = {score.name: score for score in evaluate(write(tmp_path), tmp_path, "test")}
    assert scores["recognition"].wer == pytest.approx(100 / 5)
    assert scores["translation, text"].bleu == pytest.approx(100)
    assert scores["translation, text"].wer == 0
    assert scores["translation, CTC text"].wer == pytest.approx(100 * 2 / 5)
    assert scores["translation, units"].wer == 0
    assert scores["translation, CTC text"].length_ratio == pytest.approx(4 / 5)
    assert "\tLENGTH 0.800\t" in str(scores["translation, CTC text"])
    assert "tok:13a" in scores["recognition"].signature
    assert (tmp_path / "generate-test.asr").read_text(encoding="utf-8") == "le chat dort là\noui\n"
    assert (tmp_path / "generate-test.unit").read_text(encoding="utf-8") == "1 2 3 4\n5 6\n"


def test_a_missing_utterance_is_an_error(tmp_path: Path) -> None:
    manifest = write(tmp_path, table="\n".join(TABLE.splitlines()[:2]) + "\n")
    with pytest.raises(ValueError, match=r"1 of 2 utterances lack, first a"):
        evaluate(manifest, tmp_path, "test")


def test_what_has_no_reference_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = "\n".join("\t".join(line.split("\t")[:2]) for line in MANIFEST.splitlines()) + "\n"
    scores = evaluate(write(tmp_path, manifest=bare), tmp_path, "test")
    assert [score.name for score in scores] == ["translation, units"]
    assert "no column src_text" in capsys.readouterr().out


def test_missing_results_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--manifest", str(tmp_path / "none.tsv"), "--results", str(tmp_path), "--split", "test"])
    assert "none.tsv" in capsys.readouterr().err
