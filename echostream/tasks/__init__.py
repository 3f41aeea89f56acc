"""fairseq tasks; importing the package registers them."""

from echostream.tasks import speech_to_speech_ctc

__all__ = ["speech_to_speech_ctc"]
