"""The loss terms of two-pass speech-to-unit training, as pure functions on tensors."""

from dataclasses import dataclass

import torch
from fairseq.criterions.label_smoothed_cross_entropy import label_smoothed_nll_loss
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class CTCTerm:
    """A CTC loss: the sum, how many target tokens it is over, which rows cannot be aligned, and what its best
    path is made of. Heads begin by emitting blanks alone.
    """

    loss: Tensor
    num_tokens: Tensor
    infeasible: Tensor
    num_positions: Tensor
    num_blank: Tensor
    num_emitted: Tensor


def padded_positions(targets: Tensor, lengths: Tensor) -> Tensor:
    """True at padding, bool `[B, N]`."""
    return torch.arange(targets.shape[1], device=targets.device) >= lengths.unsqueeze(1)


def infeasible_rows(targets: Tensor, target_lengths: Tensor, input_lengths: Tensor) -> Tensor:
    """Rows with fewer positions than CTC needs: one for each symbol, and a blank between equal neighbours.

    Args:
        targets: `[B, N]`.
        target_lengths: `[B]`.
        input_lengths: positions of each row `[B]`.
    Returns:
        bool `[B]`.
    """
    repeated = targets[:, 1:] == targets[:, :-1]
    repeated = repeated & ~padded_positions(targets, target_lengths)[:, 1:]
    return input_lengths < target_lengths + repeated.sum(dim=1)


def best_path_counts(logits: Tensor, lengths: Tensor, *, blank: int) -> tuple[Tensor, Tensor, Tensor]:
    """Valid positions, those whose best symbol is the blank, and the symbols left after removing repeats.

    Args:
        logits: `[B, T, V]`.
        lengths: valid positions `[B]`.
        blank: index of the blank.
    """
    path = logits.detach().argmax(dim=-1)
    valid = ~padded_positions(path, lengths)
    is_new = torch.ones_like(valid)
    is_new[:, 1:] = path[:, 1:] != path[:, :-1]
    is_blank = path == blank
    return valid.sum(), (is_blank & valid).sum(), (is_new & ~is_blank & valid).sum()


def ctc_term(
    logits: Tensor, input_lengths: Tensor, targets: Tensor, target_lengths: Tensor, *, blank: int
) -> CTCTerm:
    """CTC loss summed over the batch; rows that cannot be aligned count zero and are reported.

    Dimensions: B batch, T positions, N target symbols, V symbols.

    Args:
        logits: `[B, T, V]`.
        input_lengths: valid positions `[B]`.
        targets: `[B, N]`, padded at the end.
        target_lengths: `[B]`.
        blank: index of the blank.
    """
    log_probs = F.log_softmax(logits.float(), dim=-1).transpose(0, 1)
    with torch.backends.cudnn.flags(enabled=False):  # cuDNN's CTC is not deterministic
        loss = F.ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            blank=blank,
            reduction="sum",
            zero_infinity=True,
        )
    infeasible = infeasible_rows(targets, target_lengths, input_lengths)
    counts = best_path_counts(logits, input_lengths, blank=blank)
    return CTCTerm(loss, target_lengths.sum(), infeasible, *counts)


def text_term(logits: Tensor, targets: Tensor, *, label_smoothing: float, pad: int) -> tuple[Tensor, Tensor]:
    """Label-smoothed cross entropy and plain negative log-likelihood, each summed over the valid tokens.

    Args:
        logits: `[B, N, V]`.
        targets: `[B, N]`.
        label_smoothing: 0 … 1.
        pad: index of padding.
    """
    log_probs = F.log_softmax(logits.float(), dim=-1)
    loss, nll_loss = label_smoothed_nll_loss(
        log_probs.flatten(0, 1), targets.flatten(), label_smoothing, ignore_index=pad
    )
    return loss, nll_loss


def rdrop_term(logits: Tensor, padding_mask: Tensor) -> Tensor:
    """Symmetric KL divergence between the two halves of a doubled batch, summed over valid positions.

    Args:
        logits: `[2B, N, V]`; row b and row B + b are the same utterance under two dropout masks.
        padding_mask: bool `[2B, N]`, True at padding.
    Reference: R-Drop (Liang et al., NeurIPS 2021), equation 2.
    """
    first, second = F.log_softmax(logits.float(), dim=-1).chunk(2)
    valid = ~padding_mask.chunk(2)[0]
    forward = F.kl_div(first, second, reduction="none", log_target=True).sum(dim=-1)
    backward = F.kl_div(second, first, reduction="none", log_target=True).sum(dim=-1)
    return ((forward + backward) / 2)[valid].sum()
