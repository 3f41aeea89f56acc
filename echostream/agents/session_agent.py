"""What the three agents share: a session fed with SimulEval's segments."""

from argparse import ArgumentParser, Namespace
from typing import Any

import numpy as np
import torch
from simuleval.agents import GenericAgent
from simuleval.agents.actions import Action
from simuleval.agents.states import AgentStates

from echostream.agents import options
from echostream.agents.option_checks import OptionError, check_options, resolve_device
from echostream.agents.text_log import TextLog
from echostream.data.fbank import SAMPLE_RATE, GlobalCMVN
from echostream.evaluation.asr_bleu import add_asr_args
from echostream.inference.loaded_model import LoadedModel
from echostream.inference.loading import load_model
from echostream.inference.session import Output, SessionOptions, StepResult, StreamingTranslator


class SessionAgent(GenericAgent):
    """A SimulEval agent over one `StreamingTranslator`; subclasses say what is written.

    Args:
        args: the parsed options.
    Raises:
        ValueError, FileNotFoundError: for bad options or files.
    """

    source_type = "speech"
    output: Output

    def __init__(self, args: Namespace) -> None:
        check_options(args)
        self.loaded = self._load(args, resolve_device(args.device))
        self.session = self.build_session(args, self.loaded)
        self.text_log = TextLog(args, self.output)
        super().__init__(args)
        self.device = str(self.loaded.device)

    @staticmethod
    def add_args(parser: ArgumentParser) -> None:
        """Add the options that all agents share, and those of the recogniser behind ASR_BLEU."""
        options.add_model_args(parser)
        options.add_policy_args(parser)
        options.add_compatibility_args(parser)
        add_asr_args(parser)

    @staticmethod
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

    def session_options(self, args: Namespace) -> SessionOptions:
        """The session's settings."""
        return SessionOptions(
            output=self.output,
            chunk_ms=args.source_segment_size,
            lagging_k1=args.lagging_k1,
            stride_n=args.stride_n,
            max_len=args.max_len,
            segment_length=args.segment_length,
        )

    def build_session(self, args: Namespace, loaded: LoadedModel) -> StreamingTranslator:
        """A session over the loaded model."""
        return StreamingTranslator(loaded, self.session_options(args))

    def reset(self) -> None:
        """Start another utterance: SimulEval's states, the session, and the encoder's cache."""
        super().reset()
        self.session.reset()
        self.text_log.reset()

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
            self.session = self.build_session(self.args, self.loaded)
        self.device = str(target)

    def policy(self, states: AgentStates | None = None) -> Action:
        """Feed what SimulEval delivered, and write what the session wrote."""
        if states is not None and states is not self.states:
            raise RuntimeError("this agent keeps its own state; make one agent for each stream")
        samples = np.asarray(self.states.source, dtype=np.float32)
        self.states.source = []  # the session remembers what it needs
        result = self.session.push(
            samples, self.states.source_sample_rate or SAMPLE_RATE, is_final=self.states.source_finished
        )
        self.text_log.show(result)
        if result.is_final:
            self.text_log.write(result, self.session.units)
        return self.act(result)

    def act(self, result: StepResult) -> Action:
        """The SimulEval action for a result."""
        raise NotImplementedError
