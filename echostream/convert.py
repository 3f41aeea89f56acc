"""Checkpoints and configurations of StreamSpeech on this machine: `echostream-convert --help`.

`inspect` says what a checkpoint is. `configs` copies YAML files, with their authors' absolute paths replaced
by paths to the files beside them. `rewrite` copies a checkpoint with its stored paths replaced, and loads the
copy as the agents do before it is kept. Nothing that a file holds is executed.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from echostream.compat import CheckpointError, load_checkpoint
from echostream.data.data_config import MissingConfigError
from echostream.inference.loading import load_model
from echostream.models.interop.configuration_files import localise_configuration
from echostream.models.interop.inspection import describe_checkpoint, model_weights
from echostream.models.interop.stored_arguments import model_arguments
from echostream.models.interop.stored_paths import rewrite_paths, stored_paths
from echostream.models.interop.training_state import complete_training_state

USER_DIR = "echostream"


def inspect(args: argparse.Namespace) -> None:
    """Print what a checkpoint is."""
    print(describe_checkpoint(load_checkpoint(args.checkpoint), Path(args.checkpoint)))


def rewrite(args: argparse.Namespace) -> None:
    """Write a checkpoint with other paths; it appears once it has been loaded with success.

    Raises:
        FileExistsError: when the output is there already.
        ValueError: when the checkpoint does not fit the data folder, with all that differs.
    """
    source, output = Path(args.checkpoint), Path(args.output)
    if output.exists():
        raise FileExistsError(f"{output} exists already: choose another name, or remove it")
    state = load_checkpoint(source)
    model_weights(state, source)
    if not model_arguments(state):
        raise CheckpointError(
            f"{source}: holds weights but no arguments, from which the model would be built; get the "
            "checkpoint as fairseq-train saved it"
        )
    changes = rewrite_paths(
        state,
        data=str(Path(args.data).absolute()),
        config_yaml=args.config_yaml,
        multitask_config_yaml=args.multitask_config_yaml,
        user_dir=USER_DIR,
        save_dir=args.save_dir,
    )
    print("\n".join(map(str, changes)) or "no path needed to be changed")
    for line in complete_training_state(state, keep_optimizer=args.keep_optimizer):
        print(line)
    for path in stored_paths(state):
        if not path.exists:
            print(f"left as it is: {path.where} = {path.value} (not on this machine)")
    partial = output.with_name(output.name + ".partial")
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.save(state, partial)
        loaded = load_model(partial, data_bin=args.data)
        partial.rename(output)
    except MissingConfigError as error:
        raise MissingConfigError(
            f"{error}. If these are its authors' paths, `echostream-convert configs {args.data} FOLDER` "
            "writes YAML files with yours, and FOLDER is the --data of this command"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    print(f"{output}: {loaded.arch} with {len(loaded.text_vocabulary)} target subwords, loads in the agents")


def configs(args: argparse.Namespace) -> None:
    """Write copies of the YAML files of a folder, with paths that hold here.

    Raises:
        FileNotFoundError: when there is no YAML file.
    """
    sources = sorted(Path(args.folder).glob("*.yaml"))
    if not sources:
        raise FileNotFoundError(f"{args.folder}: holds no YAML file")
    vocoder = {"checkpoint": args.vocoder, "config": args.vocoder_cfg}
    for source in sources:
        changes, lost = localise_configuration(source, Path(args.output) / source.name, vocoder)
        print(f"{source} -> {Path(args.output) / source.name}")
        for change in changes:
            print(f"  {change}")
        print(
            "".join(f"  not found here, left as it is: {item.where}: {item.old}\n" for item in lost), end=""
        )


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="echostream-convert", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("inspect", help="say what a checkpoint is")
    command.add_argument("checkpoint", help="a checkpoint of fairseq")
    command.set_defaults(run=inspect)

    command = commands.add_parser("rewrite", help="replace the paths in a checkpoint")
    command.add_argument("checkpoint", help="a checkpoint of fairseq")
    command.add_argument("output", help="where the new one goes")
    command.add_argument("--data", required=True, help="folder of the YAML files and dictionaries")
    command.add_argument("--config-yaml", help="data configuration in --data (default: the stored name)")
    command.add_argument("--multitask-config-yaml", help="configuration of the text tasks, likewise")
    command.add_argument("--save-dir", default="checkpoints", help="where a training that goes on would save")
    command.add_argument(
        "--keep-optimizer", action="store_true", help="keep the optimizer's state, to go on with the training"
    )
    command.set_defaults(run=rewrite)

    command = commands.add_parser("configs", help="replace the paths in a folder's YAML files")
    command.add_argument("folder", help="where the YAML files, dictionaries and statistics are")
    command.add_argument("output", help="folder for the copies")
    command.add_argument("--vocoder", help="CodeHiFiGAN checkpoint")
    command.add_argument("--vocoder-cfg", help="its JSON configuration")
    command.set_defaults(run=configs)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Raises:
        SystemExit: with the reason, for files that cannot be used.
    """
    args = build_parser().parse_args(arguments)
    try:
        args.run(args)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
