"""CTC heads on the encoder: ASR (source text) and ST (target text)."""

import torch
from fairseq.models import FairseqEncoder
from fairseq.models.speech_to_speech.modules.ctc_decoder import CTCDecoder as FairseqCTCDecoder
from fairseq.modules import LayerNorm, TransformerEncoderLayer
from torch import Tensor, nn

from echostream.models.decoders.masked_layers import future_mask
from echostream.models.decoders.streaming_layers import (
    LayerStackState,
    check_causal,
    check_evaluation_mode,
    check_features,
    run_layers,
)
from echostream.streaming import StreamState


class CTCDecoder(FairseqCTCDecoder):
    """One linear layer from an encoder frame to the vocabulary; a frame's logits depend on that frame alone.

    Args:
        dictionary: vocabulary; its index 0 is the CTC blank.
        in_dim: features of an encoder frame.
    """

    def forward(self, src_tokens: Tensor, src_lengths: Tensor | None = None, **kwargs) -> dict[str, Tensor]:
        """Return {"encoder_out": logits [T, B, V]} for encoder frames [T, B, C]."""
        return {"encoder_out": self.proj(src_tokens)}

    def init_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> StreamState:
        """Return the state of a stream, which is only whether it was closed: nothing is remembered."""
        return StreamState()

    @torch.no_grad()
    def streaming_forward(self, frames: Tensor, state: StreamState, *, is_final: bool = False) -> Tensor:
        """Return logits [B, t, V] for the next encoder frames [B, t, C] (batch first), without gradients.

        Raises:
            StreamFinishedError: if the stream was closed already.
        """
        state.begin_step(is_final=is_final)
        logits: Tensor = self.proj(frames)
        return logits


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

    def init_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> LayerStackState:
        """Return the state of ``batch_size`` streams at their start, by default on the model's device.

        Raises:
            ValueError: if the layers are not causal.
        """
        check_causal(self)
        return LayerStackState.create(self.layers, batch_size, device=device, dtype=dtype)

    @torch.no_grad()
    def streaming_forward(self, frames: Tensor, state: LayerStackState, *, is_final: bool = False) -> Tensor:
        """Return the logits of the next encoder frames, without gradients; equal to :meth:`forward` of all.

        Args:
            frames: encoder frames, [B, t, C] (batch first), t >= 0.
            state: from :meth:`init_state`, changed in place.
            is_final: no frame follows.

        Returns:
            Logits [B, t, V].

        Raises:
            RuntimeError: in training mode.
            ValueError: if a shape does not fit.
            StreamFinishedError: if the stream was closed already.
        """
        check_evaluation_mode(self)
        check_features(frames, state.batch_size, self.proj.in_features)
        state.begin_step(is_final=is_final)
        x = run_layers(self.layers, frames, state)
        if self.layer_norm is not None:
            x = self.layer_norm(x)
        logits: Tensor = self.proj(x)
        return logits
