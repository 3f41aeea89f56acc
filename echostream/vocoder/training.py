"""Train a small CodeHiFiGAN for one target voice: `python -m echostream.vocoder.training --help`."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from echostream.vocoder.config import read_config_file
from echostream.vocoder.trainer import Budget, VocoderTrainer
from echostream.vocoder.training_config import PRESETS, RunConfig
from echostream.vocoder.unit_audio import read_unit_audio_list

PACKAGE_LOGGER = "echostream.vocoder"
logger = logging.getLogger(f"{PACKAGE_LOGGER}.training")


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m echostream.vocoder.training",
        description="Train a unit vocoder. A run is taken up again where its output folder left it. Each "
        "g_XXXXXXXX there, and the newest as checkpoint.pt, is in the public format, for config.json.",
    )
    parser.add_argument("--train", required=True, help='JSON lines {"audio": path, "code": "5 5 12 …"}')
    parser.add_argument("--dev", required=True, help="the same, for the reported errors")
    parser.add_argument(
        "--audio-root", help="folder of the audio paths (default: the folder above the list's)"
    )
    parser.add_argument("--output", required=True, help="folder of the run")
    parser.add_argument(
        "--preset", choices=sorted(PRESETS), help="where --config starts from (default: nothing)"
    )
    parser.add_argument("--config", help="JSON: keys of a public vocoder config, and a 'training' block")
    parser.add_argument("--num-embeddings", type=int, help="number of units, in place of the config's")
    parser.add_argument("--max-updates", type=int, default=400_000)
    parser.add_argument(
        "--max-minutes", type=float, help="training time, earlier runs of the folder included"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="torch device (default: cpu)")
    return parser


def run_config(args: argparse.Namespace) -> RunConfig:
    """The configuration that the command line asks for.

    Raises:
        FileNotFoundError: if there is no such config file.
        VocoderError: if the config is bad.
    """
    values: dict[str, Any] = read_config_file(args.config) if args.config else {}
    if args.num_embeddings is not None:
        values["num_embeddings"] = args.num_embeddings
    preset = values.pop("preset", None)
    return RunConfig.from_dict(values, args.preset or preset)


def main(argv: Sequence[str] | None = None) -> int:
    """Train as the command line says; the exit status."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if not args.preset and not args.config:
        parser.error("give --preset, --config, or both")
    if args.max_updates < 1 or (args.max_minutes is not None and args.max_minutes <= 0):
        parser.error("--max-updates and --max-minutes must be positive")
    with _messages_to_stdout():
        try:
            checkpoint = _train(args)
        except (ValueError, FileNotFoundError) as error:
            logger.error("%s", error)
            return 1
        logger.info("vocoder checkpoint: %s", checkpoint)
    return 0


def _train(args: argparse.Namespace) -> Path:
    run = run_config(args)
    trainer = VocoderTrainer(
        run,
        read_unit_audio_list(args.train, run.generator, args.audio_root),
        read_unit_audio_list(args.dev, run.generator, args.audio_root),
        args.output,
        seed=args.seed,
        device=torch.device(args.device),
    )
    num_parameters = sum(parameter.numel() for parameter in trainer.generator.parameters())
    logger.info("generator of %d parameters, %d utterances", num_parameters, len(trainer.sampler.items))
    return trainer.train(Budget(args.max_updates, args.max_minutes))


@contextmanager
def _messages_to_stdout() -> Iterator[None]:
    """Show this package's messages once, however other packages have set up logging."""
    package = logging.getLogger(PACKAGE_LOGGER)
    before = package.level, package.propagate
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    package.addHandler(handler)
    package.setLevel(logging.INFO)
    package.propagate = False
    try:
        yield
    finally:
        package.removeHandler(handler)
        package.setLevel(before[0])
        package.propagate = before[1]


if __name__ == "__main__":
    sys.exit(main())
