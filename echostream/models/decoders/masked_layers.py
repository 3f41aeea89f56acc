"""Transformer layers of fairseq with what StreamSpeech adds: cross-attention that differs from token to
token.
"""

import torch
from fairseq.distributed import fsdp_wrap
from fairseq.models.transformer import TransformerConfig, TransformerDecoder
from fairseq.modules.checkpoint_activations import checkpoint_wrapper
from fairseq.modules.multihead_attention import MultiheadAttention
from fairseq.modules.transformer_layer import TransformerDecoderLayerBase
from torch import Tensor


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
    """fairseq's decoder made of :class:`MaskedDecoderLayer`."""

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
