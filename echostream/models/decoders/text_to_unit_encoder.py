"""Text-to-unit (T2U) encoder: Transformer layers on the states of the MT decoder."""

from fairseq.models.speech_to_speech.modules.transformer_encoder import TransformerEncoderNoEmb
from torch import Tensor

from echostream.models.decoders.masked_layers import future_mask


class TextToUnitEncoder(TransformerEncoderNoEmb):
    """Transformer encoder without embeddings; causal with ``args.uni_encoder``, so that no state is ever
    revised.

    Args:
        args: fairseq's encoder arguments, and ``uni_encoder``.
    """

    def __init__(self, args) -> None:
        super().__init__(args)
        self.unidirectional = bool(getattr(args, "uni_encoder", False))

    def forward(
        self, x: Tensor, encoder_padding_mask: Tensor | None, return_all_hiddens: bool = False
    ) -> dict[str, list[Tensor]]:
        """Encode text states.

        Args:
            x: states of the MT decoder, [N, B, C].
            encoder_padding_mask: True at padding, [B, N], or None.
            return_all_hiddens: whether to return the output of each layer.

        Returns:
            fairseq's encoder dictionary, ``encoder_out`` [N, B, C].
        """
        attn_mask = future_mask(x.size(0), x.device) if self.unidirectional else None
        states = []
        for layer in self.layers:
            x = layer(x, encoder_padding_mask, attn_mask=attn_mask)
            if return_all_hiddens:
                states.append(x)
        if self.layer_norm is not None:
            x = self.layer_norm(x)
        return {
            "encoder_out": [x],
            "encoder_padding_mask": [] if encoder_padding_mask is None else [encoder_padding_mask],
            "encoder_embedding": [],
            "encoder_states": states,
            "src_tokens": [],
            "src_lengths": [],
        }
