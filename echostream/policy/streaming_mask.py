"""What each output position may see: the policy of :mod:`echostream.policy.read_write` as attention masks.

g(i) is the number of encoder frames that are known when target subword i is written. In training it is
computed from soft CTC outputs, and cross-attention is hidden from frame g(i) on; in streaming the agent has
just those frames.

Reference: StreamSpeech (Zhang et al., ACL 2024), section 3.3.
"""

import torch
from torch import Tensor

from echostream.policy.ctc_alignment import cumulative_tokens
from echostream.policy.read_write import required_target_tokens


def visible_frames(
    source_mass: Tensor,
    target_mass: Tensor,
    num_tokens: int,
    *,
    lagging_k: int,
    stride_n: int,
    chunk_size: int | None,
    lead_in_length: int = 0,
    lengths: Tensor | None = None,
) -> Tensor:
    """Return g(i), the encoder frames that each target subword may see; it never exceeds a row's own length.

    Subword i waits for the first frame at which the ST head has emitted enough tokens and the ASR head emits
    one, or for the last frame. The encoder delivers whole chunks, so g(i) is the end of that frame's chunk.

    Dimensions: B batch, T encoder frames (40 ms), N target subwords.

    Args:
        source_mass: new tokens of the ASR CTC head at each frame, [B, T].
        target_mass: new tokens of the ST CTC head at each frame, [B, T].
        num_tokens: N.
        lagging_k: tokens that the translation stays behind the ST head (k1).
        stride_n: tokens written at a time (n1).
        chunk_size: chunk of the encoder in encoder frames; None for an offline encoder, which shows
            everything.
        lead_in_length: frames by which the first chunk is shorter than the others.
        lengths: valid encoder frames of each row, [B]; all when None.

    Returns:
        Visible encoder frames, long [B, N], between 1 and the row's length.

    Raises:
        ValueError: for a stride or a chunk below one.
    """
    if stride_n < 1:
        raise ValueError(f"n1 must be at least one token, got {stride_n}")
    batch_size, num_frames = target_mass.shape
    device = target_mass.device
    if lengths is None:
        lengths = torch.full((batch_size,), num_frames, dtype=torch.long, device=device)
    row_lengths = lengths.view(batch_size, 1)
    if chunk_size is None:
        return row_lengths.expand(batch_size, num_tokens).clone()
    if chunk_size < 1:
        raise ValueError(f"a chunk has at least one encoder frame, got {chunk_size}")
    required = required_target_tokens(torch.arange(num_tokens, device=device), lagging_k, stride_n)
    required = required.unsqueeze(0).clamp(min=1).minimum(row_lengths)
    enough = cumulative_tokens(target_mass, lengths).unsqueeze(1) >= required.unsqueeze(2)
    frames = torch.arange(num_frames, device=device)
    emits = (source_mass.round() == 1).unsqueeze(1)
    is_last = (frames.unsqueeze(0) == row_lengths - 1).unsqueeze(1)
    ready = (enough & emits) | is_last
    first_frame = torch.where(ready, frames, num_frames).amin(dim=2)
    num_chunks = (first_frame + lead_in_length) // chunk_size + 1
    return (num_chunks * chunk_size - lead_in_length).clamp(min=1).minimum(row_lengths)


def hidden_from(visible: Tensor, num_keys: int) -> Tensor:
    """Return the attention mask for numbers of visible keys, [...] -> bool [..., num_keys], True where
    hidden.
    """
    keys = torch.arange(num_keys, device=visible.device)
    return keys >= visible.unsqueeze(-1)


def visible_text(
    num_units: int,
    num_text: int,
    *,
    lagging_k: int,
    stride_n: int,
    upsample_rate: int,
    device: torch.device | None = None,
) -> Tensor:
    """Return how many text positions each unit position may see: those of its own stride, and ``lagging_k``
    more.

    Args:
        num_units: unit positions, ``upsample_rate`` for each text position.
        num_text: text positions.
        lagging_k: text positions of look-ahead (k2).
        stride_n: text positions handed over at a time (n2).
        upsample_rate: unit positions of a text position.
        device: where the result lives.

    Returns:
        Visible text positions, long [num_units], between 1 and ``num_text``.

    Raises:
        ValueError: for a stride or a rate below one.
    """
    if stride_n < 1:
        raise ValueError(f"n2 must be at least one text position, got {stride_n}")
    if upsample_rate < 1:
        raise ValueError(f"ctc-upsample-rate must be at least one, got {upsample_rate}")
    text_index = torch.arange(num_units, device=device) // upsample_rate
    return required_target_tokens(text_index, lagging_k, stride_n).clamp(1, num_text)
