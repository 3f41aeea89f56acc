"""Speech from text that is still being written: the second pass of the model, on a text given word by word.

text -> subwords -> text decoder, teacher-forced -> T2U encoder -> unit decoder -> vocoder
"""

from dataclasses import replace

import numpy as np
import torch

from echostream.data.audio import SAMPLE_RATE
from echostream.inference.incremental import IncrementalPipeline, IncrementalState
from echostream.inference.interfaces import Vocoder
from echostream.inference.loaded_model import LoadedModel
from echostream.inference.options import Output, SessionOptions
from echostream.inference.outputs import StepOutput, TimedWord, join
from echostream.inference.segmentation import SENTENCE_END
from echostream.inference.subwords import WordSplitter
from echostream.streaming import StreamFinishedError

SOURCE_SILENCE_MS = 1000


class SpeechSynthesizer:
    """Makes sessions that speak a text; nothing of a session is kept here.

    The text decoder's states, which the units are made from, come from the text and from the source speech
    that its cross-attention sees. Here no one speaks, but attention needs something to attend to, and the
    decoder was trained with an encoder's output: so the encoder hears silence, once, and each sentence sees
    that.

    The decoder's position i has subword i - 1 as its input, as in training: without a source, what it knows
    of subword i itself is a guess from those before. Units see their own subword only with a look-ahead of
    one subword at least: set `lagging_k2` to 1.

    Args:
        loaded: the model.
        vocoder: the unit vocoder, on the model's device.
        options: settings; those of the source side and of the policy play no part.
        subwords: splits words; see `load_splitter`.
        source_silence_ms: silence that the encoder hears.
    Raises:
        ValueError: for silence too short for an encoder frame, or settings that the model cannot have.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        vocoder: Vocoder,
        options: SessionOptions,
        subwords: WordSplitter,
        *,
        source_silence_ms: int = SOURCE_SILENCE_MS,
    ) -> None:
        self.loaded = loaded
        self.vocoder = vocoder
        self.options = options
        self.subwords = subwords
        self.pipeline = IncrementalPipeline(loaded, vocoder, Output.SPEECH)
        self._silence = self._hear_silence(source_silence_ms)

    @torch.inference_mode()
    def _hear_silence(self, source_silence_ms: int) -> IncrementalState:
        if source_silence_ms < 0:
            raise ValueError(f"source-silence-ms cannot be negative, got {source_silence_ms}")
        state = self.pipeline.init_state(SAMPLE_RATE)
        silence = np.zeros(source_silence_ms * SAMPLE_RATE // 1000, dtype=np.float32)
        self.pipeline.hear(silence, state, self.options, is_final=True)
        if state.mt.num_frames == 0:
            raise ValueError(
                f"source-silence-ms of {source_silence_ms} ms gives no encoder frame; set at least 100"
            )
        return state

    def new_sentence(self) -> IncrementalState:
        """The state before the first word of a sentence: silence has been heard."""
        return self._silence.clone()

    def start(self) -> "SynthesisSession":
        """Begin a text."""
        return SynthesisSession(self)


class SynthesisSession:
    """A text that grows; `SpeechSynthesizer.start` makes it.

    Each word goes through all stages once, when it comes, so the outcome does not depend on how the words are
    delivered, and a word costs no more late in a text than early: after a word that ends a sentence, and
    before one that would not fit into `max_len` subwords, the sentence is spoken to its end, and the next
    starts afresh, like an utterance.

    Args:
        synthesizer: the model.
    """

    def __init__(self, synthesizer: SpeechSynthesizer) -> None:
        self._synthesizer = synthesizer
        self._pipeline = synthesizer.pipeline
        self._options = synthesizer.options
        self.state = synthesizer.new_sentence()
        self.num_sentences = 0
        self.num_written_samples = 0
        self.finished = False

    @torch.inference_mode()
    def step(self, text: str, *, is_final: bool = False) -> StepOutput:
        """Take the next words, and return what they let the session speak.

        Args:
            text: whole words, separated by white space; also none.
            is_final: the text ends here; everything is flushed.
        Returns:
            the words (as target words at time 0, since no source is heard), their subwords, and the units and
            samples that have become final.
        Raises:
            TypeError: for something that is no text.
            ValueError: for a word that is too long. In both cases nothing has happened.
            StreamFinishedError: after the final step.
        """
        if self.finished:
            raise StreamFinishedError("the text is over; start another session for the next one")
        if not isinstance(text, str):
            raise TypeError(f"text is expected, not {type(text).__name__}")
        words = [(word, self._split(word)) for word in text.split()]
        self.finished = is_final
        pieces = [piece for word, tokens in words for piece in self._take(word, tokens)]
        if is_final:
            pieces.append(self._end_sentence())
        joined = join(pieces)
        start_samples = self.num_written_samples
        self.num_written_samples += joined.waveform.size
        return replace(
            joined,
            waveform_start_samples=start_samples,
            num_segments=self.num_sentences,
            is_final=is_final,
        )

    def _split(self, word: str) -> list[int]:
        tokens = self._synthesizer.subwords(word)
        if len(tokens) > self._options.max_len:
            raise ValueError(
                f"the word {word[:40]!r} has {len(tokens)} subwords, more than a sentence may have: "
                f"max-len is {self._options.max_len}"
            )
        return tokens

    def _take(self, word: str, tokens: list[int]) -> list[StepOutput]:
        pieces = []
        if len(self.state.tokens) + len(tokens) > self._options.max_len:
            pieces.append(self._end_sentence())
        pieces.append(replace(self._speak(tokens), target_words=(TimedWord(word, 0),)))
        if word.endswith(SENTENCE_END):
            pieces.append(self._end_sentence())
        return pieces

    def _end_sentence(self) -> StepOutput:
        """Speak what is left of the sentence, if it has begun."""
        if not self.state.tokens:
            return StepOutput()
        written = self._speak([], is_final=True)
        self.state = self._synthesizer.new_sentence()
        self.num_sentences += 1
        return written

    def _speak(self, tokens: list[int], *, is_final: bool = False) -> StepOutput:
        self._pipeline.force_text(tokens, self.state, is_final=is_final)
        units = self._pipeline.extend_units(self.state, self._options, is_final=is_final)
        waveform = self._pipeline.speak(units, self.state, self._options, is_final=is_final)
        return StepOutput(tokens=tuple(tokens), units=tuple(units), waveform=waveform)
