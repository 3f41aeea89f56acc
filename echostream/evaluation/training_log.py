"""Training in short: `python -m echostream.evaluation.training_log LOG… --output FOLDER`.

Reads what `fairseq-train --log-format json` prints, also that of a training that was taken up again, and
writes training.md, one table of validation losses for each log, and training.png.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from echostream.evaluation.markdown import table
from echostream.evaluation.plots import new_figure

_LINE = re.compile(r"\| (?P<name>train_inner|dev|valid) \| (?P<values>\{.*\})$")
LOSSES = {"asr_ctc": "ASR CTC", "st_ctc": "ST CTC", "mt": "MT", "unit_ctc": "unit CTC"}
"""Losses of the criterion, and what they are called here; each is a sum over a batch, by its unit tokens."""
DOTS_PER_INCH = 150


class TrainingLogError(ValueError):
    """A log that cannot be read; the message says which line."""


@dataclass(frozen=True)
class TrainingLog:
    """What a training printed.

    Args:
        name: what it is called.
        dev: validation losses of :data:`LOSSES`, by update.
        training_s: seconds of training up to each update that was logged, without those before an
            interruption that were lost.
        sentences: sentences seen up to each update that was logged.
    """

    name: str
    dev: Mapping[int, Mapping[str, float]]
    training_s: Mapping[int, float]
    sentences: Mapping[int, float]


def read_training_log(path: Path, name: str) -> TrainingLog:
    """Read a log; of an update that was done twice, the second time counts.

    Raises:
        FileNotFoundError: when there is no such file.
        TrainingLogError: for a damaged line, or a log without validation.
    """
    dev: dict[int, dict[str, float]] = {}
    batches: dict[int, tuple[float, float]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        match = _LINE.search(line)
        if match is None:
            continue
        try:
            values = json.loads(match["values"])
            if match["name"] == "train_inner":
                wall = float(values["train_wall"])
                batches[int(values["num_updates"])] = wall, float(values["bsz"])
            else:
                prefix = match["name"] + "_"
                losses = {loss: float(values[f"{prefix}{loss}_loss"]) for loss in LOSSES}
                dev[int(values[f"{prefix}num_updates"])] = losses
        except (ValueError, KeyError) as error:
            raise TrainingLogError(
                f"{path}, line {number}: not a line of fairseq's log: {error!r}"
            ) from error
    if not dev or not batches:
        raise TrainingLogError(
            f"{path}: holds no validation or no updates; train with --log-format json and a dev set"
        )
    training_s, sentences = _totals(batches)
    return TrainingLog(name, dict(sorted(dev.items())), training_s, sentences)


def _totals(batches: Mapping[int, tuple[float, float]]) -> tuple[dict[int, float], dict[int, float]]:
    """Seconds and sentences up to each update, from the seconds and the batch size since the one before."""
    training_s: dict[int, float] = {}
    sentences: dict[int, float] = {}
    seconds = total = 0.0
    before = 0
    for update, (wall, batch_size) in sorted(batches.items()):
        seconds += wall
        total += batch_size * (update - before)
        training_s[update], sentences[update], before = seconds, total, update
    return training_s, sentences


def log_table(log: TrainingLog) -> list[str]:
    """A section on one training."""
    rows = []
    for update, losses in log.dev.items():
        reached = [known for known in log.training_s if known <= update]
        cells = ["–", "–"]
        if reached:
            at = max(reached)
            cells = [f"{log.training_s[at] / 60:.0f}", f"{log.sentences[at]:.0f}"]
        rows.append([str(update), *cells, *(f"{losses[loss]:.3f}" for loss in LOSSES)])
    header = ["update", "minutes", "sentences", *(f"{title}, dev" for title in LOSSES.values())]
    return [f"## {log.name}", "", *table(header, rows), ""]


def plot_logs(path: Path, logs: Sequence[TrainingLog]) -> None:
    """Validation losses over the updates, one panel for each loss."""
    figure = new_figure(10, 2.8)
    for panel, (loss, title) in zip(figure.subplots(1, len(LOSSES)), LOSSES.items(), strict=True):
        for log in logs:
            panel.plot(list(log.dev), [losses[loss] for losses in log.dev.values()], label=log.name)
        panel.set(title=title, xlabel="update", ylim=(0, None))
    figure.axes[0].set_ylabel("loss on dev")
    figure.axes[-1].legend()
    figure.savefig(path, dpi=DOTS_PER_INCH)


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m echostream.evaluation.training_log",
        description="Tables and curves of validation losses from the logs of fairseq-train.",
    )
    parser.add_argument("logs", nargs="+", type=Path, metavar="LOG", help="with --log-format json")
    parser.add_argument("--names", nargs="+", help="what they are called (default: their folders)")
    parser.add_argument("--output", required=True, type=Path, help="folder of training.md and training.png")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line.

    Raises:
        SystemExit: with the reason, for bad arguments or logs.
    """
    args = build_parser().parse_args(argv)
    names = args.names or [path.parent.name for path in args.logs]
    if len(names) != len(args.logs):
        sys.exit(f"error: {len(names)} names for {len(args.logs)} logs")
    try:
        named = tqdm(zip(args.logs, names, strict=True), total=len(names), unit="log", disable=None)
        logs = [read_training_log(path, name) for path, name in named]
        args.output.mkdir(parents=True, exist_ok=True)
        plot_logs(args.output / "training.png", logs)
    except (OSError, ValueError, ImportError) as error:
        sys.exit(f"error: {error}")
    lines = [
        "# Training",
        "",
        "Losses on dev are means over the validated latencies; each is a sum over a batch, divided by the "
        "batch's unit tokens. Minutes are of training alone.",
        "",
        "![losses](training.png)",
        "",
        *(line for log in logs for line in log_table(log)),
    ]
    (args.output / "training.md").write_text("\n".join(lines), encoding="utf-8")
    print(args.output / "training.md")


if __name__ == "__main__":
    main()
