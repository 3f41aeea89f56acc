"""fairseq's commands in this process, on the tiny corpus."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import split
from typing import Any

import fairseq_cli.generate
import fairseq_cli.train
import fairseq_cli.validate
from fairseq import checkpoint_utils
from fairseq.logging import metrics

import echostream
from echostream import compat, criterions, models, tasks

USER_DIR = str(Path(echostream.__file__).parent)
REGISTERED = (criterions, models, tasks)

SIZES = split(
    "--encoder-layers 1 --encoder-embed-dim 16 --encoder-ffn-embed-dim 32 --encoder-attention-heads 2 "
    "--conv-channels 16 --translation-decoder-layers 1 --synthesizer-encoder-layers 1 --decoder-layers 1 "
    "--decoder-embed-dim 16 --decoder-ffn-embed-dim 32 --decoder-attention-heads 2 --ctc-upsample-rate 8 "
    "--dropout 0.1"
)
ARCHITECTURES = {
    "streamspeech": split(
        "--arch streamspeech --chunk-size 8 --multichunk --uni-encoder --attn-type espnet "
        "--pos-enc-type rel_pos --share-decoder-input-output-embed"
    ),
    "echostream": split("--arch echostream --segment-length 4 --segment-lengths 4,8"),
}
TASK = split(
    "--config-yaml config.yaml --multitask-config-yaml config_mtl.yaml --task speech_to_speech_ctc "
    "--target-is-code --target-code-size 20 --vocoder code_hifigan --cpu --num-workers 0 --log-format json"
)
TRAINING = split(
    "--criterion speech_to_unit_2pass_ctc_asr_st --label-smoothing 0.1 --k1 0 --k2 0 --n1 1 --n2 -1 "
    "--train-subset train --valid-subset dev --log-interval 1 --optimizer adam --lr 0.002 "
    "--lr-scheduler inverse_sqrt --warmup-updates 2 --clip-norm 10 --batch-size 2 --seed 7"
)


@contextmanager
def recorded_logs() -> Iterator[list[dict[str, Any]]]:
    """What fairseq's JSON progress bar logs, with the logger's name as `logger`."""
    records: list[dict[str, Any]] = []

    class Recorder(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            message = record.getMessage()
            if message.startswith("{"):
                records.append({"logger": record.name, **json.loads(message)})

    logger = logging.getLogger("fairseq.logging.progress_bar")
    recorder, level = Recorder(), logger.level
    logger.addHandler(recorder)
    logger.setLevel(logging.INFO)
    try:
        yield records
    finally:
        logger.removeHandler(recorder)
        logger.setLevel(level)


def run(command: str, arguments: list[str]) -> list[dict[str, Any]]:
    """Run fairseq-<command> with its state in this process reset; returns its JSON logs."""
    assert all(REGISTERED)
    compat.apply()
    metrics.reset()
    if hasattr(checkpoint_utils.save_checkpoint, "best"):
        del checkpoint_utils.save_checkpoint.best
    module = getattr(fairseq_cli, command)
    previous = sys.argv
    sys.argv = [f"fairseq-{command}", *arguments]
    try:
        with recorded_logs() as records:
            module.cli_main()
    finally:
        sys.argv = previous
    return records


def train(corpus: Path, save_dir: Path, arch: str, *arguments: str) -> list[dict[str, Any]]:
    """Run fairseq-train."""
    return run(
        "train",
        [
            str(corpus),
            "--user-dir",
            USER_DIR,
            "--save-dir",
            str(save_dir),
            *ARCHITECTURES[arch],
            *SIZES,
            *TASK,
            *TRAINING,
            *arguments,
        ],
    )


def validate(corpus: Path, checkpoint: Path, *arguments: str) -> dict[str, Any]:
    """Run fairseq-validate; returns the metrics of dev."""
    command = [str(corpus), "--user-dir", USER_DIR, "--path", str(checkpoint), "--valid-subset", "dev"]
    records = run("validate", [*command, *TASK, "--batch-size", "2", *arguments])
    return next(record for record in records if record["logger"] == "dev")


def generate(corpus: Path, checkpoint: Path, results: Path, *arguments: str) -> None:
    """Run fairseq-generate on test."""
    command = [str(corpus), "--user-dir", USER_DIR, "--path", str(checkpoint), "--gen-subset", "test"]
    run("generate", [*command, "--results-path", str(results), "--batch-size", "3", *TASK, *arguments])
