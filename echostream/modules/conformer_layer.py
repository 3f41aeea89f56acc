"""The chunk-aware Conformer layer of the StreamSpeech baseline, with the parameter names of its checkpoints.

Dimensions: B batch, T encoder frames (40 ms), C channels.

Reference: Conformer (Gulati et al., Interspeech 2020); StreamSpeech (Zhang et al., ACL 2024), section 3.1.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from echostream.modules.chunk_causal_conv import ChunkCausalConv1d, ChunkConvState
from echostream.modules.relative_attention import build_self_attention
from echostream.streaming import KVHistory, StreamState


def visible_in_chunks(
    num_frames: int, chunk_size: int | None, padding_mask: Tensor, num_past_frames: int = 0
) -> Tensor:
    """Return which frames each frame may attend to: its own chunk and all earlier ones, without padding.

    Args:
        num_frames: T.
        chunk_size: chunk in encoder frames; None: everything is visible.
        padding_mask: True at padding, [B, T].
        num_past_frames: P, keys of earlier chunks that stand before the T frames.

    Returns:
        True where visible, bool [B or 1, 1, T or 1, P + T] (dim 2 queries, dim 3 keys).
    """
    visible = ~padding_mask[:, None, None, :]
    if chunk_size is not None:
        chunk = torch.arange(num_frames, device=padding_mask.device) // chunk_size
        visible = visible & (chunk.unsqueeze(1) >= chunk.unsqueeze(0))
    return F.pad(visible, (num_past_frames, 0), value=True)


class FeedForwardModule(nn.Module):
    """Pre-norm position-wise feed-forward network with SiLU, [B, T, C] -> [B, T, C].

    Args:
        channels: features of a frame.
        hidden_dim: hidden features.
        dropout: dropout after the activation and at the end.
    """

    def __init__(self, channels: int, hidden_dim: int, dropout: float) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(channels)
        self.w_1 = nn.Linear(channels, hidden_dim)
        self.w_2 = nn.Linear(hidden_dim, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the network to each frame."""
        hidden = self.dropout(F.silu(self.w_1(self.layer_norm(x))))
        y: Tensor = self.dropout(self.w_2(hidden))
        return y


class ConvolutionModule(nn.Module):
    """Gated depthwise convolution; frames of padding neither reach valid frames nor the batch statistics.

    Args:
        channels: features of a frame.
        kernel_size: taps of the depthwise convolution, an odd number.
        dropout: dropout at the end.
    """

    def __init__(self, channels: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(channels)
        self.pointwise_conv1 = nn.Conv1d(channels, 2 * channels, 1, bias=False)
        self.depthwise_conv = ChunkCausalConv1d(channels, channels, kernel_size, groups=channels, bias=False)
        self.batch_norm = nn.BatchNorm1d(channels)
        self.pointwise_conv2 = nn.Conv1d(channels, channels, 1, bias=False)
        self.dropout = nn.Dropout(dropout)

    def normalise(self, x: Tensor, padding_mask: Tensor) -> Tensor:
        """Apply batch normalisation, [B, C, T] -> [B, C, T], with the statistics of valid frames in
        training.
        """
        if not self.training or not bool(padding_mask.any()):
            normalised: Tensor = self.batch_norm(x)
            return normalised
        frames = x.transpose(1, 2)
        valid = ~padding_mask
        return (
            torch.zeros_like(frames)
            .masked_scatter(valid.unsqueeze(2), self.batch_norm(frames[valid]).to(frames.dtype))
            .transpose(1, 2)
        )

    def forward(
        self,
        x: Tensor,
        padding_mask: Tensor,
        chunk_size: int | None,
        state: ChunkConvState | None = None,
    ) -> Tensor:
        """Convolve along time, [B, T, C] -> [B, T, C].

        Args:
            x: frames.
            padding_mask: True at padding, [B, T].
            chunk_size: chunk of the depthwise convolution in encoder frames; None: an ordinary convolution.
            state: of a stream that x continues, in whole chunks or to its end.
        """
        x = self.layer_norm(x).transpose(1, 2)
        x = F.glu(self.pointwise_conv1(x), dim=1)
        x = self.depthwise_conv(x.masked_fill(padding_mask.unsqueeze(1), 0.0), chunk_size, state)
        x = self.pointwise_conv2(F.silu(self.normalise(x, padding_mask)))
        y: Tensor = self.dropout(x).transpose(1, 2)
        return y


@dataclass
class ConformerLayerState(StreamState):
    """What a Conformer layer remembers of the frames before.

    Args:
        attention: keys and values of all of them.
        convolution: the last inputs of the depthwise convolution.
    """

    attention: KVHistory
    convolution: ChunkConvState


class ConformerLayer(nn.Module):
    """Half feed-forward, self-attention, convolution, half feed-forward, norm; a valid frame never sees
    padding.

    Args:
        channels: features of a frame.
        ffn_dim: hidden features of the feed-forward networks.
        num_heads: attention heads.
        dropout: dropout everywhere.
        conv_kernel_size: taps of the depthwise convolution.
        attn_type: see :func:`~echostream.modules.relative_attention.build_self_attention`.
        pos_enc_type: "rel_pos", "rope" or "abs".
    """

    def __init__(
        self,
        channels: int,
        ffn_dim: int,
        num_heads: int,
        dropout: float,
        conv_kernel_size: int = 31,
        attn_type: str | None = "espnet",
        pos_enc_type: str = "rel_pos",
    ) -> None:
        super().__init__()
        self.ffn1 = FeedForwardModule(channels, ffn_dim, dropout)
        self.self_attn_layer_norm = nn.LayerNorm(channels)
        self.self_attn = build_self_attention(attn_type, pos_enc_type, channels, num_heads, dropout)
        self.self_attn_dropout = nn.Dropout(dropout)
        self.conv_module = ConvolutionModule(channels, conv_kernel_size, dropout)
        self.ffn2 = FeedForwardModule(channels, ffn_dim, dropout)
        self.final_layer_norm = nn.LayerNorm(channels)

    def init_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> ConformerLayerState:
        """Return the state of ``batch_size`` streams at their start."""
        attention, convolution = self.self_attn, self.conv_module.depthwise_conv
        return ConformerLayerState(
            KVHistory.create(batch_size, attention.num_heads, attention.head_dim, device=device, dtype=dtype),
            convolution.init_state(batch_size, device=device, dtype=dtype),
        )

    def forward(
        self,
        x: Tensor,
        visible: Tensor | None,
        padding_mask: Tensor,
        positions: Tensor | None = None,
        conv_chunk_size: int | None = None,
        state: ConformerLayerState | None = None,
    ) -> Tensor:
        """Encode frames, [B, T, C] -> [B, T, C].

        Args:
            x: frames; with a state, those that follow its P frames, in whole chunks or to the stream's end.
            visible: attention mask of :func:`visible_in_chunks`; None: everything is visible.
            padding_mask: True at padding, [B, T].
            positions: relative positions, [P + 2T - 1, C], where the attention uses them.
            conv_chunk_size: chunk of the convolution in encoder frames; None: an ordinary convolution.
            state: of a stream that x continues; it moves on.
        """
        history, conv_state = (None, None) if state is None else (state.attention, state.convolution)
        x = x + 0.5 * self.ffn1(x)
        attended = self.self_attn(self.self_attn_layer_norm(x), visible, positions, history)
        x = x + self.self_attn_dropout(attended)
        x = x + self.conv_module(x, padding_mask, conv_chunk_size, conv_state)
        x = x + 0.5 * self.ffn2(x)
        y: Tensor = self.final_layer_norm(x)
        return y
