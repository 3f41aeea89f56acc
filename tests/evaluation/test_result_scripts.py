"""The evaluation scripts around their commands: nothing is run twice, and the report comes at the end."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from tests.inference.fakes import noise
from tests.inference.tiny_checkpoint import make_checkpoint

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts" / "fr-en"

# Stands for echostream-eval: writes a run of two utterances into --output.
SIMULEVAL = """#!/bin/bash
echo called
while (($#)); do [[ $1 == --output ]] && folder=$2; shift; done
mkdir -p "$folder"
printf 'ASR_BLEU\\tBLEU\\tWER\\tAL\\tAL_CA\\n20\\t30\\t40\\t500\\t700\\n' >"$folder/scores.tsv"
[[ $folder == *s2tt* ]] && sed -i 's/WER/other/' "$folder/scores.tsv"
printf '{"reference": "a"}\\n{"reference": "b"}\\n' >"$folder/instances.log"
[[ $folder == *s2st* ]] && type=speech || type=text
echo "{source_type: speech, target_type: $type}" >"$folder/config.yaml"
"""


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Variables of the scripts, with a stand-in for echostream-eval before everything else on the path."""
    binaries = tmp_path / "venv" / "bin"
    binaries.mkdir(parents=True)
    executable(binaries / "echostream-eval", SIMULEVAL)
    executable(binaries / "python", f'#!/bin/bash\nexec {sys.executable} "$@"\n')
    names = ("DATA", "MODEL_PATH", "VOCODER", "VOCODER_CFG")
    variables = {name: str(tmp_path / name.lower()) for name in names}
    for path in variables.values():
        Path(path).mkdir()
    return {
        **variables,
        "ECHOSTREAM_VENV": str(tmp_path / "venv"),
        "PYTHONPATH": str(ROOT),
        "RUNS": str(tmp_path / "runs"),
        "CHUNK_SIZES_MS": "320 640",
        "ASR_COMMAND": "true {wav}",
        "DEVICE": "cpu",
    }


def run(script: str, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPTS / script), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def succeed(script: str, environment: dict[str, str], *arguments: str) -> str:
    result = run(script, environment, *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_finished_chunk_sizes_are_not_run_again(environment: dict[str, str], tmp_path: Path) -> None:
    without_report = {**environment, "REPORT": "0"}
    first = succeed("simuleval.simul-s2st.sh", {**without_report, "CHUNK_SIZES_MS": "320"})
    assert first.count("called\n") == 1
    second = succeed("simuleval.simul-s2st.sh", without_report)
    assert second.count("called\n") == 1
    assert "chunk_size=320/scores.tsv is there already" in second
    assert succeed("simuleval.simul-s2st.sh", {**without_report, "FORCE": "1"}).count("called\n") == 2
    results = tmp_path / "runs" / "echostream.simul-s2st"
    (results / "chunk_size=640" / "scores.tsv").unlink()  # as after an interruption
    assert succeed("simuleval.simul-s2st.sh", without_report).count("called\n") == 1
    other = run("simuleval.simul-s2st.sh", {**without_report, "MODEL_PATH": str(tmp_path)})
    assert other.returncode != 0
    assert "was made by another command than this one" in other.stderr
    assert not (results / "report").exists()


def test_report_of_all_that_was_run(environment: dict[str, str], tmp_path: Path) -> None:
    for script in ("simuleval.simul-s2st.sh", "simuleval.simul-s2tt.sh", "simuleval.streaming-asr.sh"):
        succeed(script, {**environment, "REPORT": "0"})
    runs = tmp_path / "runs"
    assert "report.md" in succeed("report.sh", {"RUNS": str(runs), "ECHOSTREAM_VENV": str(tmp_path / "venv")})
    whole = (runs / "report" / "report.md").read_text()
    for title in ("speech-to-speech", "speech-to-text", "Streaming recognition"):
        assert title in whole
    assert "| echostream.simul-s2st | 640 | 20.00 | 500 |" in whole


def test_without_a_recogniser_the_report_is_of_latencies(environment: dict[str, str]) -> None:
    printed = succeed("simuleval.simul-s2st.sh", {**environment, "ASR_COMMAND": ""}, "--dry-run")
    assert "--latency-only" in printed
    assert "ASR_BLEU" not in printed


def test_dry_runs_change_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    printed = succeed("report.sh", {**environment, "RESULTS": "a b", "CVSS_C": "fr-en"}, "--dry-run")
    assert (
        f"echostream.evaluation.report a b --output {tmp_path / 'runs' / 'report'} --cvss-c fr-en" in printed
    )
    printed = succeed("pred.offline-s2st.sh", environment, "--dry-run")
    assert "fairseq-generate" in printed
    assert "echostream.evaluation.offline_speech" in printed
    printed = succeed("simuleval.simul-s2st.sh", environment, "--dry-run")
    assert printed.count("echostream-eval --task s2st") == 2
    assert "echostream.evaluation.report" in printed
    assert not (tmp_path / "runs").exists()


def test_missing_variables_are_named(environment: dict[str, str]) -> None:
    assert "holds no results" in run("report.sh", environment).stderr
    assert "VOCODER" in run("pred.offline-s2st.sh", {**environment, "VOCODER": ""}).stderr


def test_a_model_and_simuleval_and_the_report(environment: dict[str, str], tmp_path: Path) -> None:
    tiny = make_checkpoint(tmp_path / "tiny", "echostream")
    lists = tiny.folder / "simuleval" / "test"
    lists.mkdir(parents=True)
    soundfile.write(lists / "0.wav", noise(28000), 16000)
    (lists / "wav_list.txt").write_text(f"{lists / '0.wav'}\n")
    (lists / "target.txt").write_text("le chat dort\n")
    variables = {
        **environment,
        "ECHOSTREAM_VENV": sys.prefix,
        "DATA": str(tiny.folder),
        "MODEL_PATH": str(tiny.checkpoint),
        "VOCODER": str(tiny.vocoder),
        "VOCODER_CFG": str(tiny.vocoder_config),
        "CONFIG_YAML": tiny.config_name,
        "MULTITASK_YAML": tiny.multitask_name,
        "ASR_COMMAND": "echo le chat dort",
        "CHUNK_SIZES_MS": "320",
    }
    succeed("simuleval.simul-s2st.sh", variables, "--max-len", "15")
    report = (tmp_path / "runs" / "echostream.simul-s2st" / "report" / "report.md").read_text()
    assert "Utterances: 1." in report
    assert "recogniser: echo le chat dort." in report
    ideal, aware = report.split("### Computation-aware latencies")
    assert "| echostream.simul-s2st | 320 |" in ideal
    assert "DiscontinuitySum_CA (ms)" in aware
