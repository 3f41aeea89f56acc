"""Text-to-unit (T2U) encoder: Transformer layers on the states of the MT decoder."""

import torch
from fairseq.models.speech_to_speech.modules.transformer_encoder import TransformerEncoderNoEmb
from torch import Tensor

from echostream.models.decoders.masked_layers import future_mask
from echostream.models.decoders.streaming_layers import (
    LayerStackState,
    check_causal,
    check_evaluation_mode,
    check_features,
    run_layers,
)


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

    def init_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> LayerStackState:
        """Return the state of ``batch_size`` streams at their start, by default on the model's device.

        Raises:
            ValueError: if the encoder is not causal.
        """
        check_causal(self)
        return LayerStackState.create(self.layers, batch_size, device=device, dtype=dtype)

    @torch.no_grad()
    def streaming_forward(self, x: Tensor, state: LayerStackState, *, is_final: bool = False) -> Tensor:
        """Encode the next text states, without gradients; equal to :meth:`forward` of the whole text.

        Args:
            x: states of the MT decoder, [B, n, C] (batch first), n >= 0.
            state: from :meth:`init_state`, changed in place.
            is_final: no text follows.

        Returns:
            [B, n, C].

        Raises:
            RuntimeError: in training mode.
            ValueError: if a shape does not fit.
            StreamFinishedError: if the stream was closed already.
        """
        check_evaluation_mode(self)
        check_features(x, state.batch_size, self.layers[0].embed_dim)
        state.begin_step(is_final=is_final)
        x = run_layers(self.layers, x, state)
        return x if self.layer_norm is None else self.layer_norm(x)
