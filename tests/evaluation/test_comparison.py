"""The comparison of two systems in the report, its intervals against recomputation, and step times."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from echostream.evaluation import report
from echostream.evaluation.bootstrap import draw_counts
from echostream.evaluation.step_times import StepTimes
from echostream.inference.step_record import StepRecord
from tests.evaluation.result_folders import REFERENCES, garbled, step_record, write_run

GOOD, FAIR, BAD = (garbled(REFERENCES, every) for every in (9, 4, 3))
FAST = [400.0, 500.0, 450.0, 380.0, 520.0, 410.0]
SLOW = [lag + 600 + 10 * number for number, lag in enumerate(FAST)]


def run_report(tmp_path: Path, *arguments: object) -> str:
    report.main([*map(str, arguments), "--output", str(tmp_path / "report")])
    return (tmp_path / "report" / "report.md").read_text()


def rows_after(text: str, title: str) -> list[list[str]]:
    """Cells of the first table after a title, without its header."""
    lines = text[text.index(title) :].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|"))
    table = [line for line in lines[first:] if line.startswith("|")][2:]
    end = next(n for n, line in enumerate([*lines[first:], ""]) if not line.startswith("|"))
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table[: end - 2]]


def two_systems(tmp_path: Path, task: str = "s2tt") -> tuple[Path, Path]:
    write_run(tmp_path / "ours", 320, FAIR, FAST, task=task)
    write_run(tmp_path / "ours", 640, GOOD, SLOW, task=task)
    write_run(tmp_path / "theirs", 320, BAD, [lag + 100 for lag in FAST], task=task)
    write_run(tmp_path / "theirs", 640, FAIR, [lag + 100 for lag in SLOW], task=task)
    return tmp_path / "ours", tmp_path / "theirs"


def test_differences_and_what_they_show(tmp_path: Path) -> None:
    text = run_report(tmp_path, *two_systems(tmp_path))
    assert "### Comparison: ours less theirs" in text
    quality = rows_after(text, "BLEU at the same chunk size")
    assert [row[0] for row in quality] == ["320", "640"]
    assert [row[4] for row in quality] == ["ours", "ours"]
    assert all(re.fullmatch(r"\*\*\+[\d.]+ \[\+[\d.]+, \+[\d.]+\]\*\*", row[3]) for row in quality)
    latency = rows_after(text, "Latencies at the same chunk size, ideal latencies")
    assert latency[0] == ["AL (ms)", "**-100 [-100, -100]**", "**-100 [-100, -100]**"]
    assert latency[1][0] == "LAAL (ms)"
    aware = rows_after(text, "Latencies at the same chunk size, computation-aware latencies")
    assert [row[0] for row in aware] == ["AL_CA (ms)", "ProcessingRTF"]
    assert aware[1][1:] == ["+0.00 [+0.00, +0.00]"] * 2
    assert [row[0] for row in rows_after(text, "CHRF at the same chunk size")] == ["320", "640"]
    assert "| system | chunk (ms) | BLEU | CHRF | AL_CA (ms) | ProcessingRTF | from |" in text
    equal = rows_after(text, "BLEU at equal AL:")
    assert equal[0][3:] == ["–"] * 3  # theirs was never run at so low a latency
    assert equal[1][5] == equal[2][5] == "ours"
    assert equal[2][:2] == ["mean", "543 to 1068"]


def test_an_interval_is_that_of_recomputed_draws(tmp_path: Path) -> None:
    text = run_report(tmp_path, *two_systems(tmp_path, "asr"))
    rows = rows_after(text, "WER at the same chunk size")
    errors = np.array(
        [[sum(word == "wrong" for word in line.split()) for line in lines] for lines in (FAIR, BAD)]
    )
    num_words = np.array([len(line.split()) for line in REFERENCES])
    counts = draw_counts(len(REFERENCES))
    draws = 100 * ((errors[0] - errors[1]) * counts).sum(axis=1) / (num_words * counts).sum(axis=1)
    value = 100 * (errors[0] - errors[1]).sum() / num_words.sum()
    low, high = np.percentile(draws, [2.5, 97.5])
    assert rows[0][3].strip("*") == f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"
    assert rows[0][4] == ("ours" if high < 0 else "–")
    assert rows[1][4] == "ours"  # fewer errors


def test_identical_systems(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        for chunk_ms, lags in ((320, FAST), (640, SLOW)):
            write_run(tmp_path / name, chunk_ms, FAIR, lags, task="s2st")
    text = run_report(tmp_path, tmp_path / "ours", tmp_path / "theirs")
    for title in ("ASR_BLEU at the same chunk size", "ASR_BLEU at equal AL"):
        for row in rows_after(text, title):
            assert row[-2:] == ["+0.00 [+0.00, +0.00]", "–"]
    assert "**" not in text


def test_several_models_of_a_system(tmp_path: Path) -> None:
    folders = two_systems(tmp_path)
    write_run(tmp_path / "seed2", 320, GOOD, FAST)
    write_run(tmp_path / "seed2", 640, GOOD, SLOW)
    text = run_report(tmp_path, *folders, tmp_path / "seed2", "--names", "ours", "theirs", "ours")
    assert "| ours (2) | 320 |" in text
    spread = {tuple(row[:2]): row[2:] for row in rows_after(text, "Spread over the runs")}
    scores = [
        float(row[2]) for row in rows_after(text, "### Ideal latencies") if row[:2] != ["theirs", "320"]
    ]
    ours = sorted((scores[0], scores[-2]))
    mean = (ours[0] + ours[1]) / 2
    count, quality, latency = spread["ours", "320"]
    assert count == "2"
    assert [float(number) for number in re.findall(r"[\d.]+", quality)] == pytest.approx(
        [mean, *ours], abs=0.02
    )
    assert latency == "443 (443 to 443)"
    assert spread["theirs", "640"][0] == "1"
    assert "ours: mean of up to 2 models" in text
    compared = rows_after(text, "BLEU at the same chunk size")[0]
    assert float(compared[1].split()[0]) == pytest.approx(mean, abs=0.02)


def test_the_pair_is_chosen_by_name(tmp_path: Path) -> None:
    folders: tuple[object, ...] = two_systems(tmp_path)
    write_run(tmp_path / "third", 320, GOOD, FAST)
    folders = (*folders, tmp_path / "third", "--latency-only")
    assert "Comparison" not in run_report(tmp_path, *folders)
    text = run_report(tmp_path, *folders, "--compare", "third", "theirs")
    assert "### Comparison: third less theirs" in text
    with pytest.raises(SystemExit, match="no task was run with both third and nobody; the systems are ours"):
        run_report(tmp_path, *folders, "--compare", "third", "nobody")


def test_scores_must_fit_their_utterances(tmp_path: Path) -> None:
    folders = two_systems(tmp_path)
    log = folders[0] / "chunk_size=320" / "instances.log"
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    entries[0]["prediction"] = "of another run"
    log.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    with pytest.raises(SystemExit, match=r"utterances give BLEU .* but scores.tsv says .* different runs"):
        run_report(tmp_path, *folders)
    (folders[1] / "chunk_size=320" / "metrics.tsv").unlink()
    with pytest.raises(SystemExit, match=r"theirs.*has no metrics\.tsv|utterances give"):
        run_report(tmp_path, folders[1], folders[0])


def test_step_times(tmp_path: Path) -> None:
    steps = [step_record([10.0, 20.0, 30.0 + number, 90.0]) for number in range(5)]
    steps.append(step_record([10.0, 70.0]))
    write_run(tmp_path / "ours", 320, FAIR, FAST, steps=steps)
    text = run_report(tmp_path, tmp_path / "ours")
    [row] = rows_after(text, "### Step times")
    assert row[:4] == ["ours", "320", "10.0 / 10.0", "20.0 / 20.0"]
    assert row[4:6] == ["32.0 / 33.8", "90.0 / 90.0"]
    total = 5 * 150 + 10 + 80
    assert float(row[6]) == pytest.approx(total / (320 * 22), abs=1e-3)
    assert (tmp_path / "report" / "s2tt_steps.png").read_bytes().startswith(b"\x89PNG")
    curve = StepTimes.of("ours", 320, [StepRecord.from_json(json.dumps(record)) for record in steps]).curve()
    assert curve.heard_s == pytest.approx([0.32, 0.64, 0.96])
    assert curve.p50_ms == pytest.approx([10, 20, 32])


def test_step_times_of_some_runs_only(tmp_path: Path) -> None:
    write_run(tmp_path / "ours", 320, FAIR, FAST, steps=[step_record([1.0, 2.0])] * len(REFERENCES))
    arguments = (tmp_path / "ours", "--latency-only")
    assert "Not recorded" not in run_report(tmp_path, *arguments)
    write_run(tmp_path / "ours", 640, FAIR, SLOW)
    with pytest.raises(SystemExit, match=r"chunk_size=640: has no steps\.jsonl, which other runs have"):
        run_report(tmp_path, *arguments)
    (tmp_path / "ours" / "chunk_size=640" / "steps.jsonl").write_text("{}\n")
    with pytest.raises(SystemExit, match=r"steps\.jsonl: holds 1 utterances of 6"):
        run_report(tmp_path, *arguments)
