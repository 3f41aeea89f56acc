"""What the agents that hear speech share: a session fed with SimulEval's segments."""

import time
from argparse import ArgumentParser, Namespace
from typing import Any

import numpy as np

from echostream.agents import options
from echostream.agents.model_agent import ModelAgent
from echostream.agents.settings import (
    ALL_SETTINGS,
    POLICY_SETTINGS,
    SEGMENT_SETTINGS,
    add_settings,
    given_settings,
)
from echostream.agents.text_log import TextLog
from echostream.data.audio import SAMPLE_RATE
from echostream.inference.options import Output, SessionOptions
from echostream.inference.outputs import StepOutput
from echostream.inference.session import Session
from echostream.inference.translator import StreamingTranslator
from echostream.vocoder.code_hifigan import CodeHiFiGANVocoder


class SessionAgent(ModelAgent):
    """An agent over one session of `StreamingTranslator` at a time, an utterance long.

    Options of speech output are accepted by the agents that write text too, and not used.

    Args:
        args: the parsed options.
    Raises:
        ValueError, FileNotFoundError: for bad options or files.
    """

    source_type = "speech"
    output: Output
    text_log: TextLog | None = None

    def __init__(self, args: Namespace) -> None:
        super().__init__(args)
        self.text_log = TextLog(args, self.output)

    @staticmethod
    def add_args(parser: ArgumentParser) -> None:
        """Add the agent's options."""
        ModelAgent.add_args(parser)
        add_settings(parser, {**POLICY_SETTINGS, **SEGMENT_SETTINGS})
        options.add_session_args(parser)

    def session_options(self, args: Namespace) -> SessionOptions:
        """Return the session's settings."""
        return SessionOptions(
            output=self.output, chunk_ms=args.source_segment_size, **given_settings(args, ALL_SETTINGS)
        )

    def load_vocoder(self, args: Namespace) -> CodeHiFiGANVocoder | None:
        """Return the vocoder, if the agent speaks."""
        return None

    def build(self, args: Namespace) -> None:
        """Make the translator."""
        self.translator = StreamingTranslator(
            self.loaded, self.load_vocoder(args), self.settings, recompute=args.recompute
        )

    def reset(self) -> None:
        """Start another utterance; its session begins with its first samples, whose rate it takes."""
        super().reset()
        self.session: Session | None = None
        if self.text_log is not None:
            self.text_log.reset()

    def step(self, source: list[Any], *, is_final: bool) -> StepOutput:
        """Give the session samples: floats, or a list of floats for each moment of several channels."""
        begin_s = time.perf_counter()
        sample_rate = self.states.source_sample_rate or None
        if self.session is None:
            if not source and not is_final:
                return StepOutput()
            self.session = self.translator.start(sample_rate=sample_rate or SAMPLE_RATE)
        output = self.session.step(np.asarray(source), is_final=is_final, sample_rate=sample_rate)
        assert self.text_log is not None
        self.text_log.add(output, compute_ms=1000 * (time.perf_counter() - begin_s))
        return output
