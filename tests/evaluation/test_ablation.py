"""The table of ablations: each score from its file, differences from the base, nothing missing unsaid."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from echostream.evaluation import ablation
from tests.evaluation.result_folders import REFERENCES, garbled, write_run

GOOD, BAD = garbled(REFERENCES, 9), garbled(REFERENCES, 3)
LAGS = [400.0, 500.0, 450.0, 380.0, 520.0, 410.0]


def write_offline(folder: Path, bleu: float, translations: list[str]) -> None:
    folder.mkdir(parents=True)
    (folder / "scores.txt").write_text(
        f"recognition\tBLEU 90.00\tWER 5.00\tsig\ntranslation, text\tBLEU {bleu:.2f}\tWER 20.00\tsig\n"
    )
    rows = [f"{number}\tu{number}\t{text}\t\t{text}\t" for number, text in enumerate(translations)]
    header = "index\tid\tasr\tst_ctc\tmt\tunits"
    (folder / "generate-test.text.tsv").write_text("\n".join([header, *rows]) + "\n")


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """Results of two variants, and the table that names them."""
    for name, texts, lag in (("base", GOOD, 0), ("none", BAD, 200)):
        write_run(tmp_path / f"{name}.s2tt", 320, texts, [value + lag for value in LAGS])
        write_run(tmp_path / f"{name}.asr", 320, texts, LAGS, task="asr")
        write_offline(tmp_path / f"{name}.offline", 80.0 if name == "base" else 60.0, texts)
    manifest = [f"u{number}\t{text}\t{text}" for number, text in enumerate(REFERENCES)]
    (tmp_path / "test.tsv").write_text("\n".join(["id\tsrc_text\ttgt_text", *manifest]) + "\n")
    weight = torch.zeros(50000, 2)
    torch.save(
        {"model": {"one": weight, "tied": weight}, "optimizer_history": [{"num_updates": 7000}]},
        tmp_path / "base.pt",
    )
    kinds = ("offline", "s2tt", "asr")
    return {
        "chunk_ms": 320,
        "variants": {
            "base": {"results": [f"base.{kind}" for kind in kinds], "checkpoint": "base.pt"},
            "no memory": {"change": "memory_size 8 → 0", "results": [f"none.{kind}" for kind in kinds]},
        },
    }


def table(tmp_path: Path, settings: dict[str, Any]) -> list[dict[str, str]]:
    """Rows of the table by column."""
    (tmp_path / "table.yaml").write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
    output = tmp_path / "table.md"
    ablation.main([str(tmp_path / "table.yaml"), "--output", str(output)])
    lines = [line for line in output.read_text().splitlines() if line.startswith("|")]
    header, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_differences_from_the_base(tmp_path: Path, settings: dict[str, Any]) -> None:
    base, none = table(tmp_path, settings)
    assert (base["variant"], base["change"]) == ("base", "")
    assert (base["updates"], base["parameters"]) == ("7000", "0.10 M")
    assert (none["change"], none["updates"]) == ("memory_size 8 → 0", "–")
    assert (base["BLEU, offline"], none["BLEU, offline"]) == ("80.00", "60.00 (-20.00)")
    assert none["WER, offline"] == "5.00 (+0.00)"
    assert base["AL, s2tt 320 ms"] == "443"
    assert none["AL, s2tt 320 ms"] == "643 (**+200 [+200, +200]**)"
    assert none["AL, asr 320 ms"] == "443 (+0 [+0, +0])"
    assert none["BLEU, s2tt 320 ms"].count("**") == none["WER, asr 320 ms"].count("**") == 2
    assert "(**-" in none["BLEU, s2tt 320 ms"]
    assert "(**+" in none["WER, asr 320 ms"]


def test_offline_differences_have_intervals_with_a_manifest(tmp_path: Path, settings: dict[str, Any]) -> None:
    _, none = table(tmp_path, {**settings, "manifest": "test.tsv"})
    assert none["BLEU, offline"].startswith("60.00 (**-")
    assert none["WER, offline"].startswith("5.00 (**+")


def test_what_is_missing_is_an_error(tmp_path: Path, settings: dict[str, Any]) -> None:
    variants = settings["variants"]
    for changed, message in (
        ({**settings, "chunks": 1}, "unknown keys chunks"),
        ({**settings, "chunk_ms": 640}, None),
        ({"variants": {**variants, "x": {"change": "y"}}}, "variant x must have 'results'"),
        ({"variants": {**variants, "x": {"results": ["nowhere"]}}}, "nowhere: holds no results"),
        (
            {**settings, "variants": {**variants, "x": {"results": ["none.asr", "none.offline"]}}},
            "variant x: has 0 runs of s2tt at 320 ms",
        ),
        (
            {"variants": {**variants, "x": {"results": ["none.asr"]}}},
            "variant x: must have one offline score",
        ),
    ):
        if message is None:
            assert "BLEU, s2tt 640 ms" not in table(tmp_path, changed)[0]
            continue
        with pytest.raises(SystemExit, match=message):
            table(tmp_path, changed)
