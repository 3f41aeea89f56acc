"""Streaming speech recognition with the source CTC head."""

from echostream.agents.s2tt import EchoStreamS2TTAgent
from echostream.inference.session import Output


class EchoStreamASRAgent(EchoStreamS2TTAgent):
    """Writes the transcription in whole words while the source is still being heard."""

    output = Output.TRANSCRIPTION
