"""Sessions that write at a fixed rate, so that systems with random weights can be compared.

A random model's heads and its end-of-sentence score would decide by chance how much is written, and what is
written decides most of the cost. So some outcomes are given; the work that leads to them is done still:

- the policy writes one subword for each 320 ms of source (at 160 ms chunks with every second chunk, at 640 ms
  two at a time), whatever the CTC heads have found; the heads run on every frame;
- the MT decoder chooses its best subword, but never the end of the sentence before the end of the text
  segment, where it chooses it at once, so that a flush costs one position;
- the text-to-unit encoder and the unit decoder compute all their positions, and their best labels are
  collapsed; then 16 given units (0.32 s of speech) for each subword take the place of the result, so that the
  speech is as long as the source;
- the duration predictor runs, and its last layer makes it say one frame for each unit;
- a text segment ends at the latest point that the engine allows, so that its histories grow long.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from echostream.inference.incremental import IncrementalPipeline, IncrementalState
from echostream.inference.interfaces import Vocoder
from echostream.inference.loaded_model import LoadedModel
from echostream.inference.options import Output, SessionOptions
from echostream.inference.recompute import RecomputedState, RecomputingPipeline
from echostream.inference.segmentation import HARD_LIMIT, fullness
from echostream.inference.session import Session
from echostream.policy.read_write import Action, Decision, PolicyState, WaitKPolicy

SUBWORD_MS = 320
UNITS_A_SUBWORD = 16
SAMPLE_RATE = 16000
LONGEST_TEXT_SUBWORDS = 1 << 20  # the window alone ends a text segment
_NUM_GIVEN_UNITS = 97  # a prime, so that the subwords' units differ


@dataclass(frozen=True)
class System:
    """What is compared.

    Args:
        arch: architecture of the model.
        is_recomputed: every stage runs from the start at every chunk, as StreamSpeech's public agent does.
    """

    arch: str
    is_recomputed: bool = False


SYSTEMS = {
    "echostream": System("echostream"),
    "streamspeech": System("streamspeech"),
    "streamspeech-recompute": System("streamspeech", is_recomputed=True),
}


def num_due_subwords(source_ms: int) -> int:
    """Subwords that are written after so much source."""
    return source_ms // SUBWORD_MS


def longest_segment_ms(chunk_ms: int, window_ms: int = SessionOptions.window_ms) -> int:
    """Source audio of a text segment that ends at the latest point, a multiple of the chunk."""
    return math.ceil(HARD_LIMIT * window_ms / chunk_ms) * chunk_ms


def given_units(begin_subword: int, end_subword: int, num_units: int) -> list[int]:
    """The units of subwords `begin_subword` to `end_subword - 1`; no two neighbours are equal.

    Args:
        begin_subword, end_subword: subwords.
        num_units: size of the unit inventory.
    """
    size = min(_NUM_GIVEN_UNITS, num_units)
    return [index % size for index in range(begin_subword * UNITS_A_SUBWORD, end_subword * UNITS_A_SUBWORD)]


@dataclass(frozen=True)
class FixedRatePolicy(WaitKPolicy):
    """Writes as many subwords as the source's length says.

    Args:
        chunk_ms: source audio between two decisions.
    """

    chunk_ms: int = 320

    def decide(
        self,
        state: PolicyState,
        source_tokens: int,
        target_tokens: int,
        *,
        num_chunks: int = 0,
        source_finished: bool = False,
    ) -> Decision:
        """Decide after a chunk; the tokens of the heads play no part."""
        limit = num_due_subwords(num_chunks * self.chunk_ms)
        if limit <= state.written_subwords:
            return Decision(Action.READ)
        return Decision(Action.WRITE, limit)


@dataclass(frozen=True)
class ForcedOptions(SessionOptions):
    """A session's settings with the policy of a fixed rate."""

    def policy(self) -> FixedRatePolicy:
        """The policy of a fixed rate."""
        return FixedRatePolicy(waitk_lagging=1, chunk_ms=self.chunk_ms)


class SentenceEnd:
    """Sets the end-of-sentence score of a decoder's output: the lowest of all, or when due the highest.

    Args:
        output_projection: gives the scores `[..., V]`.
        eos: index of the end of the sentence.
    """

    def __init__(self, output_projection: nn.Module, eos: int) -> None:
        self.is_due = False
        self.eos = eos
        self.handle = output_projection.register_forward_hook(self._set_score)

    def _set_score(self, module: nn.Module, inputs: Any, scores: Tensor) -> Tensor:
        scores[..., self.eos] = torch.inf if self.is_due else -torch.inf
        return scores


class ForcedIncrementalPipeline(IncrementalPipeline):
    """The incremental stages, writing what is given; see the module's documentation."""

    def __init__(self, loaded: LoadedModel, vocoder: Vocoder, end: SentenceEnd) -> None:
        super().__init__(loaded, vocoder, Output.SPEECH)
        self.end = end

    def extend_text(self, state: IncrementalState, decision: Decision, options: SessionOptions) -> int:
        """Decode subwords; the sentence ends at a flush."""
        self.end.is_due = decision.max_subwords is None
        return super().extend_text(state, decision, options)

    def extend_units(self, state: IncrementalState, options: SessionOptions, *, is_final: bool) -> list[int]:
        """Compute units, and return the given ones."""
        num_new = state.features.size(1) - int(is_final and state.text_finished)
        super().extend_units(state, options, is_final=is_final)
        num_known = len(state.tokens)
        return given_units(num_known - num_new, num_known, _num_units(self.loaded))


class ForcedRecomputingPipeline(RecomputingPipeline):
    """The recomputed stages, writing what is given; see the module's documentation."""

    def __init__(self, loaded: LoadedModel, vocoder: Vocoder, end: SentenceEnd) -> None:
        super().__init__(loaded, vocoder, Output.SPEECH, is_masked=False)
        self.end = end

    def extend_text(self, state: RecomputedState, decision: Decision, options: SessionOptions) -> int:
        """Decode subwords; the sentence ends at a flush."""
        self.end.is_due = decision.max_subwords is None
        return super().extend_text(state, decision, options)

    def extend_units(self, state: RecomputedState, options: SessionOptions, *, is_final: bool) -> list[int]:
        """Compute units, and return the given ones."""
        num_before = len(state.units)
        super().extend_units(state, options, is_final=is_final)
        state.units = given_units(0, len(state.tokens), _num_units(self.loaded))
        return state.units[num_before:]


class ForcedSession(Session):
    """A session whose text segments wait for no pause, which random CTC heads would make by chance."""

    def _segment_ends(self) -> bool:
        if self.options.window_ms == 0:
            return False
        age_ms = self.heard_ms - self.state.segment_start_ms
        return fullness(age_ms, len(self.state.pipeline.tokens), self.options) >= HARD_LIMIT


class ForcedTranslator:
    """Makes sessions that write at the fixed rate.

    Args:
        loaded: the model; a hook on its output projection stays.
        vocoder: of the model's units.
        is_recomputed: see `System`; such a session is one utterance, without windows.
    """

    def __init__(self, loaded: LoadedModel, vocoder: Vocoder, *, is_recomputed: bool = False) -> None:
        self.loaded = loaded
        self.vocoder = vocoder
        self.is_recomputed = is_recomputed
        projection: Any = loaded.model.mt_decoder
        self.end = SentenceEnd(projection.output_projection, loaded.text_vocabulary.eos)

    def start(
        self, chunk_ms: int, *, window_ms: int = SessionOptions.window_ms, waits_for_pauses: bool = False
    ) -> Session:
        """Begin a stream of 16 kHz audio.

        Args:
            chunk_ms: source audio between two decisions.
            window_ms: of a text segment.
            waits_for_pauses: text segments end as the engine has it, by what the random ASR head finds.
        """
        options = ForcedOptions(
            chunk_ms=chunk_ms,
            dur_prediction=True,
            max_len=LONGEST_TEXT_SUBWORDS,
            window_ms=0 if self.is_recomputed else window_ms,
        )
        kind: Any = ForcedRecomputingPipeline if self.is_recomputed else ForcedIncrementalPipeline
        session_kind = Session if waits_for_pauses else ForcedSession
        return session_kind(self.loaded, kind(self.loaded, self.vocoder, self.end), options, SAMPLE_RATE)

    def start_after(self, chunk_ms: int, heard: Tensor) -> Session:
        """A recomputed session that has heard some whole chunks: its state is what was heard and written.

        Args:
            chunk_ms: source audio between two decisions.
            heard: `[n]`, samples of whole chunks.
        Raises:
            ValueError: for an incremental session, whose state only a run gives.
        """
        session = self.start(chunk_ms)
        state = session.state
        if not isinstance(state.pipeline, RecomputedState):
            raise ValueError("only a recomputed session can be started in the middle of a stream")
        num_subwords = num_due_subwords(heard.numel() * 1000 // SAMPLE_RATE)
        vocabulary = self.loaded.text_vocabulary
        first_word = vocabulary.unk + 1
        state.pipeline.samples = heard
        state.pipeline.tokens = [
            first_word + index % (len(vocabulary) - first_word) for index in range(num_subwords)
        ]
        state.pipeline.units = given_units(0, num_subwords, _num_units(self.loaded))
        state.num_heard_samples = heard.numel()
        state.num_segment_chunks = heard.numel() * 1000 // SAMPLE_RATE // chunk_ms
        return session


def _num_units(loaded: LoadedModel) -> int:
    return sum(symbol.isdecimal() for symbol in loaded.unit_vocabulary.symbols)
