"""Second pass: the non-autoregressive unit decoder."""

from dataclasses import dataclass

import torch
from torch import Tensor

from echostream.models.decoders.masked_layers import MaskedTransformerDecoder
from echostream.models.decoders.streaming_layers import (
    LayerStackState,
    check_evaluation_mode,
    check_features,
    remember_other,
)
from echostream.policy.read_write import allowed_subwords, required_target_tokens
from echostream.policy.streaming_mask import hidden_from, visible_text
from echostream.streaming import StreamState


@dataclass
class UnitDecoderState(StreamState):
    """State of :class:`CTCTransformerUnitDecoder`.

    Args:
        layers: keys and values of the unit positions that are out, and of all text.
        waiting: text states whose unit positions are not out yet, ``[B, W, C]``.
    """

    layers: LayerStackState
    waiting: Tensor

    @property
    def num_units(self) -> int:
        """Unit positions that are out."""
        return self.layers.num_positions

    def reset(self) -> None:
        """Forget the text and the units."""
        super().reset()
        self.waiting = self.waiting[:, :0].clone()


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

    def unit_positions(self, num_units: int, device: torch.device, start: int = 0) -> Tensor:
        """Return what is added to the unit positions from ``start`` on: [U, C], or [1, C] when all get the
        same.

        Raises:
            ValueError: beyond the last position that there is an embedding for.
        """
        if self.embed_positions is None:
            return torch.zeros(1, self.embed_dim, device=device)
        if self.constant_unit_positions:
            return self.position_rows(0, 1)
        return self.position_rows(start, num_units)

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

    def init_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> UnitDecoderState:
        """Return the state of ``batch_size`` streams at their start, by default on the model's device."""
        layers = LayerStackState.create(self.layers, batch_size, device=device, dtype=dtype)
        keys = layers.self_attention[0].key_buffer
        return UnitDecoderState(layers=layers, waiting=keys.new_zeros(batch_size, 0, self.embed_dim))

    @torch.no_grad()
    def streaming_forward(
        self,
        text: Tensor,
        state: UnitDecoderState,
        *,
        is_final: bool = False,
        lagging_k: int = 0,
        stride_n: int = 1,
    ) -> Tensor:
        """Decode the units of the text that need not wait for more text, without gradients.

        The ``ctc_upsample_rate`` unit positions of a text position come out in the call that brings the last
        text position that they may see, and equal those of :meth:`forward` of the whole text.

        Args:
            text: next states of the T2U encoder, [B, n, C] (batch first), n >= 0.
            state: from :meth:`init_state`, changed in place.
            is_final: no text follows: decode what waits too, with the text that there is.
            lagging_k: text positions of look-ahead (k2); it may change, for text whose units are not out.
            stride_n: text positions handed over at a time (n2); it may change likewise.

        Returns:
            Logits [B, U', V] of the unit positions that come out, U' >= 0.

        Raises:
            RuntimeError: in training mode.
            ValueError: for a stride below one, a shape that does not fit, or units beyond the last position.
            StreamFinishedError: if the stream was closed already.
        """
        check_evaluation_mode(self)
        check_features(text, state.layers.batch_size, self.embed_dim)
        if stride_n < 1:
            raise ValueError(f"n2 must be at least one text position, got {stride_n}")
        waiting = torch.cat([state.waiting, text], dim=1)
        first = state.num_units // self.ctc_upsample_rate
        num_known = first + waiting.size(1)
        allowed = num_known if is_final else allowed_subwords(num_known, lagging_k, stride_n)
        num_ready = max(min(allowed, num_known) - first, 0)
        x = waiting[:, :num_ready].repeat_interleave(self.ctc_upsample_rate, dim=1)
        x = x + self.unit_positions(x.size(1), x.device, start=state.num_units).to(x.dtype)
        state.begin_step(is_final=is_final)
        remember_other(self.layers, text, state.layers)
        # A copy, so that the state does not keep the decoded text alive.
        state.waiting = waiting[:, num_ready:].clone()
        visible = self._visible_in_step(first, num_ready, num_known, lagging_k, stride_n, text.device)
        logits: Tensor = self.output_layer(self.stream_features(x, state.layers, visible))
        return logits

    def _visible_in_step(
        self, first: int, num_ready: int, num_known: int, lagging_k: int, stride_n: int, device: torch.device
    ) -> Tensor | None:
        """Return which text the units of ``num_ready`` text positions may see, bool [U', N]; all if None."""
        if required_target_tokens(first, lagging_k, stride_n) >= num_known:
            return None  # the first one sees all that is known, so the others do too
        text_index = torch.arange(first, first + num_ready, device=device)
        visible = required_target_tokens(text_index, lagging_k, stride_n).clamp(1, num_known)
        return ~hidden_from(visible.repeat_interleave(self.ctc_upsample_rate), num_known)
