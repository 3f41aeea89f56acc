"""Initial weights of a new training, from checkpoints of earlier ones.

| flag | takes |
|---|---|
| `--load-pretrained-streamspeech-from` | of a StreamSpeech model what an `echostream` model can use |
| `--load-pretrained-encoder-from` | the speech encoder of any model that has the same, as in fairseq |
| `--load-pretrained-mt-from` | the speech encoder and the text decoder of a speech-to-text model |

They are applied in this order. A training that resumes, and a model that is loaded from its checkpoint, has
its weights already: nothing is applied, and the files may be gone.
"""

import logging
from argparse import Namespace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from echostream.compat import CheckpointError, load_checkpoint
from echostream.models.checkpoint_fit import check_fits
from echostream.models.interop.warm_start import warm_start

logger = logging.getLogger(__name__)

FLAGS = ("load_pretrained_streamspeech_from", "load_pretrained_encoder_from", "load_pretrained_mt_from")
DEFAULT_RESTORE_FILE = "checkpoint_last.pt"


def without_initial_weights(args: Namespace) -> Namespace:
    """Return a copy of a model's arguments without the flags that name initial weights."""
    return Namespace(**{name: value for name, value in vars(args).items() if name not in FLAGS})


def resumed_checkpoint(args: Namespace) -> Path | None:
    """Return the checkpoint that fairseq-train will take the weights from, or None for a new training."""
    restore_file = getattr(args, "restore_file", None) or DEFAULT_RESTORE_FILE
    candidates = [restore_file]
    if restore_file == DEFAULT_RESTORE_FILE:
        last = Path(getattr(args, "save_dir", None) or "checkpoints") / restore_file
        candidates = [last, getattr(args, "continue_once", None), getattr(args, "finetune_from_model", None)]
    return next((Path(path) for path in candidates if path and Path(path).is_file()), None)


def check_text_side(args: Namespace) -> None:
    """Refuse to train units on a text side that has learned nothing.

    Raises:
        ValueError: for `--train-side units` when nothing says where the text side comes from.
    """
    if getattr(args, "train_side", None) != "units" or resumed_checkpoint(args) is not None:
        return
    if not any(getattr(args, flag, None) for flag in FLAGS):
        raise ValueError(
            "--train-side units needs a trained text side: name its checkpoint by --finetune-from-model"
        )


def load_initial_weights(model: Any, args: Namespace) -> None:
    """Load what the flags name into a new model.

    Raises:
        CheckpointMismatchError: when the weights do not fit.
        CheckpointError: when a file is no checkpoint.
        FileNotFoundError: when there is no such checkpoint.
    """
    paths = {flag: getattr(args, flag) for flag in FLAGS if getattr(args, flag, None)}
    resumed = resumed_checkpoint(args) if paths else None
    for flag, path in paths.items():
        if resumed is not None:
            logger.info("--%s is not applied: the weights come from %s", flag.replace("_", "-"), resumed)
        else:
            LOADERS[flag](model, path)


def read_checkpoint(path: str) -> dict[str, Any]:
    """Read a fairseq checkpoint for its weights.

    Raises:
        FileNotFoundError: when there is no such checkpoint.
        CheckpointError: when it is corrupt or holds no model.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no checkpoint {path} to take pretrained weights from")
    state = load_checkpoint(path)
    if not isinstance(state.get("model"), dict):
        raise CheckpointError(f"{path}: not a fairseq checkpoint: it holds no model")
    return state


def _load(target: nn.Module, prefix: str, weights: dict[str, Tensor], source_prefix: str) -> None:
    """Load the weights with a prefix into a part of the model that has another."""
    expected = {prefix + name: tensor for name, tensor in target.state_dict().items()}
    found = {
        prefix + name.removeprefix(source_prefix): tensor
        for name, tensor in weights.items()
        if name.startswith(source_prefix)
    }
    check_fits(expected, found)
    target.load_state_dict({name.removeprefix(prefix): tensor for name, tensor in found.items()})


def load_pretrained_encoder(model: Any, path: str) -> None:
    """Take the speech encoder of a checkpoint; it must be of the same kind and size."""
    weights = read_checkpoint(path)["model"]
    _load(model.encoder, "encoder.", weights, "encoder.")
    logger.info("the encoder starts with the weights of %s", path)


def load_pretrained_mt(model: Any, path: str) -> None:
    """Take the speech encoder and the MT decoder of a speech-to-text checkpoint."""
    weights = read_checkpoint(path)["model"]
    _load(model.encoder, "encoder.", weights, "encoder.")
    decoder = model.text_decoder(model.mt_task_name)
    _load(decoder, f"{model.mt_task_name}_decoder.", weights, "decoder.")
    logger.info("the encoder and the MT decoder start with the weights of %s", path)


def load_streamspeech(model: Any, path: str) -> None:
    """Take of a StreamSpeech checkpoint what an EchoStream model can use, and print what was taken."""
    state = read_checkpoint(path)
    logger.info("%s", warm_start(model, state, path))


LOADERS = {
    "load_pretrained_streamspeech_from": load_streamspeech,
    "load_pretrained_encoder_from": load_pretrained_encoder,
    "load_pretrained_mt_from": load_pretrained_mt,
}
