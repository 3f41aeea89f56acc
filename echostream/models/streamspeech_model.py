"""StreamSpeech: simultaneous speech-to-speech translation with CTC heads, an MT decoder and a CTC unit
decoder.
"""

import argparse
import copy
from typing import Any

import torch
from fairseq.models import (
    FairseqEncoder,
    FairseqEncoderModel,
    FairseqLanguageModel,
    register_model,
    register_model_architecture,
)
from fairseq.models.speech_to_speech.modules.stacked_embedding import StackedEmbedding
from fairseq.models.speech_to_speech.s2s_transformer import S2UTTransformerModel
from torch import Tensor

from echostream.models.checkpoint_fit import check_fits
from echostream.models.decoders import CTCTransformerUnitDecoder, TextToUnitEncoder, build_text_decoder
from echostream.models.pretrained import load_initial_weights
from echostream.models.streamspeech_config import (
    PUBLIC_MT_DROPOUT,
    STREAMSPEECH_DEFAULTS,
    STREAMSPEECH_MINI_DEFAULTS,
    add_streamspeech_arguments,
    complete_arguments,
    fill_defaults,
)
from echostream.models.streamspeech_encoder import StreamSpeechEncoder
from echostream.models.train_side import frozen_modules
from echostream.modules.chunk_size import TRAINING_CHUNK_SIZES, TRAINING_CONV_CHUNK_SIZES
from echostream.policy.ctc_alignment import new_token_mass
from echostream.policy.streaming_mask import visible_frames

ASR_TASK_NAME = "source_unigram"
ST_TASK_NAME = "ctc_target_unigram"


def draw(choices: tuple[int, ...], generator: torch.Generator | None) -> int:
    """Return one of the choices, by torch's random numbers, so that a resumed training draws the same."""
    return choices[int(torch.randint(len(choices), (1,), generator=generator))]


@register_model("streamspeech")
class StreamSpeechModel(S2UTTransformerModel):
    """Chunk Conformer, two CTC heads, MT decoder, text-to-unit encoder and CTC unit decoder.

    The state dict has the names and shapes of public StreamSpeech checkpoints.

    Dimensions: B batch, T fbank frames (10 ms), T' encoder frames (40 ms), N target subwords, U units, C
        features.

    Reference: StreamSpeech (Zhang et al., ACL 2024).
    """

    encoder: FairseqEncoder
    mt_task_name: str
    multitask_decoders: dict[str, Any]
    synthesizer_encoder: TextToUnitEncoder | None
    training_chunk_sizes: tuple[int, ...] = TRAINING_CHUNK_SIZES
    """Chunk sizes, in encoder frames, that multi-latency training draws from."""
    train_side: str = "both"
    """What is trained, of `TRAIN_SIDES`; the other side stays as it is. With "text" no units are computed."""

    @staticmethod
    def add_args(parser):
        """Add the model's flags."""
        add_streamspeech_arguments(parser)

    @classmethod
    def build_model(cls, args, task):
        """Build the model for a task with its unit dictionary and its multitask dictionaries.

        Raises:
            ValueError: for arguments that do not fit together.
        """
        fill_defaults(
            args,
            {
                "constant_unit_positions": True,
                "mt_decoder_dropout": PUBLIC_MT_DROPOUT,
                "train_side": "both",
            },
        )
        if getattr(args, "synthesizer_augmented_cross_attention", False):
            raise ValueError(
                "--synthesizer-augmented-cross-attention is not possible here: the CTC unit decoder attends "
                "to text only (StreamSpeech's own code fails with it)"
            )
        model = cls(cls.build_encoder(args), cls.build_decoder(args, task.target_dictionary))
        model._add_text_decoders(args, task.multitask_tasks)
        model.synthesizer_encoder = cls.build_text_encoder(args)
        load_initial_weights(model, args)
        model.train_side = args.train_side
        for module in model._frozen_modules():
            module.requires_grad_(False)
        return model

    @classmethod
    def build_encoder(cls, args) -> FairseqEncoder:
        """Build the speech encoder."""
        return StreamSpeechEncoder(args)

    @classmethod
    def build_decoder(cls, args, tgt_dict) -> CTCTransformerUnitDecoder:
        """Build the unit decoder, which attends to states of the text decoder's size."""
        decoder_args = copy.copy(args)
        decoder_args.encoder_embed_dim = args.decoder_embed_dim
        embed_tokens = StackedEmbedding(len(tgt_dict), args.decoder_embed_dim, tgt_dict.pad(), num_stacked=1)
        return CTCTransformerUnitDecoder(decoder_args, tgt_dict, embed_tokens)

    @classmethod
    def build_text_encoder(cls, args) -> TextToUnitEncoder | None:
        """Build the text-to-unit encoder; None when it has no layers."""
        if getattr(args, "synthesizer_encoder_layers", 0) == 0:
            return None
        encoder_args = copy.copy(args)
        encoder_args.encoder_layers = args.synthesizer_encoder_layers
        encoder_args.encoder_embed_dim = args.decoder_embed_dim
        encoder_args.encoder_ffn_embed_dim = args.decoder_ffn_embed_dim
        encoder_args.encoder_attention_heads = args.decoder_attention_heads
        encoder_args.encoder_normalize_before = True
        return TextToUnitEncoder(encoder_args)

    def _add_text_decoders(self, args, multitask_tasks) -> None:
        self.multitask_decoders = {}
        first_pass = [name for name, task in multitask_tasks.items() if task.is_first_pass_decoder]
        if not first_pass:
            raise ValueError(
                "the multitask YAML has no translation decoder: give one task whose name begins with "
                "'target' the decoder_type 'transformer'"
            )
        self.mt_task_name = first_pass[-1]
        for name, task in multitask_tasks.items():
            reads_encoder = task.args.input_from == "encoder"
            decoder = build_text_decoder(
                args,
                task.args,
                task.target_dictionary,
                args.encoder_embed_dim if reads_encoder else args.decoder_embed_dim,
                name == self.mt_task_name,
            )
            setattr(self, f"{name}_decoder", decoder)
            wrapper = FairseqEncoderModel if task.args.decoder_type == "ctc" else FairseqLanguageModel
            self.multitask_decoders[name] = wrapper(decoder)

    def _frozen_modules(self) -> list[torch.nn.Module]:
        unit_side = [module for module in (self.synthesizer_encoder, self.decoder) if module is not None]
        return frozen_modules(self.train_side, self.children(), unit_side)

    def train(self, mode: bool = True):
        """As in torch; what is not trained stays in evaluation mode: no dropout, no new batch statistics."""
        super().train(mode)
        for module in self._frozen_modules():
            module.eval()
        return self

    def text_decoder(self, task_name: str):
        """Return the decoder of a multitask entry.

        Raises:
            ValueError: when the model has none of this name.
        """
        decoder = getattr(self, f"{task_name}_decoder", None)
        if decoder is None:
            known = ", ".join(self.multitask_decoders)
            raise ValueError(f"the model has no decoder {task_name!r}; its multitask YAML has: {known}")
        return decoder

    @property
    def asr_head(self):
        """The ASR CTC head: source text."""
        return self.text_decoder(ASR_TASK_NAME)

    @property
    def st_head(self):
        """The ST CTC head: target text, which the policy counts."""
        return self.text_decoder(ST_TASK_NAME)

    @property
    def mt_decoder(self):
        """The first-pass decoder: target text."""
        return self.text_decoder(self.mt_task_name)

    @property
    def text_to_unit_encoder(self) -> TextToUnitEncoder | None:
        """The encoder between the two passes, None without layers."""
        return self.synthesizer_encoder

    @property
    def unit_decoder(self) -> CTCTransformerUnitDecoder:
        """The second-pass decoder: units."""
        return self.decoder

    def encoder_arguments(self, chunk_size: int | None, conv_chunk_size: int | None) -> dict[str, int | None]:
        """Return the encoder's keyword arguments for a requested chunk size, in encoder frames."""
        return {"chunk_size": chunk_size, "conv_chunk_size": conv_chunk_size}

    def mask_chunk_size(self, chunk_size: int | None) -> int | None:
        """Return after how many encoder frames the encoder delivers; None: only when the source has ended."""
        return self.encoder.resolve_chunks(chunk_size)[0]

    def draw_training_chunk(self, generator: torch.Generator | None = None) -> dict[str, int]:
        """Draw the latency of a training batch, as keyword arguments of :meth:`forward`.

        Args:
            generator: source of random numbers; torch's default one when None.
        """
        chunk_size = draw(self.training_chunk_sizes, generator)
        conv_chunk_size = draw(TRAINING_CONV_CHUNK_SIZES, generator)
        return {"chunk_size": chunk_size, "conv_chunk_size": min(chunk_size, conv_chunk_size)}

    def forward_encoder(self, src_tokens, src_lengths, speaker=None, **kwargs):
        """Encode speech; see :meth:`forward` for ``chunk_size`` and ``conv_chunk_size``."""
        chunks = self.encoder_arguments(kwargs.pop("chunk_size", None), kwargs.pop("conv_chunk_size", None))
        return self.encoder(src_tokens, src_lengths=src_lengths, tgt_speaker=speaker, **chunks, **kwargs)

    def forward(
        self,
        src_tokens: Tensor,
        src_lengths: Tensor,
        prev_output_tokens: Tensor | None,
        prev_output_tokens_mt: Tensor,
        streaming_config: dict[str, int] | None = None,
        tgt_speaker: Tensor | None = None,
        return_all_hiddens: bool = False,
        chunk_size: int | None = None,
        conv_chunk_size: int | None = None,
    ) -> tuple[Tensor | None, dict[str, Any]]:
        """Run all stages with the text given (teacher forcing).

        Args:
            src_tokens: fbank, [B, T, 80].
            src_lengths: valid fbank frames, [B].
            prev_output_tokens: accepted for fairseq's sake; the unit decoder does not read it.
            prev_output_tokens_mt: target subwords, shifted right, [B, N].
            streaming_config: ``k1``, ``n1``, ``k2``, ``n2`` of the streaming masks; no masks when None.
            tgt_speaker: target speaker embedding, for models built with one.
            return_all_hiddens: whether ``extra`` holds ``encoder_states`` and ``encoder_padding_mask``.
            chunk_size: chunk of the encoder in encoder frames; the configured one when None.
            conv_chunk_size: chunk of the Conformer's convolutions; chosen by the chunk size when None.

        Returns:
            Unit logits [B, U, V] (None where text alone is trained), and a dictionary with ``mt_decoder_out``
            (logits [B, N, V] and its own dictionary), ``encoder_out`` (the encoder's dictionary),
            ``visible_frames`` (g(i), [B, N], or None) and, with units, ``decoder_padding_mask`` ([B, U] or
            None).
        """
        encoder_out = self.forward_encoder(
            src_tokens,
            src_lengths,
            tgt_speaker,
            return_all_hiddens=return_all_hiddens,
            chunk_size=chunk_size,
            conv_chunk_size=conv_chunk_size,
        )
        mt_decoder = self.mt_decoder
        visible = None
        if streaming_config is not None:
            visible = self.visible_frames(
                encoder_out, prev_output_tokens_mt.size(1), streaming_config, chunk_size
            )
        features, mt_extra = mt_decoder(
            prev_output_tokens_mt, encoder_out=encoder_out, visible_frames=visible, features_only=True
        )
        is_padding = prev_output_tokens_mt.eq(mt_decoder.padding_idx)
        padding_mask = is_padding if bool(is_padding.any()) else None
        unit_logits, extra = None, {}
        if self.train_side != "text":
            unit_logits, extra = self._decode_units(
                features.transpose(0, 1), padding_mask, streaming_config, prev_output_tokens
            )
        extra["mt_decoder_out"] = (mt_decoder.output_layer(features), mt_extra)
        extra["encoder_out"] = encoder_out
        extra["visible_frames"] = visible
        if return_all_hiddens:
            extra["encoder_states"] = encoder_out["encoder_states"]
            extra["encoder_padding_mask"] = encoder_out["encoder_padding_mask"]
        return unit_logits, extra

    def _decode_units(self, features, padding_mask, streaming_config, prev_output_tokens=None):
        if self.synthesizer_encoder is not None:
            text = self.synthesizer_encoder(features, padding_mask)
        else:
            masks = [] if padding_mask is None else [padding_mask]
            text = {"encoder_out": [features], "encoder_padding_mask": masks}
        return self.decoder(prev_output_tokens, encoder_out=text, streaming_config=streaming_config)

    @torch.no_grad()
    def visible_frames(
        self,
        encoder_out: dict[str, list[Tensor]],
        num_tokens: int,
        streaming_config: dict[str, int],
        chunk_size: int | None = None,
    ) -> Tensor:
        """Return g(i), the encoder frames that each target subword may see, long [B, N].

        Args:
            encoder_out: the encoder's dictionary.
            num_tokens: N.
            streaming_config: ``k1`` and ``n1``.
            chunk_size: the chunk that the encoder was asked for.
        """
        lengths = None
        if encoder_out["encoder_padding_mask"]:
            lengths = (~encoder_out["encoder_padding_mask"][0]).sum(dim=1)
        source, target = (
            new_token_mass(logits.softmax(dim=-1, dtype=torch.float32))
            for logits in (self.asr_logits(encoder_out), self.st_logits(encoder_out))
        )
        return visible_frames(
            source,
            target,
            num_tokens,
            lagging_k=int(streaming_config["k1"]),
            stride_n=int(streaming_config["n1"]),
            chunk_size=self.mask_chunk_size(chunk_size),
            lead_in_length=self.encoder.lead_in_length,
            lengths=lengths,
        )

    def _ctc_logits(self, task_name: str, encoder_out: dict[str, list[Tensor]]) -> Tensor:
        frames = encoder_out["encoder_out"][0]
        lengths = None
        if encoder_out["encoder_padding_mask"]:
            lengths = (~encoder_out["encoder_padding_mask"][0]).sum(dim=1)
        return self.text_decoder(task_name)(frames, lengths)["encoder_out"].transpose(0, 1)

    def asr_logits(self, encoder_out: dict[str, list[Tensor]]) -> Tensor:
        """Return the logits of the ASR CTC head, [B, T', V]."""
        return self._ctc_logits(ASR_TASK_NAME, encoder_out)

    def st_logits(self, encoder_out: dict[str, list[Tensor]]) -> Tensor:
        """Return the logits of the ST CTC head, [B, T', V]."""
        return self._ctc_logits(ST_TASK_NAME, encoder_out)

    def decode_text(
        self,
        prev_output_tokens_mt: Tensor,
        encoder_out: dict[str, list[Tensor]],
        visible_frames: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Run the MT decoder on a prefix.

        Args:
            prev_output_tokens_mt: target subwords, shifted right, [B, N].
            encoder_out: the encoder's dictionary.
            visible_frames: encoder frames that each subword may see, [B, N]; all when None.

        Returns:
            Logits [B, N, V], and the features that the unit side reads, [N, B, C].
        """
        mt_decoder = self.mt_decoder
        features, _ = mt_decoder(
            prev_output_tokens_mt, encoder_out=encoder_out, visible_frames=visible_frames, features_only=True
        )
        return mt_decoder.output_layer(features), features.transpose(0, 1)

    def text_to_units(
        self,
        features: Tensor,
        text_padding_mask: Tensor | None = None,
        streaming_config: dict[str, int] | None = None,
    ) -> Tensor:
        """Return unit logits [B, N * ctc_upsample_rate, V] for features of the MT decoder.

        Args:
            features: of :meth:`decode_text`, [N, B, C].
            text_padding_mask: True at padding, [B, N], or None.
            streaming_config: ``k2`` and ``n2``: which text a unit position may see; all when None.
        """
        return self._decode_units(features, text_padding_mask, streaming_config)[0]

    def load_state_dict(self, state_dict, strict=True, model_cfg=None, args=None):
        """Load weights.

        Raises:
            CheckpointMismatchError: when they are of another architecture, dictionary or size, or (if
                ``strict``) have other names; the message lists all that differs.
        """
        check_fits(self.state_dict(), state_dict, complete=strict)
        return super().load_state_dict(state_dict, strict=strict, model_cfg=model_cfg, args=args)


@register_model_architecture("streamspeech", "streamspeech")
def streamspeech_architecture(args: argparse.Namespace) -> None:
    """Complete the arguments as public StreamSpeech does."""
    complete_arguments(args, STREAMSPEECH_DEFAULTS)


@register_model_architecture("streamspeech", "streamspeech_mini")
def streamspeech_mini_architecture(args: argparse.Namespace) -> None:
    """Complete the arguments for the demo size."""
    complete_arguments(args, STREAMSPEECH_MINI_DEFAULTS)
