"""Self-attention of the Conformer baseline, with the parameter names of ESPnet's and fairseq's layers.

Dimensions: B batch, H heads, T frames, P frames of the past (a stream's history; 0 without one), C channels,
    D = C / H.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from echostream.streaming import KVHistory


class _DistanceTable(NamedTuple):
    rows: Tensor  # sinusoids of the distances from the largest down to minus the number of future frames
    largest_distance: int
    num_future_frames: int


class RelativePositions:
    """Sinusoids of the distances from queries to keys, computed once for all calls and streams.

    Positive distances are keys in the past. Sines stand at even, cosines at odd channels. The table is a
    constant that grows by doubling, so that a step of a stream costs no more than a slice.

    Args:
        channels: C, an even number.
    Raises:
        ValueError: for an odd number of channels.
    """

    def __init__(self, channels: int) -> None:
        if channels % 2:
            raise ValueError(f"sinusoidal positions need an even number of channels, got {channels}")
        self._channels = channels
        self._table = _DistanceTable(torch.zeros(0, channels), -1, -1)

    def window(
        self, num_frames: int, num_past_frames: int = 0, *, device: torch.device, dtype: torch.dtype
    ) -> Tensor:
        """Return the sinusoids that ``num_frames`` queries need for themselves and the past as keys.

        Returns:
            distances ``num_past_frames + num_frames - 1`` … ``-(num_frames - 1)``, one a row, [P + 2T - 1, C]
            for P past frames and T frames.
        """
        largest_distance, num_future_frames = num_past_frames + num_frames - 1, num_frames - 1
        table = self._table
        is_long_enough = (
            largest_distance <= table.largest_distance and num_future_frames <= table.num_future_frames
        )
        if not is_long_enough or table.rows.device != device or table.rows.dtype != dtype:
            table = self._table = self._grown(
                max(2 * largest_distance, table.largest_distance),
                max(2 * num_future_frames, table.num_future_frames),
                device=device,
                dtype=dtype,
            )
        first = table.largest_distance - largest_distance
        return table.rows[first : first + num_past_frames + 2 * num_frames - 1]

    def _grown(
        self, largest_distance: int, num_future_frames: int, *, device: torch.device, dtype: torch.dtype
    ) -> _DistanceTable:
        with torch.inference_mode(False):  # training may use the table later
            distance = torch.arange(largest_distance, -num_future_frames - 1, -1, device=device).float()
            index = torch.arange(0, self._channels, 2, dtype=torch.float32, device=device)
            angle = distance.unsqueeze(1) * torch.exp(index * (-math.log(10000.0) / self._channels))
            rows = torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1).to(dtype)
        return _DistanceTable(rows, largest_distance, num_future_frames)


def scores_by_key(scores: Tensor) -> Tensor:
    """Reorder scores by distance, [..., T, P + 2T - 1], into scores by key, [..., T, P + T].

    The T queries are the last of the P + T keys. Entry (t, s) of the result is the score of distance
    P + t - s, which lies in column ``T - 1 - t + s``; in the flattened scores these entries are rows of a
    matrix with one column less.
    """
    num_frames, num_distances = scores.shape[-2:]
    if num_frames == 1:
        return scores
    row = num_distances - 1
    flat = scores.flatten(-2)[..., num_frames - 1 : num_frames - 1 + num_frames * row]
    return flat.unflatten(-1, (num_frames, row))[..., : num_distances - num_frames + 1]


def _after_history(k: Tensor, v: Tensor, history: KVHistory | None) -> tuple[Tensor, Tensor]:
    """Add keys and values to the history, and return all that it holds then."""
    if history is None:
        return k, v
    history.append(k, v)
    return history.keys, history.values


class SelfAttention(nn.Module):
    """Multi-head self-attention without positions, with ESPnet's parameter names.

    Args:
        channels: features of a frame.
        num_heads: attention heads.
        dropout: dropout of attention weights.

    Raises:
        ValueError: when the heads do not divide the channels.
    """

    names = ("linear_q", "linear_k", "linear_v", "linear_out")

    def __init__(self, channels: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        if channels % num_heads:
            raise ValueError(f"{num_heads} attention heads do not divide {channels} channels")
        self.num_heads = num_heads
        self.head_dim = channels // num_heads
        self.dropout_p = dropout
        for name in self.names:
            self.add_module(name, nn.Linear(channels, channels))

    def project(self, name: str, x: Tensor) -> Tensor:
        """Apply a projection and split it into heads, [B, T, C] -> [B, H, T, D]."""
        projected: Tensor = self.get_submodule(name)(x)
        return projected.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None) -> Tensor:
        """Attend and merge the heads, q [B, H, T, D], k and v [B, H, P + T, D] -> [B, T, C].

        The mask is additive, or True where visible; None: all is visible.
        """
        dropout = self.dropout_p if self.training else 0.0
        context = F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask, dropout_p=dropout)
        merged: Tensor = self.get_submodule(self.names[3])(context.transpose(1, 2).flatten(2))
        return merged

    def forward(
        self,
        x: Tensor,
        visible: Tensor | None,
        positions: Tensor | None = None,
        history: KVHistory | None = None,
    ) -> Tensor:
        """Attend to the visible frames, [B, T, C] -> [B, T, C].

        Args:
            x: frames.
            visible: True where a query (dim 2) may see a key (dim 3), [B or 1, 1, T, P + T]; no row may be
                all False. None: all is visible.
            positions: relative positions, [P + 2T - 1, C]; not used here.
            history: keys and values of the P frames before x; those of x are added.
        """
        q, k, v = (self.project(name, x) for name in self.names[:3])
        return self.attend(q, *_after_history(k, v, history), visible)


class FairseqSelfAttention(SelfAttention):
    """The same attention with fairseq's parameter names and initialisation (``--attn-type`` not given)."""

    names = ("q_proj", "k_proj", "v_proj", "out_proj")

    def __init__(self, channels: int, num_heads: int, dropout: float) -> None:
        super().__init__(channels, num_heads, dropout)
        for name, linear in self.named_children():
            assert isinstance(linear, nn.Linear)
            nn.init.xavier_uniform_(linear.weight, gain=1.0 if name == "out_proj" else 2**-0.5)
        nn.init.zeros_(self.get_submodule("out_proj").get_parameter("bias"))


class RotarySelfAttention(SelfAttention):
    """Self-attention whose queries, keys and values are rotated by position, head by head, before the
    projections.

    Reference: RoFormer (Su et al., 2021); ESPnet-style layers of fairseq rotate in front of the projections.
    """

    def __init__(self, channels: int, num_heads: int, dropout: float) -> None:
        super().__init__(channels, num_heads, dropout)
        self.rotary_emb = nn.Module()
        inverse = 1.0 / 10000 ** (torch.arange(0, self.head_dim, 2).float() / self.head_dim)
        self.rotary_emb.register_buffer("inv_freq", inverse)

    def rotate(self, x: Tensor, num_past_frames: int = 0) -> Tensor:
        """Rotate each head's features by the frame's position, [B, T, C] -> [B, T, C]."""
        inverse = self.rotary_emb.get_buffer("inv_freq")
        frames = torch.arange(num_past_frames, num_past_frames + x.size(1), device=x.device)
        angle = frames.to(inverse.dtype).unsqueeze(1) * inverse
        angle = torch.cat([angle, angle], dim=-1).unsqueeze(1)
        heads = x.unflatten(-1, (self.num_heads, self.head_dim))
        first, second = heads.chunk(2, dim=-1)
        turned = torch.cat([-second, first], dim=-1)
        return (heads * angle.cos().to(x) + turned * angle.sin().to(x)).flatten(2)

    def forward(
        self,
        x: Tensor,
        visible: Tensor | None,
        positions: Tensor | None = None,
        history: KVHistory | None = None,
    ) -> Tensor:
        """Attend to the visible frames; see :class:`SelfAttention`."""
        rotated = self.rotate(x, 0 if history is None else history.length)
        q, k, v = (
            self.project("linear_q", rotated),
            self.project("linear_k", rotated),
            self.project("linear_v", x),
        )
        return self.attend(q, *_after_history(k, v, history), visible)


class RelativeSelfAttention(SelfAttention):
    """Self-attention with Transformer-XL's relative positions: content and position scores, each with a bias.

    Reference: Transformer-XL (Dai et al., ACL 2019), section 3.3.
    """

    def __init__(self, channels: int, num_heads: int, dropout: float) -> None:
        super().__init__(channels, num_heads, dropout)
        self.linear_pos = nn.Linear(channels, channels, bias=False)
        self.pos_bias_u = nn.Parameter(nn.init.xavier_uniform_(torch.empty(num_heads, self.head_dim)))
        self.pos_bias_v = nn.Parameter(nn.init.xavier_uniform_(torch.empty(num_heads, self.head_dim)))

    def forward(
        self,
        x: Tensor,
        visible: Tensor | None,
        positions: Tensor | None = None,
        history: KVHistory | None = None,
    ) -> Tensor:
        """Attend to the visible frames; see :class:`SelfAttention`.

        Raises:
            ValueError: without relative positions.
        """
        if positions is None:
            raise ValueError("relative self-attention needs the relative positions of its frames")
        q, k, v = (self.project(name, x) for name in self.names[:3])
        by_distance = self._scores_by_distance(q, positions, few_queries=history is not None)
        bias = scores_by_key(by_distance) / math.sqrt(self.head_dim)
        if visible is not None:
            bias = bias.masked_fill(~visible, float("-inf"))
        return self.attend(q + self.pos_bias_u.unsqueeze(1), *_after_history(k, v, history), bias)

    def _scores_by_distance(self, q: Tensor, positions: Tensor, *, few_queries: bool) -> Tensor:
        """Return the scores of each query with each position, [B, H, T, P + 2T - 1]."""
        q = q + self.pos_bias_v.unsqueeze(1)
        if few_queries:
            # A step of a stream has few queries and ever more positions: project the queries instead.
            weight = self.linear_pos.weight.unflatten(0, (self.num_heads, self.head_dim))
            return (q @ weight) @ positions.T
        p = self.linear_pos(positions).unflatten(-1, (self.num_heads, self.head_dim))
        return q @ p.permute(1, 2, 0)


def build_self_attention(
    attn_type: str | None, pos_enc_type: str, channels: int, num_heads: int, dropout: float
) -> SelfAttention:
    """Return the attention for StreamSpeech's ``--attn-type`` and ``--pos-enc-type``.

    Raises:
        ValueError: for a combination that does not exist.
    """
    if attn_type == "espnet":
        kinds = {"rel_pos": RelativeSelfAttention, "rope": RotarySelfAttention, "abs": SelfAttention}
    elif attn_type in (None, "None", "fairseq"):
        kinds = {"abs": FairseqSelfAttention}
    else:
        raise ValueError(f"--attn-type {attn_type} is unknown: give espnet, or leave the flag out")
    if pos_enc_type not in kinds:
        raise ValueError(
            f"--pos-enc-type {pos_enc_type} is not one of {sorted(kinds)} for --attn-type {attn_type}"
        )
    return kinds[pos_enc_type](channels, num_heads, dropout)
