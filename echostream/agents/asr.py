"""Streaming speech recognition with the source CTC head."""

from echostream.agents.s2tt import EchoStreamS2TTAgent
from echostream.inference.options import Output
from echostream.inference.outputs import StepOutput


class EchoStreamASRAgent(EchoStreamS2TTAgent):
    """Writes the transcription in whole words while the source is still being heard."""

    output = Output.TRANSCRIPTION

    def new_text(self, output: StepOutput) -> str:
        """Return what is written of an output."""
        return output.source_text
