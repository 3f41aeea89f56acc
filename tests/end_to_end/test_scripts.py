"""The fr-en scripts, whole, on a corpus of a few sentences: training, decoding, SimulEval."""

import csv
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts" / "fr-en"
NUM_UNITS = 40
ARCHITECTURES = ("echostream_mini", "streamspeech_mini")
# One layer everywhere: what is tested is that the parts fit, not what they learn.
TINY_LAYERS = ("translation-decoder", "synthesizer-encoder", "decoder", "encoder")
TINY = [word for name in TINY_LAYERS for word in (f"--{name}-layers", "1")]


def run(command: list[str], environment: dict[str, str] | None = None) -> str:
    """Run a command to its end; its output is in the failure's message."""
    result = subprocess.run(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "2", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout[-6000:]}"
    return result.stdout


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a mini corpus in data/ and an untrained vocoder in vocoder/."""
    folder = tmp_path_factory.mktemp("scripts")
    data = folder / "data"
    sizes = ["--train", "8", "--dev", "2", "--test", "2", "--test-hard", "2", "--vocab-size", "60"]
    module = [sys.executable, "-m"]
    run([*module, "echostream.corpus.mini", "--output", str(data), *sizes, "--num-units", str(NUM_UNITS)])
    lists = ["--train", str(data / "vocoder/train.jsonl"), "--dev", str(data / "vocoder/dev.jsonl")]
    settings = f"--preset mini --num-embeddings {NUM_UNITS} --max-updates 1".split()
    run([*module, "echostream.vocoder.training", *lists, "--output", str(folder / "vocoder"), *settings])
    return folder


def environment(work: Path, arch: str) -> dict[str, str]:
    return {
        "ARCH": arch,
        "DATA": str(work / "data"),
        "RUNS": str(work / "runs"),
        "SAVE_DIR": str(work / arch),
        "MODEL_PATH": str(work / arch / "checkpoint_last.pt"),
        "VOCODER": str(work / "vocoder/checkpoint.pt"),
        "VOCODER_CFG": str(work / "vocoder/config.json"),
        "CODE_SIZE": str(NUM_UNITS),
        "CHUNK_SIZES_MS": "640",
        "REPORT": "0",  # a model of two updates may say nothing, and then it has no latency to report
        "NUM_WORKERS": "0",
        "DEVICE": "cpu",
        "ECHOSTREAM_VENV": sys.prefix,
    }


@pytest.fixture(scope="module", params=ARCHITECTURES)
def trained(request: pytest.FixtureRequest, work: Path) -> dict[str, str]:
    """The scripts' environment for an architecture that was trained for two updates."""
    variables = environment(work, request.param)
    updates = ["--max-update", "2", "--validate-interval-updates", "2", "--log-interval", "1"]
    output = run([str(SCRIPTS / "train.simul-s2st.sh"), *TINY, *updates], variables)
    assert "done training" in output
    assert Path(variables["MODEL_PATH"]).is_file()
    return variables


def read_scores(folder: Path) -> dict[str, float]:
    with (folder / "scores.tsv").open(encoding="utf-8") as table:
        (row,) = csv.DictReader(table, delimiter="\t")
    # What an untrained model leaves undefined (no output, so no delay) is an empty cell.
    return {name: float(value or "nan") for name, value in row.items()}


def results(variables: dict[str, str], name: str) -> Path:
    return Path(variables["RUNS"]) / f"{variables['ARCH']}.{name}" / "chunk_size=640"


def test_speech_to_speech(trained: dict[str, str]) -> None:
    run([str(SCRIPTS / "simuleval.simul-s2st.sh"), "--end-index", "1"], trained)
    folder = results(trained, "simul-s2st")
    scores = read_scores(folder)
    assert {"StartOffset", "StartOffset_CA", "ATD", "ATD_CA", "RTF", "DiscontinuityNum"} <= set(scores)
    for name in ("instances.log", "steps.jsonl", "asr.txt", "st.txt", "unit.txt"):
        assert len((folder / name).read_text(encoding="utf-8").splitlines()) == 1
    (instance,) = (folder / "instances.log").read_text(encoding="utf-8").splitlines()
    if json.loads(instance)["prediction_length"] == 0:
        assert math.isnan(scores["StartOffset"])
    else:
        assert 640 <= scores["StartOffset"] < scores["StartOffset_CA"]
        assert soundfile.info(folder / "wavs" / "0_pred.wav").samplerate == 16000


def test_speech_to_text(trained: dict[str, str]) -> None:
    run([str(SCRIPTS / "simuleval.simul-s2tt.sh"), "--end-index", "1"], trained)
    scores = read_scores(results(trained, "simul-s2tt"))
    assert 0 <= scores["BLEU"] <= 100
    assert scores["StartOffset"] >= 640 or math.isnan(scores["StartOffset"])


def test_streaming_recognition(trained: dict[str, str]) -> None:
    run([str(SCRIPTS / "simuleval.streaming-asr.sh"), "--end-index", "1"], trained)
    assert read_scores(results(trained, "streaming-asr"))["WER"] >= 0


def test_offline_decoding(trained: dict[str, str]) -> None:
    output = run([str(SCRIPTS / "pred.offline-s2st.sh")], trained)
    folder = Path(trained["RUNS"]) / f"{trained['ARCH']}.offline-s2st.generate"
    for kind in ("asr", "txt", "unit"):
        assert len((folder / f"generate-test.{kind}").read_text(encoding="utf-8").splitlines()) == 2, output
    assert "BLEU" in (folder / "scores.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_offline_training(work: Path, arch: str) -> None:
    variables = {**environment(work, arch), "SAVE_DIR": str(work / f"{arch}.offline")}
    output = run([str(SCRIPTS / "train.offline-s2st.sh"), *TINY, "--max-update", "1"], variables)
    assert "done training" in output


@pytest.mark.parametrize("arch", ["echostream", "streamspeech"])
@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.glob("*-*.sh")))
def test_dry_run_prints_commands_and_does_nothing(script: str, arch: str, tmp_path: Path) -> None:
    variables = environment(tmp_path, arch)
    output = run([str(SCRIPTS / script), "--dry-run"], variables)
    assert "fairseq-" in output or "echostream-eval --task" in output
    assert not any(tmp_path.iterdir())


def test_quickstart_runs_whole_and_its_steps_only_once(tmp_path: Path) -> None:
    variables = {
        "QUICKSTART": str(tmp_path / "quickstart"),
        "ECHOSTREAM_VENV": sys.prefix,
        "UPDATES": "2",
        "VOCODER_UPDATES": "2",
    }
    script = str(ROOT / "scripts" / "quickstart.sh")
    first = run([script], variables)
    for step in ("corpus", "vocoder", "training", "check"):
        assert f"== {step}: about" in first
    assert "simultaneous translation of sentence 0" in first
    assert "StartOffset_CA" in first
    second = run([script], {**variables, "SENTENCE": "1"})
    assert second.count("done before") == 4
    assert "simultaneous translation of sentence 1" in second


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"DATA": ""}, "set DATA to"),
        ({"DATA": "/nowhere"}, "/nowhere"),
        ({"ARCH": "unity"}, "ARCH is 'unity'"),
        ({"PRECISION": "fp8"}, "PRECISION is 'fp8'"),
    ],
)
def test_bad_variables_are_named(changes: dict[str, str], message: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    variables = {**os.environ, **environment(tmp_path, "echostream"), **changes}
    result = subprocess.run(
        [str(SCRIPTS / "train.simul-s2st.sh")], env=variables, capture_output=True, text=True, check=False
    )
    assert result.returncode != 0
    assert message in result.stderr
