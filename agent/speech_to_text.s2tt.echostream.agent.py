"""Simultaneous speech-to-text translation: the entry file for `simuleval --agent`."""

from simuleval.utils import entrypoint

from echostream.agents.s2tt import EchoStreamS2TTAgent


@entrypoint
class Agent(EchoStreamS2TTAgent):
    """The agent of `echostream.agents.s2tt`."""
