"""First pass: the autoregressive translation decoder."""

from torch import Tensor

from echostream.models.decoders.masked_layers import MaskedTransformerDecoder
from echostream.policy.streaming_mask import hidden_from


class TransformerMTDecoder(MaskedTransformerDecoder):
    """Transformer decoder in which token i sees only the first g(i) encoder frames.

    Dimensions: B batch, N target tokens, T encoder frames (40 ms), C features, V vocabulary.
    """

    def forward(
        self,
        prev_output_tokens: Tensor,
        encoder_out: dict[str, list[Tensor]] | None = None,
        incremental_state=None,
        features_only: bool = False,
        visible_frames: Tensor | None = None,
        **kwargs,
    ):
        """Decode a prefix, or its last token when an incremental state is given.

        Args:
            prev_output_tokens: tokens, shifted right, [B, N].
            encoder_out: the encoder's dictionary, ``encoder_out`` [T, B, C].
            incremental_state: fairseq's cache; only without ``visible_frames``, and for an encoder output
                that stays.
            features_only: whether to leave out the projection to the vocabulary.
            visible_frames: g(i), the encoder frames that each token may see, [B, N]; all when None.
            kwargs: further arguments of fairseq's decoder.

        Returns:
            Logits [B, N, V] (or features [B, N, C]) and a dictionary with ``inner_states``.
        """
        features, extra = self.extract_features(
            prev_output_tokens, encoder_out, incremental_state, visible_frames=visible_frames, **kwargs
        )
        return (features if features_only else self.output_layer(features)), extra

    def extract_features(
        self,
        prev_output_tokens: Tensor,
        encoder_out: dict[str, list[Tensor]] | None,
        incremental_state=None,
        full_context_alignment: bool = False,
        alignment_layer: int | None = None,
        alignment_heads: int | None = None,
        visible_frames: Tensor | None = None,
        **kwargs,
    ):
        """Return the features after the final norm, [B, N, C], and a dictionary; see :meth:`forward`."""
        if visible_frames is not None:
            encoder_out = self._hide_frames(encoder_out, visible_frames)
        return super().extract_features(
            prev_output_tokens,
            encoder_out,
            incremental_state,
            full_context_alignment,
            # No layer has this number: attention weights are computed only on request.
            -1 if alignment_layer is None else alignment_layer,
            alignment_heads,
        )

    @staticmethod
    def _hide_frames(
        encoder_out: dict[str, list[Tensor]] | None, visible_frames: Tensor
    ) -> dict[str, list[Tensor]]:
        if encoder_out is None:
            raise ValueError("visible frames were given without an encoder output")
        hidden = hidden_from(visible_frames, encoder_out["encoder_out"][0].size(0))
        for padding_mask in encoder_out["encoder_padding_mask"]:
            hidden = hidden | padding_mask.unsqueeze(1)
        return {**encoder_out, "encoder_padding_mask": [hidden]}
