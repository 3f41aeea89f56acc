"""Missing and unreadable audio is listed by name, and refused unless it may be skipped."""

import shutil
from pathlib import Path

import pytest

from tests.cvss.conftest import Downloads, run_steps
from tests.cvss.look_alike import SIZES, LookAlike
from tests.cvss.test_cvss_pipeline import rows

AUDIO_STEPS = ("pairs", "features", "units")


@pytest.fixture
def own(downloads: Downloads, tmp_path: Path) -> Downloads:
    """Downloads that the test may damage."""
    covost = shutil.copytree(downloads.corpus.covost_root, tmp_path / "covost")
    cvss = shutil.copytree(downloads.corpus.cvss_root, tmp_path / "cvss")
    return Downloads(LookAlike(covost, cvss), downloads.hubert, downloads.kmeans)


def test_missing_audio(own: Downloads, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    first, second = own.corpus.clips("train")[:2]
    (own.corpus.covost_root / "clips" / first).unlink()
    (own.corpus.cvss_root / "train" / f"{second}.wav").unlink()
    assert run_steps(own.variables(output), "pairs") == [1]
    message = capsys.readouterr().err
    assert "2 audio files cannot be used" in message
    assert "SKIP_UNUSABLE=1" in message
    listed = rows(output / "reports" / "unusable.pairs.tsv")
    assert [Path(row["path"]).name for row in listed] == [first, f"{second}.wav"]
    assert {row["reason"] for row in listed} == {"missing"}
    skipping = own.variables(output, SKIP_UNUSABLE="1")
    assert run_steps(skipping, *AUDIO_STEPS, "vocabulary", "cmvn", "manifests", "lists") == [0] * 7
    kept = [row["id"] for row in rows(output / "train.tsv")]
    assert len(kept) == SIZES["train"] - 2
    assert not {first.removesuffix(".mp3"), second.removesuffix(".mp3")} & set(kept)
    assert run_steps(own.variables(output), "manifests") == [1], "never silently"
    assert len(rows(output / "reports" / "unusable.manifests.tsv")) == 2


def test_unreadable_audio_is_tried_again_when_it_was_repaired(
    own: Downloads, downloads: Downloads, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    clip = own.corpus.clips("dev")[0]
    mp3, wav = own.corpus.covost_root / "clips" / clip, own.corpus.cvss_root / "dev" / f"{clip}.wav"
    mp3.write_bytes(b"")
    wav.write_bytes(b"not a wave file")
    assert run_steps(own.variables(output), *AUDIO_STEPS) == [0, 1, 1]
    assert "common_voice_fr" in capsys.readouterr().err
    (found,) = rows(output / "reports" / "unusable.features.tsv")
    assert (found["split"], found["id"]) == ("dev", clip.removesuffix(".mp3"))
    assert "0 bytes" in found["reason"]
    (found,) = rows(output / "reports" / "unusable.units.tsv")
    assert "cannot be read as audio" in found["reason"]
    train = output / "features" / "train-00000.zip"
    time_before = train.stat().st_mtime_ns
    shutil.copy(downloads.corpus.covost_root / "clips" / clip, mp3)
    shutil.copy(downloads.corpus.cvss_root / "dev" / f"{clip}.wav", wav)
    assert run_steps(own.variables(output), "features", "units") == [0, 0]
    assert len(rows(output / "features" / "dev-00000.tsv")) == SIZES["dev"]
    assert train.stat().st_mtime_ns == time_before, "the other blocks were kept"


def test_clips_of_one_corpus_alone_are_listed(own: Downloads, tmp_path: Path) -> None:
    table = own.corpus.cvss_root / "test.tsv"
    clips = own.corpus.clips("test")
    lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
    table.write_text("".join(lines[1:]) + "common_voice_fr_1.mp3\tnobody said this\n", encoding="utf-8")
    output = tmp_path / "out"
    assert run_steps(own.variables(output), "pairs") == [0]
    listed = {row["clip"]: row["reason"] for row in rows(output / "reports" / "left_out.test.tsv")}
    assert listed == {
        "common_voice_fr_1.mp3": "no transcript in CoVoST 2",
        clips[0]: "no translation in CVSS",
    }
    assert len(rows(output / "pairs" / "test.tsv")) == SIZES["test"] - 1
