"""The command line: `python -m echostream.release`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from echostream.release.pack import Parts, pack


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m echostream.release",
        description="Pack a trained model with its vocoder into a folder that can be shipped: half "
        "precision, relative paths, sample sentences, scores and SHA-256 sums.",
    )
    parser.add_argument("--model", required=True, type=Path, help="checkpoint of the translation model")
    parser.add_argument("--data", required=True, type=Path, help="folder of its YAML files and dictionaries")
    parser.add_argument("--vocoder", required=True, type=Path, help="CodeHiFiGAN checkpoint")
    parser.add_argument("--vocoder-cfg", required=True, type=Path, help="its JSON configuration")
    parser.add_argument("--config-yaml", default="config_echostream.yaml", help="default: %(default)s")
    parser.add_argument(
        "--multitask-config-yaml", default="config_mtl_asr_st_ctcst.yaml", help="default: %(default)s"
    )
    parser.add_argument(
        "--split",
        default="test",
        help="folder of DATA/simuleval for the sample sentences (default: %(default)s)",
    )
    parser.add_argument("--samples", default=6, type=int, help="how many (default: %(default)s)")
    parser.add_argument("--max-sample-s", default=5.0, type=float, help="the longest (default: %(default)s)")
    parser.add_argument(
        "--results", nargs="*", default=[], type=Path, help="result folders, whose scores go into scores.json"
    )
    parser.add_argument(
        "--output", required=True, type=Path, help="the folder; README.md in it stays as it is"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Pack as the command line says.

    Raises:
        SystemExit: with the reason, for bad arguments or files.
    """
    args = build_parser().parse_args(argv)
    parts = Parts(
        model=args.model,
        data=args.data,
        vocoder=args.vocoder,
        vocoder_config=args.vocoder_cfg,
        config_yaml=args.config_yaml,
        multitask_config_yaml=args.multitask_config_yaml,
        split=args.split,
        num_samples=args.samples,
        max_sample_s=args.max_sample_s,
        results=args.results,
    )
    try:
        size_bytes = pack(parts, args.output)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    print(f"{args.output}: {size_bytes / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
