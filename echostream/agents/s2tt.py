"""Simultaneous speech-to-text translation."""

from argparse import ArgumentParser

from simuleval.agents.actions import Action, ReadAction, WriteAction

from echostream.agents import options
from echostream.agents.session_agent import SessionAgent
from echostream.inference.session import Output, StepResult


class EchoStreamS2TTAgent(SessionAgent):
    """Writes the translation in whole words while the source is still being heard."""

    target_type = "text"
    output = Output.TEXT

    @staticmethod
    def add_args(parser: ArgumentParser) -> None:
        """Add the agent's options; those of speech output are accepted and not used."""
        SessionAgent.add_args(parser)
        options.add_speech_args(parser)

    def act(self, result: StepResult) -> Action:
        """WRITE new words; the last call always writes, if only the end."""
        if not result.text and not result.is_final:
            return ReadAction()
        return WriteAction(result.text, finished=result.is_final)
