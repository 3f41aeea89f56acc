"""Weights from earlier trainings: ``--load-pretrained-encoder-from`` and ``--load-pretrained-mt-from``."""

from pathlib import Path

from fairseq.checkpoint_utils import load_checkpoint_to_cpu
from fairseq.models import FairseqEncoder
from torch import Tensor, nn

from echostream.models.checkpoint_fit import CheckpointMismatchError, check_fits


def read_weights(path: str) -> dict[str, Tensor]:
    """Return the model's state dict in a fairseq checkpoint.

    Raises:
        FileNotFoundError: when there is no such checkpoint.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no checkpoint {path} to take pretrained weights from")
    return load_checkpoint_to_cpu(path)["model"]


def _load(target: nn.Module, prefix: str, weights: dict[str, Tensor], path: str) -> None:
    """Load weights whose names are the target's with a prefix; they must be complete."""
    own = {prefix + name: tensor for name, tensor in target.state_dict().items()}
    check_fits(own, weights)
    differing = sorted(set(own) ^ set(weights))
    if differing:
        raise CheckpointMismatchError(
            f"the weights in {path} do not have the names of this model's: {len(differing)} differ, "
            f"such as {differing[0]}"
        )
    target.load_state_dict({name.removeprefix(prefix): tensor for name, tensor in weights.items()})


def load_pretrained_encoder(encoder: FairseqEncoder, args) -> FairseqEncoder:
    """Load the weights of ``--load-pretrained-encoder-from`` into an encoder, where the flag is given.

    Raises:
        CheckpointMismatchError: when they are of another kind or size.
        FileNotFoundError: when there is no such checkpoint.
    """
    path = getattr(args, "load_pretrained_encoder_from", None)
    if path:
        weights = {name: value for name, value in read_weights(path).items() if name.startswith("encoder.")}
        _load(encoder, "encoder.", weights, path)
    return encoder


def load_pretrained_mt(model, path: str) -> None:
    """Take the speech encoder and the MT decoder from a speech-to-text checkpoint.

    Raises:
        CheckpointMismatchError: when its weights do not fit.
        FileNotFoundError: when there is no such checkpoint.
    """
    weights = read_weights(path)
    encoder = {name: value for name, value in weights.items() if name.startswith("encoder.")}
    prefix = f"{model.mt_task_name}_decoder."
    decoder = {
        prefix + name.removeprefix("decoder."): value
        for name, value in weights.items()
        if name.startswith("decoder.")
    }
    _load(model.encoder, "encoder.", encoder, path)
    _load(model.text_decoder(model.mt_task_name), prefix, decoder, path)
