"""Simultaneous speech-to-speech translation."""

from argparse import Namespace

from simuleval.agents.actions import Action

from echostream.agents.model_agent import write_speech
from echostream.agents.session_agent import SessionAgent
from echostream.inference.options import Output
from echostream.inference.outputs import StepOutput
from echostream.inference.vocoder_loading import load_vocoder
from echostream.vocoder.code_hifigan import CodeHiFiGANVocoder


class EchoStreamS2STAgent(SessionAgent):
    """Speaks the translation while the source is still being heard."""

    target_type = "speech"
    output = Output.SPEECH

    def load_vocoder(self, args: Namespace) -> CodeHiFiGANVocoder:
        """Return the vocoder of the options, or else of the data configuration."""
        return load_vocoder(args.vocoder, args.vocoder_cfg, self.loaded)

    def act(self, output: StepOutput) -> Action:
        """WRITE new samples; the last call always writes, if only the end."""
        assert self.translator.vocoder is not None
        return write_speech(output, self.translator.vocoder.sample_rate)
