"""The baseline's speech encoder: subsampling and chunk-aware Conformer layers, as a fairseq encoder."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from fairseq.models import FairseqEncoder
from fairseq.models.speech_to_text import S2TTransformerEncoder
from fairseq.modules import PositionalEmbedding
from torch import Tensor, nn

from echostream.modules.chunk_causal_conv import (
    ChunkConv1dSubsampler,
    ChunkConvState,
    Conv2dSubsampler,
    padding_mask,
)
from echostream.modules.chunk_size import OFFLINE_CHUNK_SIZE, block_size_for, chunk_or_none, conv_chunk_for
from echostream.modules.conformer_layer import ConformerLayer, ConformerLayerState, visible_in_chunks
from echostream.modules.relative_attention import RelativePositions
from echostream.streaming import SegmentBuffer, StreamState

Chunks = tuple[int | None, int | None]
"""Chunks of attention and convolutions, in frames of their inputs; None means offline."""

_ENDLESS = 1 << 62  # fbank frames that a block without a border waits for


@dataclass
class StreamSpeechEncoderState(StreamState):
    """State of :class:`StreamSpeechEncoder`; what attention remembers grows with the stream.

    Args:
        waiting: fbank frames of the block that is not complete.
        subsampler: last inputs of the subsampler's convolutions.
        layers: one state for each Conformer layer.
        chunk_size: attention chunk of the waiting block.
        conv_chunk_size: its convolution chunk.
    """

    waiting: SegmentBuffer
    subsampler: list[ChunkConvState]
    layers: list[ConformerLayerState]
    chunk_size: int = OFFLINE_CHUNK_SIZE
    conv_chunk_size: int = OFFLINE_CHUNK_SIZE

    @property
    def num_finished_frames(self) -> int:
        """Encoder frames that came out so far."""
        return self.layers[0].attention.length

    @contextlib.contextmanager
    def undone(self) -> Iterator[None]:
        """Undo at the end what was encoded within."""
        convolutions = [*self.subsampler, *(layer.convolution for layer in self.layers)]
        pasts, length = [conv.past for conv in convolutions], self.num_finished_frames
        try:
            yield
        finally:
            for conv, past in zip(convolutions, pasts, strict=True):
                conv.past = past
            for layer in self.layers:
                layer.attention.truncate(length)


def build_subsampler(args) -> ChunkConv1dSubsampler | Conv2dSubsampler:
    """Return the 4x subsampler that ``--conv-version`` names.

    Raises:
        ValueError: for an unknown version.
    """
    num_features = args.input_feat_per_channel * args.input_channels
    if args.conv_version == "s2t_transformer":
        kernel_sizes = [int(size) for size in args.conv_kernel_sizes.split(",")]
        return ChunkConv1dSubsampler(num_features, args.conv_channels, args.encoder_embed_dim, kernel_sizes)
    if args.conv_version == "convtransformer":
        return Conv2dSubsampler(num_features, args.conv_out_channels, args.encoder_embed_dim)
    raise ValueError(f"--conv-version {args.conv_version} is unknown: use s2t_transformer or convtransformer")


class StreamSpeechEncoder(FairseqEncoder):
    """Chunk-based Conformer: an encoder frame sees its own chunk and all that came before, nothing after.

    ``args.chunk_size`` (encoder frames of 40 ms) holds for attention and convolutions unless ``forward`` is
    told otherwise; zero or less, and 999 or more, mean offline. In a stream, frames come out, each once and
    final, where the chunks of attention and convolutions end together: that stretch is a block. Frames of the
    block under way can be had before their time; they change until it is complete.

    Dimensions: B batch, T fbank frames (10 ms), T' encoder frames (40 ms), C features.

    Reference: StreamSpeech (Zhang et al., ACL 2024), section 3.1.
    Differs from the public code: padding never reaches valid frames, and a changed chunk size holds at once.
    """

    lead_in_length = 0  # a block waits for nothing after its end

    def __init__(self, args) -> None:
        super().__init__(None)
        dim = args.encoder_embed_dim
        self.chunk_size = int(args.chunk_size)
        if chunk_or_none(self.chunk_size) is not None and self.chunk_size % 2:
            raise ValueError(
                f"--chunk-size must be even, since the front end halves the frame rate; got {args.chunk_size}"
            )
        self.encoder_freezing_updates = int(getattr(args, "encoder_freezing_updates", 0) or 0)
        self.num_updates = 0
        self.embed_scale = 1.0 if args.no_scale_embedding else math.sqrt(dim)
        self.pos_enc_type = args.pos_enc_type or "abs"
        self.num_features = args.input_feat_per_channel * args.input_channels
        self.subsample = build_subsampler(args)
        self.embed_positions = (
            PositionalEmbedding(args.max_source_positions, dim, padding_idx=1)
            if self.pos_enc_type == "abs"
            else None
        )
        self.relative_positions = RelativePositions(dim) if self.pos_enc_type == "rel_pos" else None
        self.linear = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(args.dropout)
        self.conformer_layers = nn.ModuleList(
            ConformerLayer(
                dim,
                args.encoder_ffn_embed_dim,
                args.encoder_attention_heads,
                args.dropout,
                args.depthwise_conv_kernel_size,
                args.attn_type,
                self.pos_enc_type,
            )
            for _ in range(args.encoder_layers)
        )
        self.spk_emb_proj = None
        if getattr(args, "target_speaker_embed", False):
            self.spk_emb_proj = nn.Linear(dim + args.speaker_embed_dim, dim)

    def resolve_chunks(self, chunk_size: int | None = None, conv_chunk_size: int | None = None) -> Chunks:
        """Return the chunks of attention and convolutions, in frames of their inputs; None means offline.

        Args:
            chunk_size: attention chunk in encoder frames; None: the configured one, for convolutions too.
            conv_chunk_size: convolution chunk; None: the configured one, or with a ``chunk_size`` 16 from a
                chunk of 16 on, 8 below it, and offline when it is offline.
        """
        if conv_chunk_size is None:
            conv_chunk_size = self.chunk_size if chunk_size is None else conv_chunk_for(chunk_size)
        return chunk_or_none(self.chunk_size if chunk_size is None else chunk_size), chunk_or_none(
            conv_chunk_size
        )

    def forward(
        self,
        src_tokens: Tensor,
        src_lengths: Tensor,
        tgt_speaker: Tensor | None = None,
        return_all_hiddens: bool = False,
        chunk_size: int | None = None,
        conv_chunk_size: int | None = None,
    ) -> dict[str, list[Tensor]]:
        """Encode speech.

        Args:
            src_tokens: fbank, [B, T, 80].
            src_lengths: valid fbank frames, [B].
            tgt_speaker: target speaker embedding, [B, speaker_embed_dim], for models built with one.
            return_all_hiddens: whether to return the output of each layer.
            chunk_size: see :meth:`resolve_chunks`.
            conv_chunk_size: see :meth:`resolve_chunks`.

        Returns:
            fairseq's encoder dictionary: ``encoder_out`` [T', B, C], ``encoder_padding_mask`` [B, T'] (an
            empty list when nothing is padded), ``encoder_states``.

        Raises:
            ValueError: for an empty source.
        """
        if src_tokens.size(1) == 0 or bool((src_lengths < 1).any()):
            raise ValueError("a source has no fbank frames: audio shorter than one window of 25 ms?")
        frozen = self.num_updates < self.encoder_freezing_updates
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            chunks = self.resolve_chunks(chunk_size, conv_chunk_size)
            x, mask, states = self._encode(src_tokens, src_lengths, chunks, return_all_hiddens)
        if self.spk_emb_proj is not None:
            if tgt_speaker is None:
                raise ValueError("this model needs a target speaker embedding, and none was given")
            speaker = tgt_speaker.view(1, x.size(1), -1).expand(x.size(0), -1, -1)
            x = self.spk_emb_proj(torch.cat([x, speaker], dim=2))
        return {
            "encoder_out": [x],
            "encoder_padding_mask": [mask] if bool(mask.any()) else [],
            "encoder_embedding": [],
            "encoder_states": states,
            "src_tokens": [],
            "src_lengths": [],
        }

    def init_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> StreamSpeechEncoderState:
        """Return the state of ``batch_size`` streams at their start, by default on the model's device.

        Raises:
            ValueError: for an encoder that cannot stream.
        """
        if not isinstance(self.subsample, ChunkConv1dSubsampler):
            raise ValueError(
                "an encoder with --conv-version convtransformer cannot stream: its Conv2d subsampler looks "
                "ahead, beyond every chunk; encode the whole source at each step, or use s2t_transformer"
            )
        if self.spk_emb_proj is not None:
            raise ValueError(
                "an encoder with a target speaker embedding cannot stream: encode the whole source at each "
                "step"
            )
        device = self.linear.weight.device if device is None else device
        dtype = self.linear.weight.dtype if dtype is None else dtype
        return StreamSpeechEncoderState(
            SegmentBuffer.create(batch_size, self.num_features, device=device, dtype=dtype),
            self.subsample.init_state(batch_size, device=device, dtype=dtype),
            [layer.init_state(batch_size, device=device, dtype=dtype) for layer in self._layers],
        )

    @torch.no_grad()
    def streaming_forward(
        self,
        src_tokens: Tensor,
        state: StreamSpeechEncoderState,
        *,
        is_final: bool = False,
        chunk_size: int | None = None,
        conv_chunk_size: int | None = None,
    ) -> Tensor:
        """Encode the next fbank frames, without gradients; a block comes out when it is complete.

        Args:
            src_tokens: next fbank frames of all streams, [B, t, 80], t >= 0.
            state: from :meth:`init_state`, changed in place.
            is_final: no frame follows: encode what is left too.
            chunk_size: see :meth:`resolve_chunks`; a change holds from the next block on. Offline, the stream
                is one block.
            conv_chunk_size: see :meth:`resolve_chunks`.

        Returns:
            frames of completed blocks, [B, t', C], equal to those of :meth:`forward`.

        Raises:
            RuntimeError: in training mode.
            ValueError: when a shape does not fit, or the convolutions cannot work in such chunks.
            StreamFinishedError: if the stream was closed already.
        """
        self._check_streaming()
        if src_tokens.dim() != 3:
            raise ValueError(
                f"expected fbank frames [B, t, {self.num_features}], got {tuple(src_tokens.shape)}"
            )
        chunks = self.resolve_chunks(chunk_size, conv_chunk_size)
        had_waiting = state.waiting.frames.size(1) > 0
        blocks = state.waiting.push(
            src_tokens,
            segment_length=self._block_fbank_frames(chunks),
            right_context_length=0,
            is_final=is_final,
        )
        state.begin_step(is_final=is_final)
        outputs = [state.waiting.frames.new_zeros(src_tokens.size(0), 0, self.linear.out_features)]
        for index, (block, _) in enumerate(blocks):
            of_block = self._waiting_chunks(state) if had_waiting and index == 0 else chunks
            outputs.append(self._encode_block(block, of_block, state))
        if blocks or not had_waiting:
            state.chunk_size, state.conv_chunk_size = (chunk or OFFLINE_CHUNK_SIZE for chunk in chunks)
        return torch.cat(outputs, dim=1)

    @torch.no_grad()
    def provisional(self, state: StreamSpeechEncoderState) -> Tensor:
        """Return the frames of the block under way, as if the stream ended here, [B, t'', C], t'' >= 0.

        They follow the frames that came out so far; the state stays as it is.

        Raises:
            RuntimeError: in training mode.
        """
        self._check_streaming()
        block = state.waiting.frames
        if block.size(1) == 0:
            return block.new_zeros(block.size(0), 0, self.linear.out_features)
        with state.undone():
            return self._encode_block(block, self._waiting_chunks(state), state)

    @property
    def _layers(self) -> list[ConformerLayer]:
        return [layer for layer in self.conformer_layers if isinstance(layer, ConformerLayer)]

    def _check_streaming(self) -> None:
        if self.training:
            raise RuntimeError(
                "streaming needs evaluation mode, where a frame depends on neither dropout nor other frames' "
                "statistics: call eval() first"
            )

    def _block_fbank_frames(self, chunks: Chunks) -> int:
        """Length of the shortest stretch that ends with a chunk of attention and of every convolution."""
        assert isinstance(self.subsample, ChunkConv1dSubsampler)
        self.subsample.check_chunk_size(chunks[1])
        block_size = block_size_for(*chunks)
        return _ENDLESS if block_size is None else block_size * self.subsample.factor

    @staticmethod
    def _waiting_chunks(state: StreamSpeechEncoderState) -> Chunks:
        return chunk_or_none(state.chunk_size), chunk_or_none(state.conv_chunk_size)

    def _encode_block(self, block: Tensor, chunks: Chunks, state: StreamSpeechEncoderState) -> Tensor:
        lengths = torch.full((block.size(0),), block.size(1), device=block.device)
        x, _, _ = self._encode(block, lengths, chunks, state=state)
        return x.transpose(0, 1)

    def _encode(
        self,
        src_tokens: Tensor,
        src_lengths: Tensor,
        chunks: Chunks,
        return_all_hiddens: bool = False,
        state: StreamSpeechEncoderState | None = None,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Encode whole sources, or with a state the next blocks of streams."""
        chunk_size, conv_chunk_size = chunks
        num_past_frames = 0 if state is None else state.num_finished_frames
        if isinstance(self.subsample, ChunkConv1dSubsampler):
            conv_states = None if state is None else state.subsampler
            x, lengths = self.subsample(src_tokens, src_lengths, conv_chunk_size, conv_states)
        else:
            x, lengths = self.subsample(src_tokens, src_lengths)
        mask = padding_mask(lengths, x.size(1))
        x = self.embed_scale * x
        positions = None
        if self.relative_positions is not None:
            positions = self.relative_positions.window(
                x.size(1), num_past_frames, device=x.device, dtype=x.dtype
            )
        elif self.embed_positions is not None:
            x = x + self._absolute_positions(num_past_frames, x.size(1))
        x = self.dropout(self.linear(x))
        visible = None
        if state is None or (chunk_size is not None and x.size(1) > chunk_size):
            visible = visible_in_chunks(x.size(1), chunk_size, mask, num_past_frames)
        states = []
        for index, layer in enumerate(self.conformer_layers):
            layer_state = None if state is None else state.layers[index]
            x = layer(x, visible, mask, positions, conv_chunk_size, layer_state)
            if return_all_hiddens:
                states.append(x.transpose(0, 1))
        return x.transpose(0, 1), mask, states

    def _absolute_positions(self, num_past_frames: int, num_frames: int) -> Tensor:
        """Return the sinusoids of the next frames, [T, C]; fairseq counts from ``padding_idx + 1``."""
        assert self.embed_positions is not None
        begin = self.embed_positions.padding_idx + 1 + num_past_frames
        end = begin + num_frames
        if end > self.embed_positions.weights.size(0):
            grown = torch.zeros(1, 2 * end, device=self.embed_positions.weights.device)
            self.embed_positions(grown)  # its table follows the longest input
        return self.embed_positions.weights[begin:end]

    def reorder_encoder_out(self, encoder_out, new_order):
        """Return the encoder dictionary with its batch rows in a new order, [B']."""
        return S2TTransformerEncoder.reorder_encoder_out(self, encoder_out, new_order)

    def set_num_updates(self, num_updates: int) -> None:
        """Note the number of updates, which ends the freezing of the encoder."""
        self.num_updates = num_updates
