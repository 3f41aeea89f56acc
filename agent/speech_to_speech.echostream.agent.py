"""Simultaneous speech-to-speech translation: the entry file for `simuleval --agent`."""

from simuleval.utils import entrypoint

from echostream.agents.s2st import EchoStreamS2STAgent


@entrypoint
class Agent(EchoStreamS2STAgent):
    """The agent of `echostream.agents.s2st`."""
