"""What the agents' options may be: values that contradict what is done are errors.

Settings of the session are checked by `SessionOptions`.
"""

from argparse import Namespace

import torch

from echostream.data.fbank import NUM_MEL_BINS

SHIFT_MS = 10
WINDOW_MS = 25


class OptionError(ValueError):
    """An option that contradicts what the agent does."""


def check_options(args: Namespace) -> None:
    """Refuse values that contradict what the agent does.

    Raises:
        OptionError: naming the option and the value that is possible.
    """
    fixed = {"shift_size": SHIFT_MS, "window_size": WINDOW_MS, "feature_dim": NUM_MEL_BINS}
    for name, value in fixed.items():
        if getattr(args, name) != value:
            option = "--" + name.replace("_", "-")
            raise OptionError(
                f"{option} must be {value}, with which the models are trained, not {getattr(args, name)}"
            )
    if args.tgt_splitter_type.lower() != "sentencepiece":
        raise OptionError(f"--tgt-splitter-type must be SentencePiece, not {args.tgt_splitter_type}")
    for name in ("segment_size", "unit_per_subword", "sample_rate"):
        if getattr(args, name) < 1:
            raise OptionError(f"--{name.replace('_', '-')} must be positive, not {getattr(args, name)}")


def resolve_device(name: str) -> torch.device:
    """The device that `--device` means; `gpu` is StreamSpeech's word for cuda.

    Raises:
        OptionError: for an unknown device, or CUDA where there is none.
    """
    try:
        device = torch.device("cuda" if name == "gpu" else name)
    except RuntimeError as error:
        raise OptionError(f"--device {name}: unknown; use cpu, cuda, cuda:N or gpu") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise OptionError(f"--device {name}: this torch sees no CUDA device; use --device cpu")
    return device
