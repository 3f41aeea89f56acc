"""The ablations: each variant differs from the base in what its name says, and the tables hold them all."""

import shlex
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq import options

from echostream.models.echostream_config import ENCODER_SETTINGS
from tests.end_to_end.mini_scripts import run, succeed
from tests.evaluation.result_folders import REFERENCES, garbled, write_run

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = "ablations.sh"
CHANGES: dict[str, dict[str, Any]] = {
    "base": {},
    "no_position_bias": {"relative_position_bias": False},
    "no_memory": {"memory_size": 0},
    "attention_memory": {"memory_mode": "attention"},
    "no_convolution": {"emformer_conv_kernel_size": 0},
    "single_segment_4": {"segment_length": 4, "segment_lengths": "4"},
    "single_segment_8": {"segment_lengths": "8"},
    "no_right_context": {"right_context_length": 0},
}


def encoder_settings(command: list[str]) -> dict[str, Any]:
    """What a fairseq-train command makes of the encoder."""
    args = options.parse_args_and_arch(options.get_training_parser(), input_args=command[1:])
    return {name: getattr(args, name) for name in ENCODER_SETTINGS}


def test_each_variant_changes_one_thing(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "config_echostream.yaml").write_text("{}\n")
    variables = {"NUM_GPUS": "1", "ABLATION_UPDATES": "50", "ABLATION_TRAIN_FLAGS": "--lr 0.5"}
    lines = succeed(SCRIPT, tmp_path, "--dry-run", **variables).splitlines()
    trained = [shlex.split(line) for line in lines if line.startswith("fairseq-train")]
    folders = [Path(words[words.index("--save-dir") + 1]) for words in trained]
    assert [folder.parent.name for folder in folders] == list(CHANGES)
    settings = [encoder_settings(words) for words in trained]
    for found, change in zip(settings, CHANGES.values(), strict=True):
        assert found == {**settings[0], **change}
    base = trained[0]
    assert {"--arch", "echostream_mini", "--max-update", "50", "--lr", "0.5"} <= set(base)
    for words in trained[1:]:
        assert set(base) - set(words) == {base[base.index("--save-dir") + 1]}
    assert not (tmp_path / "ablations").exists()


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        ([], {"VARIANTS": "none"}, "there is no variant 'none'; the variants are base no_position_bias"),
        (["no_memory"], {}, "takes --dry-run only, not 'no_memory': VARIANTS chooses variants"),
    ],
)
def test_bad_variants_are_named(
    arguments: list[str], variables: dict[str, str], message: str, tmp_path: Path
) -> None:
    result = run(SCRIPT, tmp_path, "--dry-run", *arguments, **variables)
    assert result.returncode != 0
    assert message in result.stderr


# Stand for the programs that take long: what they would leave is copied from a folder.
TRAIN = """#!/bin/bash
echo training called
"""
EVALUATE = """#!/bin/bash
while (($#)); do
    case $1 in --output) output=$2 ;; --task) task=$2 ;; esac
    shift
done
cp -r {made}/"$task"/chunk_size=320/. "$output"
"""
PYTHON = """#!/bin/bash
case $2 in
    echostream.checkpoint_averaging) cp {made}/average.pt "$6" ;;
    echostream.evaluation.offline) cp {made}/offline/* "$6" ;;
    *) exec {python} "$@" ;;
esac
"""


@pytest.fixture
def stand_ins(tmp_path: Path) -> Path:
    """A virtual environment whose programs are those above."""
    made, texts = tmp_path / "made", garbled(REFERENCES, 5)
    for task in ("s2tt", "asr"):
        write_run(made / task, 320, texts, [400.0] * len(texts), task=task)
    (made / "offline").mkdir()
    scores = "recognition\tBLEU 80.00\tWER 21.00\tsig\ntranslation, text\tBLEU 50.00\tWER 20.00\tsig\n"
    (made / "offline" / "scores.txt").write_text(scores)
    rows = [f"{number}\tu{number}\t{text}\t\t{text}\t" for number, text in enumerate(texts)]
    table = "\n".join(["index\tid\tasr\tst_ctc\tmt\tunits", *rows]) + "\n"
    (made / "offline" / "generate-test.text.tsv").write_text(table)
    state = {"model": {"weight": torch.zeros(10000)}, "optimizer_history": [{"num_updates": 1500}]}
    torch.save(state, made / "average.pt")
    programs = tmp_path / "venv" / "bin"
    programs.mkdir(parents=True)
    contents = {
        "fairseq-train": TRAIN,
        "fairseq-generate": "#!/bin/bash\n",
        "echostream-eval": EVALUATE.format(made=made),
        "python": PYTHON.format(made=made, python=sys.executable),
    }
    for name, content in contents.items():
        path = programs / name
        path.write_text(content)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return programs.parent


def test_tables_of_the_chosen_variants(stand_ins: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    (runs / "data").mkdir(parents=True)
    rows = [f"u{number}\t{text}\t{text}" for number, text in enumerate(REFERENCES)]
    (runs / "data" / "test.tsv").write_text("\n".join(["id\tsrc_text\ttgt_text", *rows]) + "\n")
    variables = {"ECHOSTREAM_VENV": str(stand_ins), "PYTHONPATH": str(ROOT), "NUM_GPUS": "1"}
    output = succeed(SCRIPT, runs, VARIANTS="no_memory", **variables)
    assert output.count("training called") == 2
    for chunk_ms in (160, 320):
        text = (runs / "ablations" / f"ablations.{chunk_ms}ms.md").read_text(encoding="utf-8")
        header, _, base, changed = [line for line in text.splitlines() if line.startswith("|")]
        assert f"BLEU, s2tt {chunk_ms} ms" in header
        assert base.startswith("| base |  | 21.00 | 50.00 |")
        assert changed.startswith("| no_memory | --memory-size 0 | 21.00 (")
        assert changed.endswith("| 1500 | 0.01 M |")
    again = succeed(SCRIPT, runs, VARIANTS="no_right_context", ABLATION_CHUNK_SIZES_MS="320", **variables)
    assert again.count("training called") == 1, "the base is there already"
    text = (runs / "ablations" / "ablations.320ms.md").read_text(encoding="utf-8")
    assert "| no_right_context | --right-context-length 0 |" in text
