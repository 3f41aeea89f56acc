"""Simultaneous speech-to-text translation."""

from simuleval.agents.actions import Action, ReadAction, WriteAction

from echostream.agents.session_agent import SessionAgent
from echostream.inference.options import Output
from echostream.inference.outputs import StepOutput


class EchoStreamS2TTAgent(SessionAgent):
    """Writes the translation in whole words while the source is still being heard."""

    target_type = "text"
    output = Output.TEXT

    def act(self, output: StepOutput) -> Action:
        """WRITE new words; the last call always writes, if only the end."""
        text = self.new_text(output)
        if not text and not output.is_final:
            return ReadAction()
        return WriteAction(text, finished=output.is_final)

    def new_text(self, output: StepOutput) -> str:
        """Return what is written of an output."""
        return output.target_text
