"""Streaming speech recognition: the entry file for `simuleval --agent`."""

from simuleval.utils import entrypoint

from echostream.agents.asr import EchoStreamASRAgent


@entrypoint
class Agent(EchoStreamASRAgent):
    """The agent of `echostream.agents.asr`."""
