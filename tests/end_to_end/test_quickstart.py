"""scripts/quickstart.sh, as a newcomer runs it, on the demo model of the repository."""

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
from sacrebleu.metrics.bleu import BLEU

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "demo"


def quickstart(work: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it in another directory."""
    settings = {"QUICKSTART": str(work / "results"), "ECHOSTREAM_VENV": sys.prefix, "OMP_NUM_THREADS": "2"}
    return subprocess.run(
        [str(ROOT / "scripts" / "quickstart.sh")],
        env={**os.environ, **settings, **variables},
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_translates_and_shows_what_it_did(tmp_path: Path) -> None:
    done = quickstart(tmp_path, SENTENCES="2", CHUNK_MS="640")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    results = tmp_path / "results"
    translations = (results / "st.txt").read_text(encoding="utf-8").splitlines()
    references = (DEMO / "samples" / "target.txt").read_text(encoding="utf-8").splitlines()[:2]
    assert BLEU().corpus_score(translations, [references]).score > 40
    shown = done.stdout.split("== ")
    table = next(part for part in shown if part.startswith("simultaneous translation"))
    assert table.count("recognised") == 2
    assert " 1.28 s  " in table
    columns = [line[46:] for line in table.splitlines()[1:] if "translated" not in line]
    assert " ".join(" ".join(columns).split()) == " ".join(translations)
    with (results / "scores.tsv").open(encoding="utf-8") as stream:
        (scores,) = csv.DictReader(stream, delimiter="\t")
    table = next(part for part in shown if part.startswith("scores"))
    for metric in ("ASR_BLEU", "AL", "ProcessingRTF"):
        assert f"   {metric} " in table
        assert scores[metric] in table
    assert scores["AL_CA"] in table
    for number in range(2):
        wav = results / "wavs" / f"{number}_pred.wav"
        assert soundfile.info(wav).duration > 0.5
        assert str(wav) in done.stdout
    assert (results / "timeline.png").read_bytes().startswith(b"\x89PNG")


def remove_model(demo: Path) -> None:
    (demo / "model.pt").unlink()


def change_vocoder(demo: Path) -> None:
    (demo / "vocoder" / "config.json").write_text("{}")


def remove_checksums(demo: Path) -> None:
    (demo / "SHA256SUMS").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove_model, "model.pt: "),
        (change_vocoder, "vocoder/config.json: FAILED"),
        (remove_checksums, "holds no demo model"),
    ],
)
def test_a_missing_or_damaged_file_is_named(
    damage: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    demo = tmp_path / "demo"
    shutil.copytree(DEMO, demo)
    damage(demo)
    done = quickstart(tmp_path, DEMO="demo")
    assert done.returncode == 1
    assert message in done.stdout + done.stderr
    assert "git checkout -- demo" in done.stderr
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("sentences", ["0", "7", "all"])
def test_a_bad_number_of_sentences_is_an_error(sentences: str, tmp_path: Path) -> None:
    done = quickstart(tmp_path, SENTENCES=sentences)
    assert done.returncode == 1
    assert f"SENTENCES is '{sentences}'; it must be a number from 1 to 6." in done.stderr


def test_what_the_evaluation_says_against_it_is_shown(tmp_path: Path) -> None:
    done = quickstart(tmp_path, CHUNK_MS="333")
    assert done.returncode == 1
    assert "333" in done.stderr
    assert "echostream-eval failed; its messages are in" in done.stderr
