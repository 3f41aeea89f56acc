"""One stream of simultaneous translation: samples in; transcription, text, units and samples out."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from echostream.data.audio import AudioError, Samples, check_sample_rate, to_mono
from echostream.inference.chunking import ENCODER_FRAME_MS, ChunkBuffer
from echostream.inference.loaded_model import LoadedModel
from echostream.inference.options import Output, SessionOptions
from echostream.inference.outputs import StepOutput, TimedWord, join
from echostream.inference.pipeline import Pipeline, PipelineState, encoder_chunk_size
from echostream.inference.segmentation import fullness, segment_ends
from echostream.inference.vocabulary import WordEmitter, word_end_frames
from echostream.policy.read_write import Action, Decision, PolicyState
from echostream.streaming import StreamFinishedError, StreamState


@dataclass
class SessionState(StreamState):
    """All that a session remembers; tensors and numbers only.

    Args:
        buffer: samples that wait for their chunk.
        pipeline: of the model's stages.
        source_words, target_words: words of the text segment that were handed out.
        written_source_tokens, written_target_tokens: tokens of the heads at the last write.
        num_heard_samples: samples of the chunks decided upon.
        segment_start_ms: where the text segment begins in the source.
        num_segment_chunks: chunks of the text segment.
        num_segments: text segments that are finished.
        num_written_samples: samples of speech handed out.
        is_loud: the text segment holds a chunk above the silence guard's level.
    """

    buffer: ChunkBuffer
    pipeline: PipelineState
    source_words: WordEmitter = field(default_factory=WordEmitter)
    target_words: WordEmitter = field(default_factory=WordEmitter)
    written_source_tokens: int = 0
    written_target_tokens: int = 0
    num_heard_samples: int = 0
    segment_start_ms: int = 0
    num_segment_chunks: int = 0
    num_segments: int = 0
    num_written_samples: int = 0
    is_loud: bool = False


class Session:
    """A stream; `StreamingTranslator.start` makes it, and many may share a model.

    What comes out depends on the samples and the settings, not on how the samples are delivered: the policy
    decides after each whole chunk, and once more at the end.

    Args:
        loaded: the model.
        pipeline: how its stages are run.
        options: settings.
        sample_rate: rate of the stream in Hz.
    """

    def __init__(
        self, loaded: LoadedModel, pipeline: Pipeline, options: SessionOptions, sample_rate: int
    ) -> None:
        self.loaded = loaded
        self.options = options
        self.sample_rate = check_sample_rate(sample_rate)
        self._pipeline = pipeline
        self.state = SessionState(
            ChunkBuffer.create(self.sample_rate, options.chunk_ms), pipeline.init_state(self.sample_rate)
        )

    @property
    def heard_ms(self) -> int:
        """Source audio decided upon so far."""
        return self.state.num_heard_samples * 1000 // self.sample_rate

    def configure(self, **latency: Any) -> None:
        """Change latency settings in mid-stream; they hold from the next chunk, or segment, on.

        Args:
            latency: fields of `SessionOptions` that are in `LATENCY_SETTINGS`.
        Raises:
            ValueError: for another setting or a bad value; nothing is changed then.
        """
        options = self.options.with_latency(**latency)
        encoder_chunk_size(self.loaded.model, options.chunk_ms, options.segment_length)
        self.options = options
        self.state.buffer.set_chunk_ms(self.options.chunk_ms)

    @torch.inference_mode()
    def step(
        self, samples: npt.ArrayLike, *, is_final: bool = False, sample_rate: int | None = None
    ) -> StepOutput:
        """Take the next samples, and return what they let the session write.

        Args:
            samples: `[n]` or `[n, channels]`, n >= 0; floats in [-1, 1], or 16- or 32-bit integers.
            is_final: the stream ends here; everything is flushed.
            sample_rate: their rate in Hz, if it is to be checked against the session's.
        Returns:
            what became final, and what is tentative.
        Raises:
            AudioError: for bad samples, or another rate than the session's; the session can go on.
            StreamFinishedError: after the final step.
        """
        if self.state.finished:
            raise StreamFinishedError("the stream is over; start another session for the next one")
        if sample_rate is not None and check_sample_rate(sample_rate) != self.sample_rate:
            raise AudioError(
                f"the sample rate changed from {self.sample_rate} to {sample_rate} Hz within a stream; "
                "start another session for another rate"
            )
        chunks = self.state.buffer.push(to_mono(samples), is_final=is_final)
        self.state.begin_step(is_final=is_final)
        pieces = [self._chunk(chunk, is_final=False) for chunk in chunks[: len(chunks) - int(is_final)]]
        if is_final:
            pieces.append(self._chunk(chunks[-1], is_final=True))
        return self._merge(pieces)

    def snapshot(self) -> dict[str, Tensor]:
        """Everything that the session remembers, as tensors by name; `StreamingTranslator.restore` goes on
        from it. The settings are not in it.
        """
        return self.state.to_tensors()

    def _chunk(self, chunk: Samples, *, is_final: bool) -> StepOutput:
        """One chunk: hear it, then READ or WRITE, and end the text segment where it ends."""
        state = self.state
        state.num_heard_samples += chunk.size
        state.num_segment_chunks += 1
        is_silent = self._is_silent(chunk)
        state.is_loud |= not is_silent
        self._pipeline.hear(chunk, state.pipeline, self.options, is_final=is_final)
        if is_final:
            return self._end_segment() if self._has_content() else StepOutput()
        written = StepOutput(source_words=self._new_source_words(is_complete=False))
        if self.options.output is not Output.TRANSCRIPTION and not is_silent:
            written = join([written, self._decide()])
        if self._segment_ends():
            if self._has_content():
                self._pipeline.end_segment(state.pipeline, self.options)
                written = join([written, self._end_segment()])
            self._start_segment()
        return written

    def _decide(self) -> StepOutput:
        state, parts = self.state, self.state.pipeline
        counts = (len(parts.asr.tokens), self._pipeline.num_confirmed_tokens(parts))
        policy = self.options.policy()
        before = PolicyState(state.written_source_tokens, state.written_target_tokens, len(parts.tokens))
        decision = policy.decide(before, *counts, num_chunks=state.num_segment_chunks)
        if decision.action is Action.READ:
            return StepOutput()
        written = self._write(decision)
        after = policy.after_write(before, *counts, len(parts.tokens))
        state.written_source_tokens, state.written_target_tokens = after.source_tokens, after.target_tokens
        return written

    def _write(self, decision: Decision) -> StepOutput:
        """Decode text, and for speech units and samples, as far as the decision allows."""
        parts = self.state.pipeline
        is_flush = decision.max_subwords is None
        num_new = self._pipeline.extend_text(parts, decision, self.options)
        words = self.state.target_words.push(
            self.loaded.text_vocabulary.pieces(parts.tokens),
            is_complete=is_flush or decision.drops_incomplete_word,
        )
        units: list[int] = []
        waveform: Samples = np.zeros(0, dtype=np.float32)
        if self.options.output is Output.SPEECH and (num_new or is_flush):
            units = self._pipeline.extend_units(parts, self.options, is_final=is_flush)
            waveform = self._pipeline.speak(units, parts, self.options, is_final=is_flush)
        return StepOutput(
            target_words=tuple(TimedWord(word, self.heard_ms) for word in words),
            tokens=tuple(parts.tokens[len(parts.tokens) - num_new :]),
            units=tuple(units),
            waveform=waveform,
        )

    def _end_segment(self) -> StepOutput:
        """Write all that is left of the text segment."""
        self.state.num_segments += 1
        source = StepOutput(source_words=self._new_source_words(is_complete=True))
        if self.options.output is Output.TRANSCRIPTION:
            return source
        return join([source, self._write(Decision(Action.WRITE))])

    def _start_segment(self) -> None:
        state = self.state
        self._pipeline.start_segment(state.pipeline, self.options, self.heard_ms // ENCODER_FRAME_MS)
        state.source_words.reset()
        state.target_words.reset()
        state.written_source_tokens = state.written_target_tokens = 0
        state.segment_start_ms = self.heard_ms
        state.num_segment_chunks = 0
        state.is_loud = False

    def _segment_ends(self) -> bool:
        if self.options.window_ms == 0:
            return False
        parts = self.state.pipeline
        age_ms = self.heard_ms - self.state.segment_start_ms
        return segment_ends(
            fullness(age_ms, len(parts.tokens), self.options),
            parts.asr.num_blank_frames,
            self.loaded.asr_vocabulary.pieces(parts.asr.tokens[-1:]),
            self.options,
        )

    def _has_content(self) -> bool:
        """Whether there is anything to flush. The first text segment always has, as a whole utterance; a
        later one only if the ASR head found something. Under the silence guard, none without a sound has.
        """
        parts, state = self.state.pipeline, self.state
        if parts.tokens:
            return True
        if self.options.silence_dbfs is not None and not state.is_loud:
            return False
        return bool(parts.asr.tokens) or state.segment_start_ms == 0

    def _is_silent(self, chunk: Samples) -> bool:
        """Whether the silence guard keeps this chunk from a write."""
        if self.options.silence_dbfs is None:
            return False
        power = float(np.square(chunk, dtype=np.float64).mean()) if chunk.size else 0.0
        return power <= 10.0 ** (self.options.silence_dbfs / 10.0)

    def _new_source_words(self, *, is_complete: bool) -> tuple[TimedWord, ...]:
        """Words of the transcription that have become final."""
        path = self.state.pipeline.asr
        num_tokens = len(path.tokens) if is_complete else path.num_final_tokens
        pieces, frames = self.loaded.asr_vocabulary.timed_pieces(
            path.tokens[:num_tokens], path.frames[:num_tokens]
        )
        words = self.state.source_words.push(pieces, is_complete=is_complete)
        ends = word_end_frames(pieces, frames)
        last = self.state.source_words.num_words
        # The last frame of an encoder that starts afresh may be shorter than a whole one.
        times = [min((frame + 1) * ENCODER_FRAME_MS, self.heard_ms) for frame in ends[:last]]
        times = times[len(times) - len(words) :]
        return tuple(TimedWord(word, time) for word, time in zip(words, times, strict=True))

    def _merge(self, pieces: list[StepOutput]) -> StepOutput:
        state, parts = self.state, self.state.pipeline
        joined = join(pieces)
        start_samples = state.num_written_samples
        state.num_written_samples += joined.waveform.size
        return replace(
            joined,
            waveform_start_samples=start_samples,
            heard_ms=self.heard_ms,
            tentative_source_text=state.source_words.rest(
                self.loaded.asr_vocabulary.pieces(parts.asr.tokens)
            ),
            tentative_target_text=state.target_words.rest(self.loaded.text_vocabulary.pieces(parts.tokens)),
            preview_text=self.loaded.st_vocabulary.text(parts.st.tokens),
            num_segments=state.num_segments,
            is_final=state.finished,
        )
