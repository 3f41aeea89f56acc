"""From the raw corpus to a report in two commands: prepare.sh and experiment.sh."""

import csv
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cvss.look_alike import build
from tests.cvss.tiny_hubert import NUM_UNITS, write_checkpoint, write_kmeans
from tests.inference.tiny_checkpoint import write_vocoder

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts" / "fr-en"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
LAYERS = ("encoder", "translation-decoder", "synthesizer-encoder", "decoder")
# What has a result of its own, and is found finished the second time.
RESULTS = (
    "simul-s2st/trained.done",
    "simul-s2st/average.last_2.update_2.pt",
    "offline-s2st.generate/scores.txt",
    "offline-s2st.generate/pred_wav.done",
    "offline-s2st.generate/asr_bleu.json",
    "simul-s2st/chunk_size=320/scores.tsv",
    "simul-s2tt/chunk_size=320/scores.tsv",
    "streaming-asr/chunk_size=320/scores.tsv",
)


def run(script: str, variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPTS / script), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "ECHOSTREAM_VENV": sys.prefix, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def succeed(script: str, variables: dict[str, str], *arguments: str) -> str:
    result = run(script, variables, *arguments)
    assert result.returncode == 0, (result.stdout + result.stderr)[-6000:]
    return result.stdout


def settings(root: Path) -> dict[str, str]:
    """What a user exports once for both commands, and what makes the experiment small."""
    flags = [f"--{name}-layers 1" for name in LAYERS]
    flags += ["--save-interval-updates 1", "--validate-interval-updates 2", "--log-interval 1"]
    return {
        "COVOST_ROOT": str(root / "covost2" / "fr"),
        "CVSS_ROOT": str(root / "cvss-c" / "fr-en"),
        "HUBERT_PATH": str(root / "mhubert.pt"),
        "KMEANS_PATH": str(root / "km.bin"),
        "DATA": str(root / "data"),
        "VOCODER": str(root / "vocoder.pt"),
        "VOCODER_CFG": str(root / "vocoder.json"),
        "RUNS": str(root / "runs"),
        "DEVICE": "cpu",
        "NUM_WORKERS": "1",
        "VOCAB_SIZE": "80",
        "CODE_SIZE": str(NUM_UNITS),
        "ARCHS": "echostream_mini",
        "MAX_UPDATE": "2",
        "AVERAGE": "2",
        "MAX_TOKENS": "1500",
        "BATCHES_PER_UPDATE": "1",
        "TRAIN_FLAGS": " ".join(flags),
        "CHUNK_SIZES_MS": "320",
        "ASR_COMMAND": "echo the cat sleeps",
    }


@dataclass(frozen=True)
class Experiment:
    """An experiment that was run whole."""

    variables: dict[str, str]
    runs: Path

    @property
    def report(self) -> Path:
        return self.runs / "report"

    def times(self) -> dict[Path, int]:
        """When each file was written, the report's left out."""
        files = [path for path in self.runs.rglob("*") if path.is_file() and self.report not in path.parents]
        return {path: path.stat().st_mtime_ns for path in files}


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """The two commands, on a raw corpus of 24 sentences."""
    root = tmp_path_factory.mktemp("experiment")
    build(root)
    write_checkpoint(root / "mhubert.pt")
    write_kmeans(root / "km.bin")
    write_vocoder(root, NUM_UNITS)
    variables = settings(root)
    succeed("prepare.sh", variables)
    succeed("experiment.sh", variables)
    return Experiment(variables, root / "runs")


@pytest.mark.slow
def test_the_report_has_the_scores_of_the_results(experiment: Experiment) -> None:
    """With the experiment that it runs first, it takes 80 s of one core: 18 processes that import fairseq."""
    report = (experiment.report / "report.md").read_text(encoding="utf-8")
    for task, quality in (("simul-s2st", "ASR_BLEU"), ("simul-s2tt", "BLEU"), ("streaming-asr", "WER")):
        scores = experiment.runs / f"echostream_mini.{task}" / "chunk_size=320" / "scores.tsv"
        with scores.open(encoding="utf-8") as table:
            (row,) = csv.DictReader(table, delimiter="\t")
        (line, *_) = [
            line for line in report.splitlines() if line.startswith(f"| echostream_mini.{task} | 320 |")
        ]
        assert f"| {float(row[quality]):.2f} |" in line
        assert f"| {float(row['AL']):.0f} |" in line
    assert "recogniser: echo the cat sleeps" in report
    assert "translation, speech" in report
    links = re.findall(r"\]\((.+?)\)", report)
    assert {Path(link).name for link in links} >= {"scores.tsv", "scores.txt", "asr_bleu.json"}
    assert all((experiment.report / link).is_file() for link in links)
    for task in ("s2st", "s2tt", "asr"):
        for latency in ("ideal", "computation_aware"):
            image = (experiment.report / f"{task}_{latency}.png").read_bytes()
            assert image.startswith(PNG_SIGNATURE)


@pytest.mark.slow
def test_the_training_is_logged(experiment: Experiment) -> None:
    log = (experiment.runs / "echostream_mini.simul-s2st" / "train.log").read_text(encoding="utf-8")
    assert '"num_updates": "2"' in log
    assert "done training" in log


@pytest.mark.slow
def test_what_is_finished_is_not_done_again(experiment: Experiment) -> None:
    before = experiment.times()
    output = succeed("experiment.sh", experiment.variables)
    for result in RESULTS:
        assert f"echostream_mini.{result} is there already" in output
    assert output.count("is there already") == len(RESULTS)
    assert experiment.times() == before


@pytest.mark.slow
def test_other_settings_are_not_taken_for_these(experiment: Experiment) -> None:
    before = experiment.times()
    of_another = "was made by another command than this one"
    recogniser = {"ASR_COMMAND": "echo another recogniser"}
    for stage, changes, message in (
        ("train", {"MAX_UPDATE": "3"}, of_another),
        ("offline", recogniser, of_another),
        ("simul-s2st", recogniser, of_another),
        ("simul-s2tt", {"AVERAGE": "1"}, "average.last_1.update_2.pt', which does not exist"),
    ):
        result = run("experiment.sh", {**experiment.variables, **changes}, stage)
        assert result.returncode == 1
        assert message in result.stderr
    assert experiment.times() == before


def commands(variables: dict[str, str], *arguments: str) -> list[list[str]]:
    """The commands that a dry run prints."""
    output = succeed("experiment.sh", variables, "--dry-run", *arguments)
    return [shlex.split(line) for line in output.splitlines()]


def value(words: list[str], flag: str) -> str:
    assert words.count(flag) == 1
    return words[words.index(flag) + 1]


def test_a_dry_run_prints_the_experiment_and_does_nothing(tmp_path: Path) -> None:
    variables = {**settings(tmp_path), "ARCHS": "echostream streamspeech", "OUTPUT": str(tmp_path / "out")}
    printed = commands(variables)
    assert not any(tmp_path.iterdir())
    programs = [words[2] if words[0] == "python" else words[0] for words in printed]
    of_one_architecture = [
        *("fairseq-train", "echostream.checkpoint_averaging", "fairseq-generate"),
        *("echostream.evaluation.offline", "echostream.vocoder.synthesis"),
        *("echostream.evaluation.offline_speech", "echostream-eval", "echostream-eval", "echostream-eval"),
    ]
    assert [name for name in programs if name not in ("rm", "touch", "mv")] == [
        *of_one_architecture * 2,
        "echostream.evaluation.report",
    ]
    trained = [words for words in printed if words[0] == "fairseq-train"]
    assert [value(words, "--arch") for words in trained] == ["echostream", "streamspeech"]
    assert {value(words, "--max-update") for words in trained} == {"2"}
    for words in printed:
        if words[0] == "echostream-eval":
            arch = "streamspeech" if "streamspeech" in value(words, "--model-path") else "echostream"
            checkpoint = tmp_path / "runs" / f"{arch}.simul-s2st" / "average.last_2.update_2.pt"
            assert value(words, "--model-path") == str(checkpoint)
            assert value(words, "--output").startswith(str(tmp_path / "runs" / f"{arch}."))
    report = printed[-1]
    assert value(report, "--output") == str(tmp_path / "out")
    folders = [Path(word).name for word in report[3 : report.index("--output")]]
    kinds = ("offline-s2st.generate", "simul-s2st", "simul-s2tt", "streaming-asr")
    assert folders == [f"{arch}.{kind}" for arch in ("echostream", "streamspeech") for kind in kinds]
    assert "--latency-only" not in report


def test_stages_are_chosen(tmp_path: Path) -> None:
    variables = {**settings(tmp_path), "ASR_COMMAND": ""}
    (words,) = commands(variables, "simul-s2tt")
    assert words[:3] == ["echostream-eval", "--task", "s2tt"]
    assert "--latency-only" not in commands(variables, "simul-s2tt", "report")[-1]
    assert "--latency-only" in commands(variables, "simul-s2st", "report")[-1]
    for arguments, message in (
        (["training"], "there is no stage 'training'; the stages are train average units offline"),
        (["report"], "holds no results of echostream_mini: run the other stages first"),
    ):
        result = run("experiment.sh", variables, "--dry-run", *arguments)
        assert result.returncode == 1
        assert message in result.stderr
