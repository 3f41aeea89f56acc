"""Models that fairseq knows by name: ``streamspeech`` (the baseline) and ``echostream``."""

from echostream.models.checkpoint_fit import CheckpointMismatchError
from echostream.models.echostream_encoder import EchoStreamSpeechEncoder
from echostream.models.echostream_model import EchoStreamModel
from echostream.models.streamspeech_encoder import StreamSpeechEncoder
from echostream.models.streamspeech_model import StreamSpeechModel

__all__ = [
    "CheckpointMismatchError",
    "EchoStreamModel",
    "EchoStreamSpeechEncoder",
    "StreamSpeechEncoder",
    "StreamSpeechModel",
]
