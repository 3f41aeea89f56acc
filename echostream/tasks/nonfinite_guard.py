"""What happens in training when a loss or the gradient is not a finite number."""

import functools
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fairseq.distributed import utils as distributed_utils
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from echostream.compat import CheckpointError, load_checkpoint

logger = logging.getLogger(__name__)

_MAX_NAMES = 8


class NonFiniteError(ArithmeticError):
    """Training stopped; the message names the losses, the utterances and the checkpoint to go back to.

    Not a FloatingPointError: on that, fairseq's trainer repeats the update under hooks which fail on encoders
    that return dictionaries, and hides the cause.
    """


@dataclass(frozen=True)
class Batch:
    """What is remembered of a batch until its update is decided; tensors, so that nothing waits for a GPU."""

    loss: Tensor
    logging_output: dict[str, Any]
    indices: Tensor


class NonFiniteGuard:
    """Looks at each update before the optimiser does: its losses, then the norm of its gradient.

    An update with a loss or gradient norm that is not finite changes no weights and no running statistics.
    It stops training, or is left out as a whole, by all processes together. It still counts as an update,
    so that learning rate and random numbers go on. Gradients that overflow under fp16 or AMP are the loss
    scaler's business: it leaves the update out and lowers its scale, and only when it can lower it no
    further does the guard act. A loss is not scaled; one that is not finite is never normal.

    fairseq's trainer decides between the reduction of the gradients and the optimiser's step without asking
    the task, so the guard wraps `clip_grad_norm` of the optimiser that the trainer hands to the task.

    Args:
        skip: leave such updates out; otherwise stop at the first.
        max_skips: stop after so many were left out.
        save_dir: where the checkpoints are, for the message.
        utterance_name: the id of an utterance, by its index in the training set.
    """

    def __init__(
        self,
        *,
        skip: bool,
        max_skips: int,
        save_dir: Path | None,
        utterance_name: Callable[[int], str],
    ) -> None:
        self.skip = skip
        self.max_skips = max_skips
        self.save_dir = save_dir
        self.utterance_name = utterance_name
        self.num_skips = 0
        self.is_skipping = False
        """Whether the update in progress is left out."""
        self._batches: list[Batch] = []
        self._statistics: list[tuple[Tensor, Tensor]] = []
        self._optimizer: Any = None
        self._model: Any = None
        self._update = 0

    def watch(self, optimizer: Any, model: Any, update: int) -> None:
        """Called before each batch of an update; from the first on, the gradient norm is looked at."""
        self._model, self._update = model, update
        if not self._batches:
            self._statistics = [(buffer, buffer.clone()) for buffer in _running_statistics(model)]
        if self._optimizer is optimizer:
            return
        self._optimizer = optimizer
        optimizer.clip_grad_norm = functools.partial(self._clip_grad_norm, optimizer.clip_grad_norm)

    def record(self, loss: Tensor, logging_output: dict[str, Any], indices: Tensor) -> None:
        """Called after each batch.

        Args:
            loss: what was minimised.
            logging_output: of the criterion; `sum/<metric>` are the terms.
            indices: of the batch's utterances in the training set.
        """
        self._batches.append(Batch(loss.detach(), logging_output, indices))

    def _clip_grad_norm(
        self,
        clip: Callable[..., Tensor],
        max_norm: float,
        aggregate_norm_fn: Callable[..., Any] | None = None,
    ) -> Tensor:
        """In the place of the optimiser's method, once an update, on every process."""
        batches, self._batches = self._batches, []
        self.is_skipping = False
        bad_batches = _bad_batches(batches)
        cause: FloatingPointError | None = None
        if not _on_any_process(bool(bad_batches), self._model):
            try:
                norm = clip(max_norm, aggregate_norm_fn)
            except FloatingPointError as error:  # the loss scale is at its minimum
                cause = error
            else:
                is_scaled = getattr(self._optimizer, "scaler", None) is not None
                if is_scaled or bool(torch.isfinite(norm).all()):
                    return norm
        for buffer, before in self._statistics:
            buffer.copy_(before)
        message = self._message(batches, bad_batches, cause)
        self._stop_or_skip(message, cause)
        self.is_skipping = True
        _discard_gradient(self._optimizer)
        return torch.zeros((), device=next(self._model.parameters()).device)

    def _stop_or_skip(self, what: str, cause: FloatingPointError | None) -> None:
        reason = self._reason_to_stop()
        if reason:
            raise NonFiniteError(f"{what}. {_last_good_checkpoint(self.save_dir)} {reason}") from cause
        self.num_skips += 1
        logger.warning(f"{what}. The update is left out ({self.num_skips} of {self.max_skips}).")

    def _reason_to_stop(self) -> str:
        if not self.skip:
            return "(--on-nonfinite skip would leave the update out.)"
        if _bad_names(self._model.named_parameters()):
            return "Leaving updates out cannot repair the weights."
        if self.num_skips >= self.max_skips:
            return (
                f"{self.num_skips} updates were left out before, which is what --max-nonfinite-skips allows."
            )
        return ""

    def _message(
        self, batches: list[Batch], bad_batches: list[Batch], cause: FloatingPointError | None
    ) -> str:
        if bad_batches:
            here = "; ".join(
                f"{', '.join(_bad_terms(batch.logging_output)) or 'loss'} of {self._utterances([batch])}"
                for batch in bad_batches
            )
        else:
            here = ""
        found = _of_all_processes(here)
        if any(found):
            what = "loss not finite: " + "; ".join(filter(None, found))
        else:
            gradients = _bad_names((name, p.grad) for name, p in self._model.named_parameters())
            reason = f" ({cause})" if cause else ""
            of = "; ".join(_of_all_processes(self._utterances(batches)))
            what = f"losses finite, gradient not{reason}: {_some(gradients)}; batches: {of}"
        weights = _bad_names(self._model.named_parameters())
        if weights:
            what += f". The weights themselves are not finite: {_some(weights)}"
        return f"update {self._update + 1}: {what}"

    def _utterances(self, batches: list[Batch]) -> str:
        names = [self.utterance_name(index) for batch in batches for index in batch.indices.tolist()]
        return f"[{' '.join(names)}]"


def _last_good_checkpoint(save_dir: Path | None) -> str:
    """The newest checkpoint that is whole and whose weights are finite, as a sentence."""
    saved = [] if save_dir is None else list(save_dir.glob("checkpoint*.pt"))
    for path in sorted(saved, key=lambda path: (path.stat().st_mtime, path.name), reverse=True):
        try:
            weights = load_checkpoint(path)["model"]
        except CheckpointError as error:
            logger.warning(str(error))
            continue
        if not _bad_names(weights.items()):
            return f"The last good checkpoint is {path}."
    return "No checkpoint was saved before." if not saved else f"No checkpoint in {save_dir} is good."


def _discard_gradient(optimizer: Any) -> None:
    """Set the gradient to zero, in the middle of an update."""
    apply_factor = getattr(optimizer, "_unscale_grads", None)
    if apply_factor is not None:  # fairseq's 16-bit optimisers keep a factor until their step
        apply_factor()
    optimizer.zero_grad()


def _running_statistics(model: Any) -> list[Tensor]:
    """Buffers that a forward pass changes: those of batch normalisation."""
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    return [buffer for layer in layers for buffer in layer.buffers(recurse=False)]


def _bad_batches(batches: list[Batch]) -> list[Batch]:
    """The batches whose loss is not finite; one transfer from the device for all."""
    if not batches:
        return []
    finite = torch.stack([torch.isfinite(batch.loss).all() for batch in batches]).tolist()
    return [batch for batch, is_finite in zip(batches, finite, strict=True) if not is_finite]


def _bad_terms(logging_output: dict[str, Any]) -> list[str]:
    """The metrics of a batch whose sum is not finite, the total apart."""
    sums = {
        key.removeprefix("sum/"): value for key, value in logging_output.items() if key.startswith("sum/")
    }
    return [name for name, value in sums.items() if name != "loss" and not _is_finite(value)]


def _is_finite(value: Any) -> bool:
    return bool(torch.isfinite(torch.as_tensor(value)).all())


def _bad_names(named: Any) -> list[str]:
    """Names of the tensors that are not finite, without the prefixes of the distributed wrappers."""
    return [
        re.sub(r"^(module\.)+", "", name)
        for name, tensor in named
        if tensor is not None and not _is_finite(tensor)
    ]


def _some(names: list[str]) -> str:
    """A list for a message; the norm alone can overflow while every gradient is finite."""
    if not names:
        return "the norm over all parameters"
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more


def _on_any_process(flag: bool, model: Any) -> bool:
    """Whether the flag is set on any process; every process must call it."""
    group = distributed_utils.get_data_parallel_group()
    if group is None or distributed_utils.get_world_size(group) == 1:
        return flag
    device = next(model.parameters()).device
    flags = torch.tensor([float(flag)], device=device)
    return bool(distributed_utils.all_reduce(flags, group, op="max").item() > 0)


def _of_all_processes(text: str) -> list[str]:
    """The text of each process with its rank; empty ones stay empty. Every process must call it."""
    group = distributed_utils.get_data_parallel_group()
    if group is None or distributed_utils.get_world_size(group) == 1:
        return [text]
    texts: list[Any] = [None] * distributed_utils.get_world_size(group)
    torch.distributed.all_gather_object(texts, text, group=group)
    return [f"rank {rank}: {found}" if found else "" for rank, found in enumerate(texts)]
