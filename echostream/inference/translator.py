"""The entry to simultaneous inference: a model that many sessions share."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from echostream.inference.incremental import IncrementalPipeline
from echostream.inference.interfaces import Vocoder
from echostream.inference.loaded_model import LoadedModel
from echostream.inference.options import Output, SessionOptions
from echostream.inference.pipeline import Pipeline, encoder_chunk_size
from echostream.inference.recompute import RecomputingPipeline
from echostream.inference.session import Session


class StreamingTranslator:
    """Makes sessions over one model; nothing of a session is kept here.

    Args:
        loaded: the model with its dictionaries and normalisation.
        vocoder: the unit vocoder, on the model's device; needed for speech.
        options: settings that sessions start with.
        recompute: run every stage from the start at every chunk; see `RecomputingPipeline`.
    Raises:
        ValueError: for speech without a vocoder, or settings that the model cannot have.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        vocoder: Vocoder | None = None,
        options: SessionOptions | None = None,
        *,
        recompute: bool = False,
    ) -> None:
        self.loaded = loaded
        self.vocoder = vocoder
        self.recompute = recompute
        if options is None:
            options = SessionOptions(output=Output.TEXT if vocoder is None else Output.SPEECH)
        self.options = options
        self._check(self.options)

    def start(self, *, sample_rate: int = 16000, **options: Any) -> Session:
        """Begin a stream.

        Args:
            sample_rate: rate of its samples in Hz.
            options: fields of `SessionOptions` that differ from the translator's.
        Raises:
            AudioError: for a rate that is no positive whole number.
            ValueError: for bad settings.
        """
        chosen = replace(self.options, **options)
        self._check(chosen)
        return Session(self.loaded, self._pipeline(chosen.output), chosen, sample_rate)

    def restore(self, snapshot: Mapping[str, Tensor], *, sample_rate: int = 16000, **options: Any) -> Session:
        """Go on from a snapshot that a session with the same settings and sample rate made.

        Args:
            snapshot: from `Session.snapshot`; it stays as it is.
            sample_rate: as in `start`.
            options: as in `start`.
        Raises:
            ValueError: when it does not fit the model or the settings.
        """
        session = self.start(sample_rate=sample_rate, **options)
        session.state.load_tensors(snapshot)
        if session.state.buffer.sample_rate != sample_rate:
            raise ValueError(
                f"the snapshot is of a stream at {session.state.buffer.sample_rate} Hz, not {sample_rate} Hz"
            )
        session.state.buffer.set_chunk_ms(session.options.chunk_ms)
        return session

    def _pipeline(self, output: Output) -> Pipeline:
        kind = RecomputingPipeline if self.recompute else IncrementalPipeline
        return kind(self.loaded, self.vocoder, output)

    def _check(self, options: SessionOptions) -> None:
        if options.output is Output.SPEECH and self.vocoder is None:
            raise ValueError("speech output needs a vocoder")
        text_to_unit = self.loaded.model.text_to_unit_encoder
        is_causal = getattr(text_to_unit, "unidirectional", True)
        if options.output is Output.SPEECH and not self.recompute and not is_causal:
            raise ValueError(
                "this model's text-to-unit encoder reads the text in both directions (it was trained "
                "without --uni-encoder), so speech cannot be incremental: recompute everything at every "
                "chunk (recompute=True, --recompute), or write text only"
            )
        encoder_chunk_size(self.loaded.model, options.chunk_ms, options.segment_length)
