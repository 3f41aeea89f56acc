"""Real-time speech synthesis from text that is still being written."""

from argparse import ArgumentParser, Namespace
from typing import Any

from simuleval.agents.actions import Action

from echostream.agents.model_agent import ModelAgent, write_speech
from echostream.agents.settings import MODEL_SETTINGS, SPEECH_SETTINGS, given_settings
from echostream.evaluation.text_to_speech import add_word_args
from echostream.inference.options import SessionOptions
from echostream.inference.outputs import StepOutput
from echostream.inference.subwords import load_splitter
from echostream.inference.text_to_speech import SOURCE_SILENCE_MS, SpeechSynthesizer
from echostream.inference.vocoder_loading import load_vocoder


class EchoStreamTTSAgent(ModelAgent):
    """Speaks a text of the target language while it is still being written."""

    source_type = "text"
    target_type = "speech"

    @staticmethod
    def add_args(parser: ArgumentParser) -> None:
        """Add the agent's options."""
        ModelAgent.add_args(parser)
        add_word_args(parser)
        parser.add_argument(
            "--source-silence-ms",
            type=int,
            default=SOURCE_SILENCE_MS,
            help="silence that the encoder hears in place of a source (ms)",
        )
        # Units see their own subword only with a look-ahead of one: see SpeechSynthesizer.
        parser.set_defaults(lagging_k2=1)

    def session_options(self, args: Namespace) -> SessionOptions:
        """Return the session's settings; no policy plays a part."""
        return SessionOptions(**given_settings(args, {**MODEL_SETTINGS, **SPEECH_SETTINGS}))

    def build(self, args: Namespace) -> None:
        """Make the synthesizer."""
        self.synthesizer = SpeechSynthesizer(
            self.loaded,
            load_vocoder(args.vocoder, args.vocoder_cfg, self.loaded),
            self.settings,
            load_splitter(self.loaded, args.tgt_splitter_path),
            source_silence_ms=args.source_silence_ms,
        )

    def reset(self) -> None:
        """Start another text."""
        super().reset()
        self.session = self.synthesizer.start()

    def step(self, source: list[Any], *, is_final: bool) -> StepOutput:
        """Give the session words."""
        return self.session.step(" ".join(source), is_final=is_final)

    def act(self, output: StepOutput) -> Action:
        """WRITE new samples; the last call always writes, if only the end."""
        return write_speech(output, self.synthesizer.vocoder.sample_rate)
