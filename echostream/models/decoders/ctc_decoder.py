"""CTC heads on the encoder: ASR (source text) and ST (target text)."""

import torch
from fairseq.models import FairseqEncoder
from fairseq.models.speech_to_speech.modules.ctc_decoder import CTCDecoder as FairseqCTCDecoder
from fairseq.modules import LayerNorm, TransformerEncoderLayer
from torch import Tensor, nn

from echostream.models.decoders.masked_layers import future_mask


class CTCDecoder(FairseqCTCDecoder):
    """One linear layer from an encoder frame to the vocabulary; a frame's logits depend on that frame alone.

    Args:
        dictionary: vocabulary; its index 0 is the CTC blank.
        in_dim: features of an encoder frame.
    """

    def forward(self, src_tokens: Tensor, src_lengths: Tensor | None = None, **kwargs) -> dict[str, Tensor]:
        """Return {"encoder_out": logits [T, B, V]} for encoder frames [T, B, C]."""
        return {"encoder_out": self.proj(src_tokens)}


class CTCDecoderWithTransformerLayer(FairseqEncoder):
    """Transformer layers, then a linear layer to the vocabulary; causal when ``args.uni_encoder`` is set.

    Args:
        args: ``encoder_layers``, ``encoder_embed_dim``, ``encoder_ffn_embed_dim``,
            ``encoder_attention_heads``, ``encoder_normalize_before``, ``uni_encoder`` and the dropouts.
        dictionary: vocabulary; its index 0 is the CTC blank.
        in_dim: features of an encoder frame.

    Raises:
        ValueError: when the layers and the encoder differ in dimension.
    """

    def __init__(self, args, dictionary, in_dim: int) -> None:
        super().__init__(dictionary)
        if args.encoder_embed_dim != in_dim:
            raise ValueError(
                f"a CTC head with layers of {args.encoder_embed_dim} features cannot read an encoder of "
                f"{in_dim}: leave encoder_embed_dim out of its decoder_args"
            )
        self.proj = nn.Linear(in_dim, len(dictionary))
        self.layers = nn.ModuleList(TransformerEncoderLayer(args) for _ in range(args.encoder_layers))
        self.layer_norm = LayerNorm(in_dim) if args.encoder_normalize_before else None
        self.unidirectional = bool(getattr(args, "uni_encoder", False))

    def forward(self, src_tokens: Tensor, src_lengths: Tensor | None = None, **kwargs) -> dict[str, Tensor]:
        """Return {"encoder_out": logits [T, B, V]} for encoder frames [T, B, C] with lengths [B] (None: all
        valid).
        """
        x = src_tokens
        attn_mask = None
        if self.unidirectional:
            attn_mask = future_mask(x.size(0), x.device)
        padding_mask = None
        if src_lengths is not None:
            frames = torch.arange(x.size(0), device=x.device)
            padding_mask = frames.unsqueeze(0) >= src_lengths.to(x.device).unsqueeze(1)
        for layer in self.layers:
            x = layer(x, padding_mask, attn_mask=attn_mask)
        if self.layer_norm is not None:
            x = self.layer_norm(x)
        return {"encoder_out": self.proj(x)}
