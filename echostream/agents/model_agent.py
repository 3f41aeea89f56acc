"""What all agents share: a model, loaded from the options, on a device."""

from argparse import ArgumentParser, Namespace
from typing import Any

import torch
from simuleval.agents import GenericAgent
from simuleval.agents.actions import Action, ReadAction, WriteAction
from simuleval.agents.states import AgentStates
from simuleval.data.segments import SpeechSegment

from echostream.agents import options
from echostream.agents.option_checks import OptionError, check_options, resolve_device
from echostream.agents.settings import MODEL_SETTINGS, SPEECH_SETTINGS, add_settings
from echostream.data.fbank import GlobalCMVN
from echostream.evaluation.asr_bleu import add_asr_args
from echostream.inference.interfaces import CachedEncoder
from echostream.inference.loaded_model import LoadedModel
from echostream.inference.loading import load_model
from echostream.inference.options import SessionOptions
from echostream.inference.outputs import StepOutput


class ModelAgent(GenericAgent):
    """A SimulEval agent over one model; subclasses say what they hear and what they write.

    Args:
        args: the parsed options.
    Raises:
        ValueError, FileNotFoundError: for bad options or files.
    """

    def __init__(self, args: Namespace) -> None:
        check_options(args)
        self.settings = self.session_options(args)  # bad values are refused before anything is loaded
        self.loaded = _load(args, resolve_device(args.device))
        self.build(args)
        super().__init__(args)
        self.device = str(self.loaded.device)

    @staticmethod
    def add_args(parser: ArgumentParser) -> None:
        """Add the options that all agents share, and those of the recogniser behind ASR_BLEU."""
        options.add_model_args(parser)
        add_settings(parser, {**MODEL_SETTINGS, **SPEECH_SETTINGS})
        options.add_compatibility_args(parser)
        add_asr_args(parser)

    def session_options(self, args: Namespace) -> SessionOptions:
        """Return the session's settings."""
        raise NotImplementedError

    def build(self, args: Namespace) -> None:
        """Make what runs over the loaded model."""
        raise NotImplementedError

    def reset(self) -> None:
        """Start another utterance: SimulEval's states, and the encoder's cache."""
        super().reset()
        encoder = self.loaded.model.encoder
        if isinstance(encoder, CachedEncoder):
            encoder.reset_cache()

    def to(self, device: str, *args: Any, fp16: bool = False, **kwargs: Any) -> None:
        """Move the agent; half precision is for CUDA only.

        Raises:
            OptionError: for half precision elsewhere.
        """
        target = resolve_device(device)
        if fp16 and target.type != "cuda":
            raise OptionError("half precision (--fp16, --dtype fp16) needs --device cuda")
        dtype = torch.float16 if fp16 else torch.float32
        if (target, dtype) != (self.loaded.device, self.loaded.dtype):
            self.loaded = self.loaded.to(target, dtype)
            self.build(self.args)
            self.reset()
        self.device = str(target)

    def policy(self, states: AgentStates | None = None) -> Action:
        """Feed what SimulEval delivered, and write what has become final."""
        if states is not None and states is not self.states:
            raise RuntimeError("this agent keeps its own state; make one agent for each stream")
        source, self.states.source = self.states.source, []  # the session remembers what it needs
        return self.act(self.step(source, is_final=self.states.source_finished))

    def step(self, source: list[Any], *, is_final: bool) -> StepOutput:
        """Give the session the next part of the source."""
        raise NotImplementedError

    def act(self, output: StepOutput) -> Action:
        """Return the SimulEval action for an output."""
        raise NotImplementedError


def write_speech(output: StepOutput, sample_rate: int) -> Action:
    """WRITE new samples; the last call always writes, if only the end."""
    if not output.waveform.size and not output.is_final:
        return ReadAction()
    content, finished = output.waveform.tolist(), output.is_final
    segment = SpeechSegment(content=content, sample_rate=sample_rate, finished=finished)
    return WriteAction(segment, finished=finished)


def _load(args: Namespace, device: torch.device) -> LoadedModel:
    loaded = load_model(
        args.model_path,
        data_bin=args.data_bin,
        config_yaml=args.config_yaml,
        multitask_config_yaml=args.multitask_config_yaml,
        device=device,
    )
    if args.global_stats is not None:
        loaded.cmvn = GlobalCMVN.from_npz(args.global_stats)
    return loaded
