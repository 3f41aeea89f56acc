"""Second pass: the non-autoregressive unit decoder."""

import torch
from torch import Tensor

from echostream.models.decoders.masked_layers import MaskedTransformerDecoder
from echostream.policy.streaming_mask import hidden_from, visible_text


class CTCTransformerUnitDecoder(MaskedTransformerDecoder):
    """Transformer decoder that gives each text position ``ctc_upsample_rate`` unit positions, read by CTC.

    Every text state is repeated, positions are added, and causal layers with cross-attention to the text
    states follow; previous units are not an input. With ``constant_unit_positions`` all positions get the
    sinusoid of the first one, which the weights of public StreamSpeech checkpoints depend on.

    Dimensions: B batch, N text positions, U = N * ctc_upsample_rate unit positions, C features, V units.

    Args:
        args: fairseq's decoder arguments, ``ctc_upsample_rate`` and ``constant_unit_positions``.
        dictionary: units; the CTC blank is one of them.
        embed_tokens: embedding that the output projection may share.

    Raises:
        ValueError: for stacked units or a rate below one.
    """

    def __init__(self, args, dictionary, embed_tokens, no_encoder_attn=False, output_projection=None):
        super().__init__(args, dictionary, embed_tokens, no_encoder_attn, output_projection)
        if getattr(args, "n_frames_per_step", 1) != 1:
            raise ValueError(
                f"the CTC unit decoder emits one unit a position, not {args.n_frames_per_step}: "
                "use --n-frames-per-step 1"
            )
        if args.ctc_upsample_rate < 1:
            raise ValueError(f"--ctc-upsample-rate must be at least 1, got {args.ctc_upsample_rate}")
        self.ctc_upsample_rate = args.ctc_upsample_rate
        self.constant_unit_positions = bool(args.constant_unit_positions)

    def forward(
        self,
        prev_output_tokens: Tensor | None,
        encoder_out: dict[str, list[Tensor]],
        streaming_config: dict[str, int] | None = None,
        **kwargs,
    ):
        """Decode all unit positions of the text known.

        Args:
            prev_output_tokens: accepted for fairseq's sake, and not used.
            encoder_out: dictionary of the T2U encoder, ``encoder_out`` [N, B, C].
            streaming_config: ``k2`` and ``n2``: which text positions a unit position may see; all when None.
            kwargs: ignored; fairseq passes arguments of autoregressive decoders.

        Returns:
            Logits [B, U, V] and a dictionary with ``decoder_padding_mask`` ([B, U], True at padding, or
            None).
        """
        features, extra = self.extract_features(prev_output_tokens, encoder_out, streaming_config)
        return self.output_layer(features), extra

    def extract_features(
        self,
        prev_output_tokens: Tensor | None,
        encoder_out: dict[str, list[Tensor]],
        streaming_config: dict[str, int] | None = None,
        **kwargs,
    ):
        """Return features [B, U, C] and a dictionary; see :meth:`forward`."""
        text = encoder_out["encoder_out"][0]
        padding_mask = encoder_out["encoder_padding_mask"][0] if encoder_out["encoder_padding_mask"] else None
        x = text.repeat_interleave(self.ctc_upsample_rate, dim=0)
        x = self.dropout_module(x + self.unit_positions(x.size(0), x.device).to(x.dtype).unsqueeze(1))
        unit_padding_mask = None
        if padding_mask is not None and bool(padding_mask.any()):
            unit_padding_mask = padding_mask.repeat_interleave(self.ctc_upsample_rate, dim=1)
        text_mask = self._text_mask(text, x.size(0), padding_mask, streaming_config)
        causal = self.buffered_future_mask(x)
        inner_states = [x]
        for layer in self.layers:
            x, _, _ = layer(
                x,
                text,
                text_mask,
                self_attn_mask=causal,
                self_attn_padding_mask=unit_padding_mask,
            )
            inner_states.append(x)
        if self.layer_norm is not None:
            x = self.layer_norm(x)
        x = x.transpose(0, 1)
        if self.project_out_dim is not None:
            x = self.project_out_dim(x)
        return x, {"attn": [None], "inner_states": inner_states, "decoder_padding_mask": unit_padding_mask}

    def unit_positions(self, num_units: int, device: torch.device) -> Tensor:
        """Return what is added to the unit positions: [U, C], or [1, C] when all get the same."""
        if self.embed_positions is None:
            return torch.zeros(1, self.embed_dim, device=device)
        length = 1 if self.constant_unit_positions else num_units
        not_padding = torch.full((1, length), self.padding_idx + 1, dtype=torch.long, device=device)
        return self.embed_positions(not_padding)[0]

    def _text_mask(
        self,
        text: Tensor,
        num_units: int,
        padding_mask: Tensor | None,
        streaming_config: dict[str, int] | None,
    ) -> Tensor | None:
        if streaming_config is None:
            return padding_mask
        num_text, batch_size, _ = text.shape
        visible = visible_text(
            num_units,
            num_text,
            lagging_k=int(streaming_config["k2"]),
            stride_n=int(streaming_config["n2"]),
            upsample_rate=self.ctc_upsample_rate,
            device=text.device,
        )
        hidden = hidden_from(visible, num_text).unsqueeze(0)
        if padding_mask is not None:
            return hidden | padding_mask.unsqueeze(1)
        return hidden.expand(batch_size, -1, -1)
