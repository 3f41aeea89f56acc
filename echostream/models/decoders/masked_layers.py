"""Transformer layers of fairseq with what StreamSpeech adds: cross-attention that differs from token to
token.
"""

import torch
from fairseq.distributed import fsdp_wrap
from fairseq.models.transformer import TransformerConfig, TransformerDecoder
from fairseq.modules import LearnedPositionalEmbedding
from fairseq.modules.checkpoint_activations import checkpoint_wrapper
from fairseq.modules.multihead_attention import MultiheadAttention
from fairseq.modules.transformer_layer import TransformerDecoderLayerBase
from torch import Tensor

from echostream.models.decoders.streaming_layers import LayerStackState, run_layers


def future_mask(size: int, device: torch.device) -> Tensor:
    """Return the causal mask, bool [size, size], True where a key lies after the query."""
    return torch.ones(size, size, dtype=torch.bool, device=device).triu(1)


class MaskedCrossAttention(MultiheadAttention):
    """Cross-attention whose key mask may have one row for each query, [B, N, S], instead of one a sentence,
    [B, S].
    """

    def forward(
        self, query, key, value, key_padding_mask=None, incremental_state=None, static_kv=False, **kwargs
    ):
        """Attend; see fairseq's ``MultiheadAttention.forward``, which has a mask of shape [B, S] only.

        Raises:
            ValueError: for a mask by query together with an incremental state, which keeps one mask a
                sentence.
        """
        if key_padding_mask is not None and key_padding_mask.dim() == 3:
            if incremental_state is not None:
                raise ValueError("tokens decoded with an incremental state cannot have masks of their own")
            kwargs["attn_mask"] = key_padding_mask.repeat_interleave(self.num_heads, dim=0)
            key_padding_mask = None
        # Without an incremental state nothing is kept, and fairseq's faster path wants static_kv off.
        static_kv = static_kv and incremental_state is not None
        return super().forward(
            query,
            key,
            value,
            key_padding_mask=key_padding_mask,
            incremental_state=incremental_state,
            static_kv=static_kv,
            **kwargs,
        )


class MaskedDecoderLayer(TransformerDecoderLayerBase):
    """Decoder layer that accepts an encoder mask of shape [B, N, S]; names and numbers are fairseq's."""

    def __init__(self, cfg, no_encoder_attn=False):
        super().__init__(cfg, no_encoder_attn)
        self.need_attn = False  # nobody reads the weights, and computing them takes the slow path

    def build_encoder_attention(self, embed_dim, cfg):
        """Build the cross-attention."""
        return MaskedCrossAttention(
            embed_dim,
            cfg.decoder.attention_heads,
            kdim=cfg.encoder.embed_dim,
            vdim=cfg.encoder.embed_dim,
            dropout=cfg.attention_dropout,
            encoder_decoder_attention=True,
            q_noise=self.quant_noise,
            qn_block_size=self.quant_noise_block_size,
        )


class MaskedTransformerDecoder(TransformerDecoder):
    """fairseq's decoder made of :class:`MaskedDecoderLayer`, with positions that may begin anywhere."""

    def build_decoder_layer(self, args, no_encoder_attn=False):
        """Build one layer, wrapped for activation checkpointing and sharding as fairseq does."""
        cfg = TransformerConfig.from_namespace(args)
        layer = MaskedDecoderLayer(cfg, no_encoder_attn)
        if cfg.checkpoint_activations:
            layer = checkpoint_wrapper(layer, offload_to_cpu=cfg.offload_activations)
        min_params = 0 if cfg.checkpoint_activations else cfg.min_params_to_wrap
        return fsdp_wrap(layer, min_num_params=min_params)

    def buffered_future_mask(self, tensor):
        """Return the causal mask for a tensor [N, B, C], bool [N, N]."""
        return future_mask(tensor.size(0), tensor.device)

    def position_rows(self, start: int, num_positions: int) -> Tensor:
        """Return what is added to the positions from ``start`` on, [num_positions, C].

        Raises:
            ValueError: beyond the last position that there is an embedding for.
        """
        embedding = self.embed_positions
        end = start + num_positions
        if end > embedding.max_positions:
            raise ValueError(
                f"position {end} was asked for, and the decoder has {embedding.max_positions}: drop old "
                "positions, or train with a larger max_target_positions"
            )
        first_row = self.padding_idx + 1  # the rows before it belong to padding
        is_learned = isinstance(embedding, LearnedPositionalEmbedding)
        rows = embedding.weight if is_learned else self._sinusoids(first_row + end)
        return rows[first_row + start : first_row + end]

    def _sinusoids(self, num_rows: int) -> Tensor:
        embedding = self.embed_positions
        if num_rows > embedding.weights.size(0):
            # Doubled, so that a long stream seldom computes the table again.
            rows = embedding.get_embedding(2 * num_rows, embedding.embedding_dim, embedding.padding_idx)
            embedding.weights = rows.to(embedding.weights)
        return embedding.weights

    def stream_features(
        self, x: Tensor, state: LayerStackState, visible_keys: Tensor | None = None
    ) -> Tensor:
        """Return the features of new positions, ready for the output layer, [B, n, C].

        Args:
            x: embedded positions, [B, n, C].
            state: of the layers, changed in place.
            visible_keys: which positions cross-attention may read, bool [n, S]; all when None.
        """
        x = run_layers(self.layers, x, state, visible_keys)
        if self.layer_norm is not None:
            x = self.layer_norm(x)
        if self.project_out_dim is not None:
            x = self.project_out_dim(x)
        return x
