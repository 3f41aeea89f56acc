"""Self-attention of the Conformer baseline, with the parameter names of ESPnet's and fairseq's layers.

Dimensions: B batch, H heads, T frames, C channels, D = C / H.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def relative_positions(num_frames: int, channels: int, *, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return sinusoids of the distances ``num_frames - 1`` … ``-(num_frames - 1)``, [2T - 1, C].

    Positive distances are keys in the past. Sines stand at even, cosines at odd channels.

    Raises:
        ValueError: for an odd number of channels.
    """
    if channels % 2:
        raise ValueError(f"sinusoidal positions need an even number of channels, got {channels}")
    distance = torch.arange(num_frames - 1, -num_frames, -1, dtype=torch.float32, device=device)
    index = torch.arange(0, channels, 2, dtype=torch.float32, device=device)
    angle = distance.unsqueeze(1) * torch.exp(index * (-math.log(10000.0) / channels))
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1).to(dtype)


def scores_by_key(scores: Tensor) -> Tensor:
    """Reorder scores by distance, [..., T, 2T - 1], into scores by key, [..., T, T].

    Entry (t, s) of the result is the score of distance t - s, which lies in column ``T - 1 - t + s``; in the
    flattened scores these entries are rows of a matrix with one column less.
    """
    num_frames = scores.size(-2)
    if num_frames == 1:
        return scores
    row = 2 * num_frames - 2
    flat = scores.flatten(-2)[..., num_frames - 1 : num_frames - 1 + num_frames * row]
    return flat.unflatten(-1, (num_frames, row))[..., :num_frames]


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

    def attend(self, q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor) -> Tensor:
        """Attend and merge the heads, 3 x [B, H, T, D] -> [B, T, C]; the mask is additive, or True where
        visible.
        """
        dropout = self.dropout_p if self.training else 0.0
        context = F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask, dropout_p=dropout)
        merged: Tensor = self.get_submodule(self.names[3])(context.transpose(1, 2).flatten(2))
        return merged

    def forward(self, x: Tensor, visible: Tensor, positions: Tensor | None = None) -> Tensor:
        """Attend to the visible frames, [B, T, C] -> [B, T, C].

        Args:
            x: frames.
            visible: True where a query (dim 2) may see a key (dim 3), [B or 1, 1, T, T]; no row may be all
                False.
            positions: relative positions, [2T - 1, C]; not used here.
        """
        q, k, v = (self.project(name, x) for name in self.names[:3])
        return self.attend(q, k, v, visible)


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

    def rotate(self, x: Tensor) -> Tensor:
        """Rotate each head's features by the frame's position, [B, T, C] -> [B, T, C]."""
        inverse = self.rotary_emb.get_buffer("inv_freq")
        angle = torch.arange(x.size(1), device=x.device, dtype=inverse.dtype).unsqueeze(1) * inverse
        angle = torch.cat([angle, angle], dim=-1).unsqueeze(1)
        heads = x.unflatten(-1, (self.num_heads, self.head_dim))
        first, second = heads.chunk(2, dim=-1)
        turned = torch.cat([-second, first], dim=-1)
        return (heads * angle.cos().to(x) + turned * angle.sin().to(x)).flatten(2)

    def forward(self, x: Tensor, visible: Tensor, positions: Tensor | None = None) -> Tensor:
        """Attend to the visible frames; see :class:`SelfAttention`."""
        rotated = self.rotate(x)
        q, k, v = (
            self.project("linear_q", rotated),
            self.project("linear_k", rotated),
            self.project("linear_v", x),
        )
        return self.attend(q, k, v, visible)


class RelativeSelfAttention(SelfAttention):
    """Self-attention with Transformer-XL's relative positions: content and position scores, each with a bias.

    Reference: Transformer-XL (Dai et al., ACL 2019), section 3.3.
    """

    def __init__(self, channels: int, num_heads: int, dropout: float) -> None:
        super().__init__(channels, num_heads, dropout)
        self.linear_pos = nn.Linear(channels, channels, bias=False)
        self.pos_bias_u = nn.Parameter(nn.init.xavier_uniform_(torch.empty(num_heads, self.head_dim)))
        self.pos_bias_v = nn.Parameter(nn.init.xavier_uniform_(torch.empty(num_heads, self.head_dim)))

    def forward(self, x: Tensor, visible: Tensor, positions: Tensor | None = None) -> Tensor:
        """Attend to the visible frames; see :class:`SelfAttention`.

        Raises:
            ValueError: without relative positions.
        """
        if positions is None:
            raise ValueError("relative self-attention needs the relative positions of its frames")
        q, k, v = (self.project(name, x) for name in self.names[:3])
        p = self.linear_pos(positions).unflatten(-1, (self.num_heads, self.head_dim)).transpose(0, 1)
        by_distance = (q + self.pos_bias_v.unsqueeze(1)) @ p.transpose(1, 2)
        bias = scores_by_key(by_distance) / math.sqrt(self.head_dim)
        bias = bias.masked_fill(~visible, float("-inf"))
        return self.attend(q + self.pos_bias_u.unsqueeze(1), k, v, bias)


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
