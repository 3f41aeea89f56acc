"""One stream of simultaneous translation: samples in, transcription, text, units and samples out."""

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import numpy.typing as npt
import torch

from echostream.data.audio import Samples
from echostream.data.fbank import FrontEnd
from echostream.inference.chunking import ChunkBuffer
from echostream.inference.encoder_stream import as_encoder_out, build_encoder_stream, encoder_chunk_size
from echostream.inference.interfaces import StreamingEncoder
from echostream.inference.loaded_model import LoadedModel
from echostream.inference.text_decoding import TextDecoder
from echostream.inference.unit_synthesis import UnitDecoder, UnitSynthesizer
from echostream.inference.vocabulary import WordEmitter
from echostream.policy.ctc_alignment import collapse
from echostream.policy.read_write import Action, CTCPolicy, Decision, PolicyState, writes_whole_words


class Output(Enum):
    """What a session produces."""

    TRANSCRIPTION = "transcription"
    TEXT = "text"
    SPEECH = "speech"


@dataclass(frozen=True)
class SessionOptions:
    """Settings of a session; names and defaults are those of StreamSpeech's agents.

    Args:
        output: what is produced; a vocoder is needed for speech only.
        chunk_ms: source audio after which the policy decides once, a multiple of 40 ms.
        lagging_k1, stride_n: source side: tokens that the text stays behind the ST CTC head, and tokens that
            both heads must gain between two writes.
        lagging_k2, stride_n2: target side: subwords that units stay behind the text, and subwords turned into
            units at a time.
        max_len: longest translation in subwords.
        segment_length: fixed Emformer segment in encoder frames; None follows the chunk.
        dur_prediction: the vocoder predicts durations of units without repeats.
    """

    output: Output = Output.SPEECH
    chunk_ms: int = 320
    lagging_k1: int = 0
    stride_n: int = 1
    lagging_k2: int = 0
    stride_n2: int = 1
    max_len: int = 200
    segment_length: int | None = None
    dur_prediction: bool = False


@dataclass(frozen=True)
class StepResult:
    """What a push newly wrote, and the texts so far.

    Args:
        text: newly written words (of the transcription or the translation), empty for READ.
        tokens: new translation subwords.
        units: new units.
        waveform: samples of the new units, `[samples]`.
        transcription: ASR CTC text so far; its end may still change.
        ctc_translation: ST CTC text so far; its end may still change.
        translation: all committed translation text.
        is_final: the utterance is over.
    """

    text: str = ""
    tokens: tuple[int, ...] = ()
    units: tuple[int, ...] = ()
    waveform: Samples = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    transcription: str = ""
    ctc_translation: str = ""
    translation: str = ""
    is_final: bool = False


class StreamingTranslator:
    """A session over one stream; many sessions may share a model.

    What comes out depends on the samples and the chunk size, not on how the samples are delivered: the policy
    decides after each whole chunk, and once more at the end.

    Args:
        loaded: the model with its dictionaries and normalisation.
        options: settings.
        synthesizer: needed for speech.
    Raises:
        ChunkSizeError: when the chunk is not a multiple of 40 ms.
        ValueError: for other settings out of range, or speech without synthesizer.
    """

    def __init__(
        self, loaded: LoadedModel, options: SessionOptions, synthesizer: UnitSynthesizer | None = None
    ) -> None:
        if options.output is Output.SPEECH and synthesizer is None:
            raise ValueError("speech output needs a vocoder")
        self.loaded = loaded
        self.options = options
        self.synthesizer = synthesizer
        self._buffer = ChunkBuffer(options.chunk_ms)
        self._front_end = FrontEnd(loaded.cmvn)
        self._front_end_state = self._front_end.init_state()
        chunk_size = encoder_chunk_size(loaded.model, options.chunk_ms, options.segment_length)
        self._encoder = build_encoder_stream(
            loaded.model, chunk_size, device=loaded.device, dtype=loaded.dtype
        )
        self._policy = CTCPolicy(options.lagging_k1, options.stride_n, writes_whole_words(options.chunk_ms))
        self._text = TextDecoder(loaded.model, loaded.text_vocabulary, max_tokens=options.max_len)
        self._units = UnitDecoder(
            loaded.model,
            loaded.unit_vocabulary,
            blank=loaded.unit_blank,
            lagging_k=options.lagging_k2,
            stride_n=options.stride_n2,
            is_masked=isinstance(loaded.model.encoder, StreamingEncoder),
        )
        self._words = WordEmitter()
        self.reset()

    def reset(self) -> None:
        """Start a new utterance: as if newly built, with the encoder's caches cleared."""
        self._buffer.reset()
        self._front_end_state.reset()
        self._encoder.reset()
        self._text.reset()
        self._units.reset()
        self._words.reset()
        self._policy_state = PolicyState()
        self._asr_tokens: list[int] = []
        self._st_tokens: list[int] = []
        self._finished = False

    @property
    def units(self) -> list[int]:
        """All units of the utterance so far."""
        return list(self._units.units)

    @property
    def num_encoder_frames(self) -> int:
        """Encoder frames of the utterance so far."""
        return self._encoder.frames.size(0)

    def set_chunk_ms(self, chunk_ms: int) -> None:
        """Change the latency in mid-stream; the encoder follows from its next segment on.

        Raises:
            ChunkSizeError: when the chunk is not a multiple of 40 ms.
        """
        self._encoder.chunk_size = encoder_chunk_size(
            self.loaded.model, chunk_ms, self.options.segment_length
        )
        self._buffer.chunk_ms = chunk_ms
        self._policy = CTCPolicy(self.options.lagging_k1, self.options.stride_n, writes_whole_words(chunk_ms))

    def push(self, samples: npt.ArrayLike, sample_rate: int, *, is_final: bool = False) -> StepResult:
        """Take the next samples, and return what they let the session write.

        Args:
            samples: `[n]` or `[n, channels]` in [-1, 1], n >= 0.
            sample_rate: their rate in Hz.
            is_final: the utterance ends here; everything is flushed.
        Returns:
            what was newly written.
        Raises:
            AudioError: for bad samples, or a rate that changes within an utterance.
            RuntimeError: after the final push.
        """
        if self._finished:
            raise RuntimeError("the utterance is over; call reset() before the next one")
        pieces = [self._step(chunk, is_final=False) for chunk in self._buffer.push(samples, sample_rate)]
        if is_final:
            pieces.append(self._step(self._buffer.take_rest(), is_final=True))
            self._finished = True
        return self._merge(pieces)

    def _merge(self, pieces: list[StepResult]) -> StepResult:
        waveforms = [piece.waveform for piece in pieces]
        return StepResult(
            text=" ".join(piece.text for piece in pieces if piece.text),
            tokens=tuple(token for piece in pieces for token in piece.tokens),
            units=tuple(unit for piece in pieces for unit in piece.units),
            waveform=np.concatenate(waveforms) if waveforms else np.zeros(0, dtype=np.float32),
            transcription=self.loaded.asr_vocabulary.text(self._asr_tokens),
            ctc_translation=self.loaded.st_vocabulary.text(self._st_tokens),
            translation=self.loaded.text_vocabulary.text(self._text.tokens),
            is_final=self._finished,
        )

    @torch.inference_mode()
    def _step(self, chunk: Samples, *, is_final: bool) -> StepResult:
        """One chunk: encode it, then READ or WRITE."""
        features = self._front_end.streaming_forward(
            chunk, self._front_end_state, sample_rate=self._buffer.sample_rate or 0, is_final=is_final
        )
        self._encoder.push(features, is_final=is_final)
        if self._encoder.frames.size(0) == 0:
            return StepResult()
        encoder_out = as_encoder_out(self._encoder.frames)
        model = self.loaded.model
        self._asr_tokens = collapse(model.asr_logits(encoder_out)[0].argmax(dim=-1)).tolist()
        if self.options.output is Output.TRANSCRIPTION:
            pieces = self.loaded.asr_vocabulary.pieces(self._asr_tokens)
            return StepResult(text=" ".join(self._words.push(pieces, is_complete=is_final)))
        self._st_tokens = collapse(model.st_logits(encoder_out)[0].argmax(dim=-1)).tolist()
        counts = (len(self._asr_tokens), len(self._st_tokens))
        decision = self._policy.decide(self._policy_state, *counts, source_finished=is_final)
        return StepResult() if decision.action is Action.READ else self._write(decision, counts)

    def _write(self, decision: Decision, counts: tuple[int, int]) -> StepResult:
        """Decode text, and for speech units and samples, as far as the decision allows."""
        is_flush = decision.max_subwords is None
        num_new_tokens = self._text.extend(
            self._encoder.frames,
            decision.max_subwords,
            drops_incomplete_word=decision.drops_incomplete_word,
        )
        self._policy_state = self._policy.after_write(self._policy_state, *counts, len(self._text.tokens))
        if not num_new_tokens and not is_flush:
            return StepResult()
        pieces = self.loaded.text_vocabulary.pieces(self._text.tokens)
        words = self._words.push(pieces, is_complete=is_flush or decision.drops_incomplete_word)
        tokens = tuple(self._text.tokens[len(self._text.tokens) - num_new_tokens :])
        if self.options.output is Output.TEXT or self._text.features is None:
            return StepResult(text=" ".join(words), tokens=tokens)
        assert self.synthesizer is not None
        units = self._units.extend(self._text.features, is_final=is_flush)
        waveform = self.synthesizer.synthesize(self._units.units, len(units))
        return StepResult(text=" ".join(words), tokens=tokens, units=tuple(units), waveform=waveform)
