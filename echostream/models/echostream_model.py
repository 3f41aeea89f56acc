"""EchoStream: StreamSpeech with an Emformer in the place of the chunk Conformer."""

import argparse

import torch
from fairseq.models import register_model, register_model_architecture

from echostream.models.echostream_config import (
    ECHOSTREAM_DEFAULTS,
    ECHOSTREAM_MINI_DEFAULTS,
    add_echostream_arguments,
    resolve_arguments,
)
from echostream.models.echostream_encoder import EchoStreamSpeechEncoder
from echostream.models.streamspeech_model import StreamSpeechModel, draw
from echostream.modules.chunk_size import OFFLINE_CHUNK_SIZE, chunk_or_none


@register_model("echostream")
class EchoStreamModel(StreamSpeechModel):
    """StreamSpeech whose encoder is an Emformer; heads, decoders and losses are the same.

    A chunk is a segment of the Emformer, and no longer than the longest trained one. "Offline" (999 or more,
    zero or less) is the longest trained segment too, since an Emformer has no other offline mode, with a text
    decoder that waits for the end of the source and sees all of it. Training draws one of the segment lengths
    or offline, as StreamSpeech's does.

    Reference: Emformer (Shi et al., ICASSP 2021); StreamSpeech (Zhang et al., ACL 2024).
    """

    encoder: EchoStreamSpeechEncoder
    segment_length: int

    @staticmethod
    def add_args(parser):
        """Add the model's flags."""
        add_echostream_arguments(parser)

    @classmethod
    def build_model(cls, args, task):
        """Build the model for a task with its unit dictionary and its multitask dictionaries.

        Raises:
            ValueError: for arguments that do not fit together.
        """
        if getattr(args, "target_speaker_embed", False):
            raise ValueError("echostream has no target speaker embedding: leave it out of the configuration")
        model = super().build_model(args, task)
        model.segment_length = args.segment_length
        model.training_chunk_sizes = (*model.encoder.segment_lengths, OFFLINE_CHUNK_SIZE)
        return model

    @classmethod
    def build_encoder(cls, args) -> EchoStreamSpeechEncoder:
        """Build the Emformer."""
        return EchoStreamSpeechEncoder(args)

    def resolve_segment_length(self, chunk_size: int | None = None) -> int:
        """Return the segment length, in encoder frames, that a requested chunk size gives; None: the
        configured.
        """
        if chunk_size is None:
            return self.segment_length
        longest = max(self.encoder.segment_lengths)
        return min(chunk_or_none(chunk_size) or longest, longest)

    def encoder_arguments(self, chunk_size: int | None, conv_chunk_size: int | None) -> dict[str, int | None]:
        """Return the encoder's keyword arguments for a requested chunk size, in encoder frames.

        Raises:
            ValueError: for a convolution chunk, which only the Conformer has.
        """
        if conv_chunk_size is not None:
            raise ValueError(
                "echostream's convolutions are causal and have no chunk: leave conv_chunk_size out"
            )
        return {"chunk_size": self.resolve_segment_length(chunk_size)}

    def mask_chunk_size(self, chunk_size: int | None) -> int | None:
        """Return after how many encoder frames the encoder delivers: a segment; None: all at the end."""
        if chunk_size is not None and chunk_or_none(chunk_size) is None:
            return None
        return self.resolve_segment_length(chunk_size)

    def draw_training_chunk(self, generator: torch.Generator | None = None) -> dict[str, int]:
        """Draw the latency of a training batch, as keyword arguments of ``forward``."""
        return {"chunk_size": draw(self.training_chunk_sizes, generator)}


@register_model_architecture("echostream", "echostream")
def echostream_architecture(args: argparse.Namespace) -> None:
    """Complete the arguments for the base size."""
    resolve_arguments(args, ECHOSTREAM_DEFAULTS)


@register_model_architecture("echostream", "echostream_mini")
def echostream_mini_architecture(args: argparse.Namespace) -> None:
    """Complete the arguments for the demo size."""
    resolve_arguments(args, ECHOSTREAM_MINI_DEFAULTS)
