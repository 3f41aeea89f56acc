"""Simultaneous speech-to-speech translation."""

import json
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path

from simuleval.agents.actions import Action, ReadAction, WriteAction
from simuleval.data.segments import SpeechSegment

from echostream.agents import options
from echostream.agents.option_checks import OptionError
from echostream.agents.session_agent import SessionAgent
from echostream.inference.loaded_model import LoadedModel
from echostream.inference.session import Output, SessionOptions, StepResult, StreamingTranslator
from echostream.inference.unit_synthesis import UnitSynthesizer
from echostream.vocoder.code_hifigan import CodeHiFiGANVocoder


def load_vocoder(args: Namespace, loaded: LoadedModel) -> CodeHiFiGANVocoder:
    """The vocoder of the options, or else of the data configuration.

    Raises:
        OptionError: when none is named, or it knows fewer units than the model writes.
        FileNotFoundError, ValueError: when it cannot be loaded.
    """
    configured = loaded.vocoder_config or {}
    checkpoint = args.vocoder or configured.get("checkpoint")
    config_path = args.vocoder_cfg or configured.get("config")
    if not checkpoint or not config_path:
        raise OptionError("speech output needs --vocoder and --vocoder-cfg")
    if not Path(config_path).is_file():
        raise FileNotFoundError(f"{config_path}: no such vocoder configuration; check --vocoder-cfg")
    try:
        config = json.loads(Path(config_path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"{config_path}: the vocoder configuration is not JSON ({error})") from error
    vocoder = CodeHiFiGANVocoder(checkpoint, config).eval()
    num_units = sum(symbol.isdecimal() for symbol in loaded.unit_vocabulary.symbols)
    if vocoder.num_embeddings < num_units:
        raise OptionError(
            f"{checkpoint}: knows {vocoder.num_embeddings} units, but the model writes {num_units}; "
            "use the vocoder of the same units"
        )
    return vocoder.to(loaded.device)


class EchoStreamS2STAgent(SessionAgent):
    """Speaks the translation while the source is still being heard."""

    target_type = "speech"
    output = Output.SPEECH

    @staticmethod
    def add_args(parser: ArgumentParser) -> None:
        """Add the options of the agent and of its vocoder."""
        SessionAgent.add_args(parser)
        options.add_speech_args(parser)

    def session_options(self, args: Namespace) -> SessionOptions:
        """The session's settings, those of the units included."""
        return replace(
            super().session_options(args),
            lagging_k2=args.lagging_k2,
            stride_n2=args.stride_n2,
            dur_prediction=args.dur_prediction,
        )

    def build_session(self, args: Namespace, loaded: LoadedModel) -> StreamingTranslator:
        """A session with the vocoder."""
        synthesizer = UnitSynthesizer(
            load_vocoder(args, loaded), dur_prediction=args.dur_prediction, device=loaded.device
        )
        return StreamingTranslator(loaded, self.session_options(args), synthesizer)

    def act(self, result: StepResult) -> Action:
        """WRITE new samples; the last call always writes, if only the end."""
        if not result.waveform.size and not result.is_final:
            return ReadAction()
        assert self.session.synthesizer is not None
        segment = SpeechSegment(
            content=result.waveform.tolist(),
            sample_rate=self.session.synthesizer.sample_rate,
            finished=result.is_final,
        )
        return WriteAction(segment, finished=result.is_final)
