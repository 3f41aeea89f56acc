"""The baseline's speech encoder: subsampling and chunk-aware Conformer layers, as a fairseq encoder."""

import math

import torch
from fairseq.models import FairseqEncoder
from fairseq.models.speech_to_text import S2TTransformerEncoder
from fairseq.modules import PositionalEmbedding
from torch import Tensor, nn

from echostream.modules.chunk_causal_conv import ChunkConv1dSubsampler, Conv2dSubsampler, padding_mask
from echostream.modules.chunk_size import chunk_or_none, conv_chunk_for
from echostream.modules.conformer_layer import ConformerLayer, visible_in_chunks
from echostream.modules.relative_attention import relative_positions


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
    told otherwise; zero or less, and 999 or more, mean offline. Nothing of one call is kept for the next.

    Dimensions: B batch, T fbank frames (10 ms), T' encoder frames (40 ms), C features.

    Reference: StreamSpeech (Zhang et al., ACL 2024), section 3.1.
    Differs from the public code: padding never reaches valid frames, and a changed chunk size holds at once.
    """

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
        self.subsample = build_subsampler(args)
        self.embed_positions = (
            PositionalEmbedding(args.max_source_positions, dim, padding_idx=1)
            if self.pos_enc_type == "abs"
            else None
        )
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

    def resolve_chunks(
        self, chunk_size: int | None = None, conv_chunk_size: int | None = None
    ) -> tuple[int | None, int | None]:
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

    def _encode(
        self,
        src_tokens: Tensor,
        src_lengths: Tensor,
        chunks: tuple[int | None, int | None],
        return_all_hiddens: bool,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        chunk_size, conv_chunk_size = chunks
        x, lengths = self.subsample(src_tokens, src_lengths, conv_chunk_size)
        mask = padding_mask(lengths, x.size(1))
        x = self.embed_scale * x
        positions = None
        if self.pos_enc_type == "rel_pos":
            positions = relative_positions(x.size(1), x.size(2), device=x.device, dtype=x.dtype)
        elif self.embed_positions is not None:
            x = x + self.embed_positions(mask.long())  # 1 is the padding index, and True at padding
        x = self.dropout(self.linear(x))
        visible = visible_in_chunks(x.size(1), chunk_size, mask)
        states = []
        for layer in self.conformer_layers:
            x = layer(x, visible, mask, positions, conv_chunk_size)
            if return_all_hiddens:
                states.append(x.transpose(0, 1))
        return x.transpose(0, 1), mask, states

    def reorder_encoder_out(self, encoder_out, new_order):
        """Return the encoder dictionary with its batch rows in a new order, [B']."""
        return S2TTransformerEncoder.reorder_encoder_out(self, encoder_out, new_order)

    def set_num_updates(self, num_updates: int) -> None:
        """Note the number of updates, which ends the freezing of the encoder."""
        self.num_updates = num_updates
