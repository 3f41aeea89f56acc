"""Real-time speech synthesis from text: the entry file for `simuleval --agent`."""

from simuleval.utils import entrypoint

from echostream.agents.tts import EchoStreamTTSAgent


@entrypoint
class Agent(EchoStreamTTSAgent):
    """The agent of `echostream.agents.tts`."""
