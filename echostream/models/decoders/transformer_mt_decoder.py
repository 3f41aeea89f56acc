"""First pass: the autoregressive translation decoder."""

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
from echostream.policy.streaming_mask import hidden_from


@dataclass
class MTDecoderState(LayerStackState):
    """State of :class:`TransformerMTDecoder`: keys and values of the tokens, and of the encoder frames."""

    @property
    def num_frames(self) -> int:
        """Encoder frames that the next token sees."""
        return self.cross_attention[0].length

    def truncate_frames(self, num_frames: int) -> None:
        """Forget the encoder frames from ``num_frames`` on; tokens decoded with them stay as they are.

        Raises:
            ValueError: if there are fewer frames than that.
        """
        for history in self.cross_attention:
            history.truncate(num_frames)


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

    def init_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> MTDecoderState:
        """Return the state of ``batch_size`` streams at their start, by default on the model's device."""
        return MTDecoderState.create(self.layers, batch_size, device=device, dtype=dtype)

    @torch.no_grad()
    def append_frames(self, frames: Tensor, state: MTDecoderState) -> None:
        """Let the tokens to come see further encoder frames; each is projected once.

        Args:
            frames: next encoder frames, [B, t, C_encoder] (batch first), t >= 0.
            state: from :meth:`init_state`, changed in place.

        Raises:
            RuntimeError: in training mode.
            ValueError: if a shape does not fit.
            StreamFinishedError: if the stream was closed already.
        """
        check_evaluation_mode(self)
        check_features(frames, state.batch_size, self.layers[0].encoder_attn.kdim)
        state.begin_step(is_final=False)
        remember_other(self.layers, frames, state)

    @torch.no_grad()
    def streaming_forward(
        self, prev_output_tokens: Tensor, state: MTDecoderState, *, is_final: bool = False
    ) -> Tensor:
        """Decode the next positions, without gradients.

        They see all frames appended so far and all positions before them, whose keys and values stay what
        they were. The result equals :meth:`forward` with ``visible_frames`` and ``features_only``, where g(i)
        is the number of frames known when position i was decoded.

        Args:
            prev_output_tokens: next tokens, shifted right, without padding, [B, n], n >= 0.
            state: from :meth:`init_state`, changed in place.
            is_final: no token follows.

        Returns:
            Features after the final norm, [B, n, C]; :meth:`output_layer` makes logits of them.

        Raises:
            RuntimeError: in training mode.
            ValueError: for padding, a shape that does not fit, a position beyond ``max_target_positions``, or
                tokens without any frame.
            StreamFinishedError: if the stream was closed already.
        """
        check_evaluation_mode(self)
        self._check_tokens(prev_output_tokens, state)
        x = self._embed(prev_output_tokens, state.num_positions)
        state.begin_step(is_final=is_final)
        return self.stream_features(x, state)

    def _check_tokens(self, tokens: Tensor, state: MTDecoderState) -> None:
        if tokens.dim() != 2 or tokens.size(0) != state.batch_size:
            raise ValueError(f"the stream takes tokens [{state.batch_size}, n], got {list(tokens.shape)}")
        if tokens.size(1) == 0:
            return
        if state.num_frames == 0:
            raise ValueError("no encoder frame is known yet: call append_frames() before decoding a token")
        num_positions = state.num_positions + tokens.size(1)
        if num_positions > self.max_positions():
            raise ValueError(
                f"position {num_positions} was asked for, and the decoder was built for "
                f"{self.max_positions()} (max_target_positions): drop old positions, or end the sentence"
            )
        if bool(tokens.eq(self.padding_idx).any()):
            raise ValueError("padding cannot be streamed: all streams of a batch advance by the same tokens")

    def _embed(self, tokens: Tensor, start: int) -> Tensor:
        x = self.embed_scale * self.embed_tokens(tokens)
        if self.quant_noise is not None:
            x = self.quant_noise(x)
        if self.project_in_dim is not None:
            x = self.project_in_dim(x)
        if self.embed_positions is not None:
            x = x + self.position_rows(start, tokens.size(1))
        if self.layernorm_embedding is not None:
            x = self.layernorm_embedding(x)
        return x

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
