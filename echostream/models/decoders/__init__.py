"""Decoders of StreamSpeech, shared by both models: CTC heads, MT decoder, text-to-unit encoder, CTC unit
decoder.
"""

from echostream.models.decoders.builder import build_text_decoder
from echostream.models.decoders.ctc_decoder import CTCDecoder, CTCDecoderWithTransformerLayer
from echostream.models.decoders.ctc_transformer_unit_decoder import CTCTransformerUnitDecoder
from echostream.models.decoders.text_to_unit_encoder import TextToUnitEncoder
from echostream.models.decoders.transformer_mt_decoder import TransformerMTDecoder

__all__ = [
    "CTCDecoder",
    "CTCDecoderWithTransformerLayer",
    "CTCTransformerUnitDecoder",
    "TextToUnitEncoder",
    "TransformerMTDecoder",
    "build_text_decoder",
]
