"""The demo model in the repository is whole, and small enough to be there."""

import hashlib
import json
from pathlib import Path

import pytest
import soundfile

DEMO = Path(__file__).resolve().parents[2] / "demo"
UNLISTED = {"README.md", "SHA256SUMS"}


def test_its_files_are_those_of_the_checksums() -> None:
    listed = {}
    for line in (DEMO / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        digest, name = line.split("  ")
        listed[name] = digest
    found = {path.relative_to(DEMO).as_posix() for path in DEMO.rglob("*") if path.is_file()}
    assert set(listed) == found - UNLISTED
    for name, digest in listed.items():
        assert hashlib.sha256((DEMO / name).read_bytes()).hexdigest() == digest, name


def test_it_has_at_most_25_megabytes() -> None:
    assert sum(path.stat().st_size for path in DEMO.rglob("*") if path.is_file()) <= 25_000_000


def test_its_samples_are_short_sentences_with_texts() -> None:
    samples = DEMO / "samples"
    names, sources, targets = (
        (samples / name).read_text(encoding="utf-8").splitlines()
        for name in ("wav_list.txt", "src.txt", "target.txt")
    )
    assert len(names) == len(sources) == len(targets) >= 3
    for name in names:
        info = soundfile.info(samples / name)
        assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
        assert info.duration <= 5


@pytest.mark.parametrize(("task", "quality"), [("s2st", "ASR_BLEU"), ("s2tt", "BLEU"), ("asr", "WER")])
def test_its_scores_are_kept(task: str, quality: str) -> None:
    scores = json.loads((DEMO / "scores.json").read_text(encoding="utf-8"))
    assert any(run["task"] == task and quality in run["scores"] for run in scores["simultaneous"])
