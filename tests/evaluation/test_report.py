"""The report: each number from its file, ideal and computation-aware apart, nothing missing unsaid."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from echostream.evaluation import plots, published, report
from echostream.evaluation.plots import Curve
from echostream.evaluation.results import OFFLINE_SCORES
from tests.evaluation import result_folders
from tests.evaluation.result_folders import REFERENCES

SPEECH_SCORES = {"ASR_BLEU": 20.5, "AL": 1000.4, "AL_CA": 1500.6, "RTF": 1.25, "RTF_CA": 1.5}
TEXT_SCORES = {"BLEU": 25.125, "AL": 900.0}
OFFLINE = (
    "recognition\tBLEU 60.00\tWER 20.00\tsignature\n"
    "translation, text\tBLEU 30.00\tWER 55.00\tLENGTH 0.951\tnrefs:1|case:mixed\n"
)


def write_run(
    system: Path, chunk_ms: int, scores: dict[str, Any], *, target: str = "speech", utterances: int = 3
) -> Path:
    """A result folder as SimulEval writes it; None is an empty cell."""
    folder = system / f"chunk_size={chunk_ms}"
    folder.mkdir(parents=True)
    cells = ["" if value is None else str(value) for value in scores.values()]
    (folder / "scores.tsv").write_text("\t".join(scores) + "\n" + "\t".join(cells) + "\n")
    lines = [json.dumps({"index": index, "reference": f"sentence {index}"}) for index in range(utterances)]
    (folder / "instances.log").write_text("".join(f"{line}\n" for line in lines))
    (folder / "config.yaml").write_text(yaml.safe_dump({"source_type": "speech", "target_type": target}))
    return folder


def run(*arguments: object) -> None:
    report.main([str(argument) for argument in arguments])


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[list[Curve], dict[str, Any]]]:
    """The curves by file name, drawn as well."""
    seen: dict[str, tuple[list[Curve], dict[str, Any]]] = {}

    def plot(path: Path, curves: list[Curve], **options: Any) -> None:
        seen[path.name] = (curves, options)
        plots.plot_curves(path, curves, **options)

    monkeypatch.setattr(report, "plot_curves", plot)
    return seen


def test_systems_side_by_side(tmp_path: Path, drawn: dict[str, tuple[list[Curve], dict[str, Any]]]) -> None:
    for number, name in enumerate(("ours", "theirs", "others")):
        for chunk_ms in (1280, 320):
            scores = {**SPEECH_SCORES, "ASR_BLEU": 20 + number + chunk_ms / 1000, "AL": chunk_ms + number}
            folder = write_run(tmp_path / name, chunk_ms, scores)
            (folder / "asr_bleu.json").write_text(
                json.dumps(
                    {"score": 1, "signature": "sig", "normalization": "lower", "recogniser": "asr {wav}"}
                )
            )
    run(*(tmp_path / name for name in ("ours", "theirs", "others")), "--output", tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text()
    ideal, aware = text.split("### Computation-aware latencies")
    assert "| system | chunk (ms) | ASR_BLEU | AL (ms) | RTF | from |" in ideal
    assert "_CA" not in ideal
    assert "| system | chunk (ms) | ASR_BLEU | AL_CA (ms) | RTF_CA | from |" in aware
    source = "[chunk_size=320/scores.tsv](../theirs/chunk_size=320/scores.tsv)"
    assert f"| theirs | 320 | 21.32 | 321 | 1.25 | {source} |" in ideal
    assert f"| theirs | 320 | 21.32 | 1501 | 1.50 | {source} |" in aware
    assert "Utterances: 3." in text
    assert "ASR_BLEU: sig; lower; recogniser: asr {wav}." in text
    assert set(drawn) == {"s2st_ideal.png", "s2st_computation_aware.png"}
    curves, options = drawn["s2st_ideal.png"]
    assert [(curve.label, curve.points) for curve in curves] == [
        ("ours", [(320.0, 20.32), (1280.0, 21.28)]),
        ("theirs", [(321.0, 21.32), (1281.0, 22.28)]),
        ("others", [(322.0, 22.32), (1282.0, 23.28)]),
    ]
    assert options["latency_label"] == "AL (ms), ideal"
    assert drawn["s2st_computation_aware.png"][0][0].points[0][0] == 1500.6
    for image in drawn:
        assert (tmp_path / "report" / image).read_bytes().startswith(b"\x89PNG")
        assert f"({image})" in text


def test_tasks_have_sections_and_offline_scores_are_levels(
    tmp_path: Path, drawn: dict[str, tuple[list[Curve], dict[str, Any]]]
) -> None:
    write_run(tmp_path / "s2tt", 320, TEXT_SCORES, target="text")
    write_run(tmp_path / "asr", 320, {"BLEU": 50.0, "WER": 31.0, "AL": 100.0}, target="text")
    (tmp_path / "offline").mkdir()
    (tmp_path / "offline" / OFFLINE_SCORES).write_text(OFFLINE)
    (tmp_path / "offline" / "asr_bleu.json").write_text(
        json.dumps({"score": 22.0, "signature": "sig", "normalization": "n", "recogniser": "r"})
    )
    run(*(tmp_path / name for name in ("s2tt", "asr", "offline")), "--output", tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text()
    assert "| s2tt | 320 | 25.12 | 900 |" in text
    assert "| asr | 320 | 31.00 | 100 |" in text
    assert "| system | output | BLEU | WER | length / reference | signature | from |" in text
    assert r"| offline | translation, text | 30.00 | 55.00 | 0.951 | nrefs:1\|case:mixed |" in text
    assert "| offline | recognition | 60.00 | 20.00 | – | signature |" in text
    assert "| offline | translation, speech | 22.00 | – | – |" in text
    assert text.count("Computation-aware latencies were not measured") == 2
    assert drawn["s2tt_ideal.png"][1]["levels"] == {"offline, offline": 30.0}
    assert drawn["asr_ideal.png"][1]["levels"] == {"offline, offline": 20.0}
    assert "lower is better" in drawn["asr_ideal.png"][1]["quality_label"]


def test_published_results_only_when_the_data_are_theirs(
    tmp_path: Path, drawn: dict[str, tuple[list[Curve], dict[str, Any]]]
) -> None:
    write_run(tmp_path / "ours", 320, SPEECH_SCORES)
    run(tmp_path / "ours", "--output", tmp_path / "report")
    assert [curve.label for curve in drawn["s2st_ideal.png"][0]] == ["ours"]
    run(tmp_path / "ours", "--output", tmp_path / "report", "--cvss-c", "fr-en")
    theirs = drawn["s2st_ideal.png"][0][1]
    assert theirs.is_published
    assert theirs.label == published.LABEL
    assert theirs.points[0] == (1276.0, 22.89)
    text = (tmp_path / "report" / "report.md").read_text()
    assert f"Grey: {published.LABEL}; 1276 ms: 22.89, 2323 ms: 24.42" in text
    aware = drawn["s2st_computation_aware.png"][0][1]
    assert list(aware.points) == [(2195.0, 22.89)]


def test_latency_only(tmp_path: Path) -> None:
    scores = {name: value for name, value in SPEECH_SCORES.items() if name != "ASR_BLEU"}
    write_run(tmp_path / "ours", 320, scores)
    with pytest.raises(
        SystemExit, match=r"has no ASR_BLEU; run FORCE=1 CHUNK_SIZES_MS=320 .* with ASR_COMMAND"
    ):
        run(tmp_path / "ours", "--output", tmp_path / "report")
    run(tmp_path / "ours", "--output", tmp_path / "report", "--latency-only")
    text = (tmp_path / "report" / "report.md").read_text()
    assert "Quality was not measured." in text
    assert "png" not in text


def test_what_is_missing_names_the_folder_and_what_to_run(tmp_path: Path) -> None:
    output = ("--output", tmp_path / "report")
    write_run(tmp_path / "complete", 320, SPEECH_SCORES)
    write_run(tmp_path / "no_aware", 320, {"ASR_BLEU": 1.0, "AL": 2.0, "RTF": 1.0})
    with pytest.raises(SystemExit, match=r"no_aware.* has no AL_CA; .*s2st\.sh with COMPUTATION_AWARE=1"):
        run(tmp_path / "complete", tmp_path / "no_aware", *output)
    write_run(tmp_path / "silent", 640, {**SPEECH_SCORES, "AL": None})
    with pytest.raises(SystemExit, match=r"silent.*AL is undefined.*writes nothing.*CHUNK_SIZES_MS=640"):
        run(tmp_path / "silent", *output)
    (write_run(tmp_path / "interrupted", 320, SPEECH_SCORES) / "scores.tsv").unlink()
    with pytest.raises(SystemExit, match=r"interrupted.*not a finished run: it has no scores\.tsv"):
        run(tmp_path / "interrupted", *output)
    write_run(tmp_path / "short", 320, SPEECH_SCORES, utterances=2)
    with pytest.raises(SystemExit, match=r"short.* has 2 utterances and other references"):
        run(tmp_path / "complete", tmp_path / "short", *output)
    other = write_run(tmp_path / "other", 320, SPEECH_SCORES)
    note = {"signature": "s", "normalization": "n", "recogniser": "r"}
    (other / "asr_bleu.json").write_text(json.dumps(note))
    with pytest.raises(SystemExit, match=r"other.*quality was not measured as in .*complete"):
        run(tmp_path / "complete", tmp_path / "other", *output)
    cut = write_run(tmp_path / "cut", 320, SPEECH_SCORES)
    (cut / "instances.log").write_text('{"reference": "a"}\n{"refe')
    with pytest.raises(SystemExit, match=r"cut.*interrupted; run it again|cut.*interrupted"):
        run(tmp_path / "cut", *output)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match="empty: holds no results"):
        run(tmp_path / "empty", *output)
    assert not (tmp_path / "report" / "report.md").exists()


def test_names(tmp_path: Path) -> None:
    for root in ("a", "b"):
        result_folders.write_run(tmp_path / root / "same", 320, REFERENCES, range(100, 700, 100))
    folders = (tmp_path / "a" / "same", tmp_path / "b" / "same")
    with pytest.raises(SystemExit, match="--names"):
        run(*folders, "--output", tmp_path / "report")
    with pytest.raises(SystemExit, match="1 for 2"):
        run(*folders, "--output", tmp_path / "report", "--names", "one")
    run(*folders, "--output", tmp_path / "report", "--names", "one", "two")
    assert "| two | 320 |" in (tmp_path / "report" / "report.md").read_text()
