"""Speech encoder of EchoStream: causal subsampler and Emformer, behind fairseq's encoder interface."""

from __future__ import annotations

import contextlib
import math
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from fairseq.models import FairseqEncoder
from torch import Tensor, nn

from echostream.modules.emformer import EmformerEncoder, EmformerState
from echostream.modules.subsampler import (
    SUBSAMPLING_FACTOR,
    CausalConv1dSubsampler,
    CausalConv2dSubsampler,
    SubsamplerState,
)
from echostream.streaming import StreamState

__all__ = ["EchoStreamEncoderState", "EchoStreamSpeechEncoder", "parse_segment_lengths"]


@dataclass
class EchoStreamEncoderState(StreamState):
    """State of :class:`EchoStreamSpeechEncoder`.

    Args:
        subsampler: inputs that the convolutions still read.
        emformer: waiting frames and attention caches.
        has_begun: whether the lead-in went in.
        num_encoded_frames: encoder frames so far, those of the lead-in included.
    """

    subsampler: SubsamplerState
    emformer: EmformerState
    has_begun: bool = False
    num_encoded_frames: int = 0


class EchoStreamSpeechEncoder(FairseqEncoder):
    """Filterbank frames to encoder frames; streaming equals forward, however the input is split.

    A segment waits for its right context. So that the wait ends together with a chunk of the caller, not a
    chunk later, every utterance has a lead-in: ``right_context_length`` encoder frames of zeros, which are
    not in the output. The first segment is shorter by them, and each segment's right context ends a chunk.

    Dimensions: B batch; T fbank frames (10 ms); T' = ceil(T / 4) encoder frames (40 ms);
        C ``encoder_embed_dim``.

    Args:
        args: namespace with fairseq's names: ``input_feat_per_channel``, ``input_channels``, ``conv_version``
            ("conv2d", also called "convtransformer", or "s2t_transformer" for Conv1d), ``conv_kernel_sizes``,
            ``conv_channels``, ``conv_out_channels``, ``encoder_embed_dim``, ``encoder_ffn_embed_dim``,
            ``encoder_attention_heads``, ``encoder_layers``, ``dropout``, ``activation_fn``,
            ``no_scale_embedding``; the Emformer's ``segment_length``, ``left_context_length``,
            ``right_context_length`` (encoder frames), ``memory_size`` (vectors). Optional:
            ``segment_lengths`` (trained lengths, "4,8,16" or a sequence; default ``segment_length`` alone),
            ``memory_mode``, ``tanh_on_mem``, ``relative_position_bias``, ``emformer_conv_kernel_size``
            (encoder frames, 0 is without), ``input_projection`` (a linear layer behind the subsampler, which
            a warm start from StreamSpeech fills), ``max_source_positions``, ``encoder_freezing_updates``.
    Raises:
        ValueError: for an unknown ``conv_version``, or any size or option that a part refuses.
    """

    def __init__(self, args: Namespace) -> None:
        super().__init__(None)
        self.embed_dim: int = args.encoder_embed_dim
        self.embed_scale = 1.0 if args.no_scale_embedding else math.sqrt(self.embed_dim)
        self.subsample = build_subsampler(args)
        has_projection = getattr(args, "input_projection", False)
        self.linear = nn.Linear(self.embed_dim, self.embed_dim) if has_projection else nn.Identity()
        self.dropout = nn.Dropout(args.dropout)
        self.emformer = EmformerEncoder(
            self.embed_dim,
            args.encoder_attention_heads,
            args.encoder_ffn_embed_dim,
            args.encoder_layers,
            args.segment_length,
            args.left_context_length,
            right_context_length=args.right_context_length,
            memory_size=args.memory_size,
            dropout=args.dropout,
            activation=args.activation_fn,
            memory_mode=getattr(args, "memory_mode", "attention"),
            tanh_on_mem=getattr(args, "tanh_on_mem", False),
            relative_position_bias=getattr(args, "relative_position_bias", False),
            conv_kernel_size=getattr(args, "emformer_conv_kernel_size", 0),
        )
        self.segment_lengths = parse_segment_lengths(
            getattr(args, "segment_lengths", None), default=args.segment_length
        )
        self.max_source_positions = getattr(args, "max_source_positions", None)
        self.freezing_updates: int = getattr(args, "encoder_freezing_updates", 0) or 0
        self.num_updates = 0
        self._default_state: EchoStreamEncoderState | None = None

    def forward(
        self,
        src_tokens: Tensor,
        src_lengths: Tensor,
        tgt_speaker: Tensor | None = None,
        return_all_hiddens: bool = False,
        chunk_size: int | None = None,
    ) -> dict[str, list[Tensor]]:
        """Encode whole utterances.

        Args:
            src_tokens: ``[B, T, input_feat_per_channel * input_channels]``, filterbank frames.
            src_lengths: ``[B]``, valid fbank frames of each row.
            tgt_speaker: must be None; the translation has one voice.
            return_all_hiddens: also return the output of every layer in ``encoder_states``.
            chunk_size: segment length of this call in encoder frames; None is the configured one.
        Returns:
            fairseq's dict: ``encoder_out [T', B, C]``, ``encoder_padding_mask [B, T']`` (no entry when
            nothing is padded), ``encoder_states`` each ``[T', B, C]``, and empty ``encoder_embedding``,
            ``src_tokens``, ``src_lengths``.
        Raises:
            ValueError: if ``tgt_speaker`` is given, or a shape, a length or ``chunk_size`` does not fit.
        """
        if tgt_speaker is not None:
            raise ValueError("this encoder has no speaker embedding; leave tgt_speaker out")
        is_frozen = self.num_updates < self.freezing_updates
        with torch.no_grad() if is_frozen else contextlib.nullcontext():
            x, lengths = self.subsample(
                self._with_lead_in(src_tokens), src_lengths + SUBSAMPLING_FACTOR * self.lead_in_length
            )
            x = self.dropout(self.linear(self.embed_scale * x))
            if return_all_hiddens:
                states, _ = self.emformer.forward_layers(x, lengths, segment_length=chunk_size)
                encoded = states[-1]
            else:
                states = []
                encoded, _ = self.emformer(x, lengths, segment_length=chunk_size)
        states = [state[:, self.lead_in_length :] for state in states]
        encoded, lengths = encoded[:, self.lead_in_length :], lengths - self.lead_in_length
        positions = torch.arange(encoded.size(1), device=encoded.device)
        padding_mask = positions >= lengths.to(encoded.device).unsqueeze(1)
        return {
            "encoder_out": [encoded.transpose(0, 1)],
            "encoder_padding_mask": [padding_mask] if bool(padding_mask.any()) else [],
            "encoder_embedding": [],
            "encoder_states": [state.transpose(0, 1) for state in states],
            "src_tokens": [],
            "src_lengths": [],
        }

    def init_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> EchoStreamEncoderState:
        """Return the state of ``batch_size`` streams at their start, by default on the model's device."""
        parameter = next(self.parameters())
        device = parameter.device if device is None else device
        dtype = parameter.dtype if dtype is None else dtype
        return EchoStreamEncoderState(
            subsampler=self.subsample.init_state(batch_size, device=device, dtype=dtype),
            emformer=self.emformer.init_state(batch_size, device=device, dtype=dtype),
        )

    @torch.no_grad()
    def streaming_forward(
        self,
        src_tokens: Tensor,
        state: EchoStreamEncoderState | None = None,
        *,
        is_final: bool = False,
        chunk_size: int | None = None,
    ) -> Tensor:
        """Encode the next filterbank frames, without gradients.

        Args:
            src_tokens: ``[B, t, input_feat_per_channel * input_channels]``, t >= 0.
            state: from :meth:`init_state`, changed in place; None is the encoder's own state, which
                :meth:`reset_cache` clears.
            is_final: no frame follows: encode what is left too.
            chunk_size: length of the segments that start now, in encoder frames; None is the configured one.
        Returns:
            ``[B, t', C]``, t' >= 0: the encoder frames of the segments that are complete.
        Raises:
            RuntimeError: in training mode, where dropout would make streaming differ from itself.
            ValueError: if a shape or ``chunk_size`` does not fit.
            StreamFinishedError: if the stream was closed already.
        """
        if self.training:
            raise RuntimeError("streaming needs evaluation mode; call eval() on the model first")
        if state is None:
            if self._default_state is None:
                self._default_state = self.init_state(src_tokens.size(0))
            state = self._default_state
        segment_length = self.emformer.resolve_segment_length(chunk_size)
        if not state.has_begun:
            src_tokens = self._with_lead_in(src_tokens)
        x = self.subsample.streaming_forward(src_tokens, state.subsampler, is_final=is_final)
        encoded = self.emformer.streaming_forward(
            self.linear(self.embed_scale * x),
            state.emformer,
            is_final=is_final,
            segment_length=segment_length,
        )
        state.begin_step(is_final=is_final)
        state.has_begun = True
        num_of_lead_in = max(0, self.lead_in_length - state.num_encoded_frames)
        state.num_encoded_frames += encoded.size(1)
        return encoded[:, num_of_lead_in:]

    @property
    def lead_in_length(self) -> int:
        """Encoder frames of zeros before each utterance: as many as a segment waits for after its end."""
        return self.emformer.right_context_length

    def _with_lead_in(self, src_tokens: Tensor) -> Tensor:
        return nn.functional.pad(src_tokens, (0, 0, SUBSAMPLING_FACTOR * self.lead_in_length, 0))

    def reset_cache(self) -> None:
        """Forget the encoder's own stream, so that the next utterance starts afresh."""
        self._default_state = None

    def reorder_encoder_out(
        self, encoder_out: dict[str, list[Tensor]], new_order: Tensor
    ) -> dict[str, list[Tensor]]:
        """Return ``encoder_out`` with its rows taken in ``new_order [B']``; the argument is left as it is."""
        batch_first = ("encoder_padding_mask", "encoder_embedding", "src_tokens", "src_lengths")
        dimensions = {"encoder_out": 1, "encoder_states": 1, **dict.fromkeys(batch_first, 0)}
        return {
            name: [tensor.index_select(dimensions[name], new_order) for tensor in tensors]
            for name, tensors in encoder_out.items()
        }

    def set_num_updates(self, num_updates: int) -> None:
        """Learn how many updates the trainer has made; the first ones may leave the encoder frozen."""
        super().set_num_updates(num_updates)
        self.num_updates = num_updates

    def max_positions(self) -> Any:
        """Return the largest number of fbank frames that training accepts."""
        return super().max_positions() if self.max_source_positions is None else self.max_source_positions


def build_subsampler(args: Namespace) -> CausalConv1dSubsampler | CausalConv2dSubsampler:
    """Build the causal subsampler that ``args.conv_version`` names.

    Raises:
        ValueError: if the name is unknown or the kernel sizes cannot be read.
    """
    if args.conv_version in ("conv2d", "convtransformer"):
        return CausalConv2dSubsampler(
            args.input_channels, args.input_feat_per_channel, args.conv_out_channels, args.encoder_embed_dim
        )
    if args.conv_version == "s2t_transformer":
        return CausalConv1dSubsampler(
            args.input_channels * args.input_feat_per_channel,
            args.conv_channels,
            args.encoder_embed_dim,
            _parse_integers("conv_kernel_sizes", args.conv_kernel_sizes),
        )
    raise ValueError(
        f"unknown conv_version {args.conv_version!r}; "
        "choose 'conv2d' (also called 'convtransformer') or 's2t_transformer'"
    )


def parse_segment_lengths(value: str | Sequence[int] | None, *, default: int) -> tuple[int, ...]:
    """Read the trained segment lengths, in encoder frames, from "4,8,16" or a sequence; none is
    ``(default,)``.

    Raises:
        ValueError: if it is not a list of positive integers.
    """
    if value is None or len(value) == 0:
        return (default,)
    lengths = _parse_integers("segment_lengths", value)
    if min(lengths) < 1:
        raise ValueError(f"segment_lengths must be positive encoder frames, got {value!r}")
    return lengths


def _parse_integers(name: str, value: str | Sequence[int]) -> tuple[int, ...]:
    items: Sequence[Any] = value.split(",") if isinstance(value, str) else value
    try:
        return tuple(int(item) for item in items)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be integers separated by commas, got {value!r}") from error
