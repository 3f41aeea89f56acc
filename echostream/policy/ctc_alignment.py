"""How many tokens a CTC output holds, frame by frame: the alignment that masks and decisions share.

A token is *new* at a frame when CTC's collapse (drop repeats, then blanks) emits it there. For soft outputs
the probability of that event is used, so the same functions serve training (soft) and inference (hard).

Reference: StreamSpeech (Zhang et al., ACL 2024), section 3.2; CTC (Graves et al., ICML 2006).
"""

from bisect import bisect_right
from collections.abc import Sequence

import torch
from torch import Tensor

TEXT_CTC_BLANK = 0


def new_token_mass(probabilities: Tensor, blank: int = TEXT_CTC_BLANK) -> Tensor:
    """Return the expected number of new tokens at each frame; for one-hot input, CTC's collapse count
    exactly.

    The mass of frame t is ``1 - (p_t(blank) + sum over v != blank of p_t(v) p_{t-1}(v))``, with nothing
    before frame 0.

    Dimensions: B batch, T encoder frames (40 ms), V vocabulary.

    Args:
        probabilities: distributions over the vocabulary, [B, T, V], each summing to one.
        blank: index of the CTC blank.

    Returns:
        Mass in [0, 1], [B, T], in the precision of the input.
    """
    blank_mass = probabilities[..., blank]
    joint = (probabilities[:, 1:] * probabilities[:, :-1]).sum(dim=-1)
    repeat = joint - blank_mass[:, 1:] * blank_mass[:, :-1]
    repeat_mass = torch.cat([torch.zeros_like(blank_mass[:, :1]), repeat], dim=1)
    return 1 - (repeat_mass + blank_mass)


def greedy_new_tokens(best_tokens: Tensor, blank: int = TEXT_CTC_BLANK) -> Tensor:
    """Return where a greedy path emits a new token: :func:`new_token_mass` of the one-hot path, without
    building it.

    Args:
        best_tokens: the best token of each frame, [B, T].
        blank: index of the CTC blank.

    Returns:
        True where CTC's collapse emits the frame's token, bool [B, T].
    """
    is_new = best_tokens != blank
    is_new[:, 1:] &= best_tokens[:, 1:] != best_tokens[:, :-1]
    return is_new


def best_labels(scores: Tensor, blank: int = TEXT_CTC_BLANK, blank_penalty: float = 0.0) -> Tensor:
    """Return the best label of each position of a CTC output, [..., V] -> [...].

    Args:
        scores: logits or log-probabilities.
        blank: index of the CTC blank.
        blank_penalty: subtracted from the blank's score, so that fewer positions stay blank.
    """
    if blank_penalty:
        scores = scores.clone()
        scores[..., blank] -= blank_penalty
    return scores.argmax(dim=-1)


def collapse(best_tokens: Tensor, blank: int = TEXT_CTC_BLANK) -> Tensor:
    """Return the tokens of one greedy CTC path, [T] -> [N], repeats and blanks dropped.

    Raises:
        ValueError: if the path is not one-dimensional.
    """
    if best_tokens.dim() != 1:
        raise ValueError(f"a single path of shape [T] is collapsed at a time, got {list(best_tokens.shape)}")
    return best_tokens[greedy_new_tokens(best_tokens.unsqueeze(0), blank)[0]]


def cumulative_tokens(mass: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Return the number of tokens emitted up to and including each frame; padded frames emit none.

    Args:
        mass: new tokens of each frame, [B, T], soft or boolean.
        lengths: valid encoder frames of each row, [B]; all when None.

    Returns:
        Running count, float32 or wider, [B, T].
    """
    mass = mass.to(torch.promote_types(mass.dtype, torch.float32))
    if lengths is not None:
        frames = torch.arange(mass.size(1), device=mass.device)
        mass = mass.masked_fill(frames.unsqueeze(0) >= lengths.unsqueeze(1), 0.0)
    return mass.cumsum(dim=1)


def confirmed_tokens(source_frames: Sequence[int], target_frames: Sequence[int]) -> int:
    """Return how many target tokens a source token confirms: those emitted no later than the newest one.

    The training mask waits for a frame at which the ST head has emitted enough tokens *and* the ASR head
    emits one (:func:`~echostream.policy.streaming_mask.visible_frames`). Counting confirmed tokens makes a
    streaming policy wait for the same frame.

    Args:
        source_frames: frame of each token of the ASR CTC head, ascending.
        target_frames: frame of each token of the ST CTC head, ascending.
    """
    return bisect_right(target_frames, source_frames[-1]) if source_frames else 0
