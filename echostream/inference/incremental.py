"""Every stage computes what is new, once, and remembers what it needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from echostream.data.audio import Samples
from echostream.data.fbank import FrontEnd, FrontEndState
from echostream.inference.interfaces import CachedEncoder, RevisingEncoder, StreamingModule, Vocoder
from echostream.inference.loaded_model import LoadedModel
from echostream.inference.options import Output, SessionOptions
from echostream.inference.pipeline import (
    VOCODER_BLOCK_FRAMES,
    PipelineState,
    empty_features,
    encoder_chunk_size,
    model_tensor,
    mono_to_numpy,
    resets_encoder,
    unit_numbers,
)
from echostream.inference.text_search import extend_text
from echostream.policy.ctc_alignment import best_labels, confirmed_tokens
from echostream.policy.read_write import Decision
from echostream.streaming import StreamState


@dataclass(kw_only=True)
class IncrementalState(PipelineState):
    """The state of every stage of one stream.

    Args:
        front_end, encoder, asr_head, st_head: of the audio side; it runs on through text segments.
        mt, text_to_unit, unit_decoder, vocoder: of the text side; None where there is no such part, or no
            speech is made.
        features: `[1, n, C]`, decoder features of subwords that have no units yet.
        num_text_frames: final encoder frames that the text decoder has been given in this segment.
        last_unit_label: label of the newest unit position; -1 before the first.
    """

    front_end: FrontEndState
    encoder: StreamState
    asr_head: StreamState
    st_head: StreamState
    mt: Any
    features: Tensor
    text_to_unit: StreamState | None = None
    unit_decoder: StreamState | None = None
    vocoder: StreamState | None = None
    num_text_frames: int = 0
    last_unit_label: int = -1


class IncrementalPipeline:
    """The stages of a model, each incremental.

    A position of the text decoder sees the encoder frames that were known when it was computed, and keeps
    them; so it is in training under the mask g(i). Frames of an unfinished chunk, where an encoder has such,
    are seen and then replaced.

    Args:
        loaded: the model.
        vocoder: needed for speech.
        output: stages beyond it are left out.
    """

    def __init__(self, loaded: LoadedModel, vocoder: Vocoder | None, output: Output) -> None:
        self.loaded = loaded
        self.vocoder = vocoder
        self.output = output
        self.front_end = FrontEnd(loaded.cmvn)
        self._place: dict[str, Any] = {"device": loaded.device, "dtype": loaded.dtype}

    def init_state(self, sample_rate: int) -> IncrementalState:
        """Return the state of a stream at its start."""
        model = self.loaded.model
        if isinstance(model.encoder, CachedEncoder):
            model.encoder.reset_cache()
        mt = model.mt_decoder.init_state(1, **self._place)
        state = IncrementalState(
            front_end=self.front_end.init_state(sample_rate),
            encoder=model.encoder.init_state(1, **self._place),
            asr_head=model.asr_head.init_state(1, **self._place),
            st_head=model.st_head.init_state(1, **self._place),
            mt=mt,
            features=self._no_features(mt),
        )
        if self.output is Output.SPEECH:
            assert self.vocoder is not None
            if model.text_to_unit_encoder is not None:
                state.text_to_unit = model.text_to_unit_encoder.init_state(1, **self._place)
            state.unit_decoder = model.unit_decoder.init_state(1, **self._place)
            state.vocoder = self.vocoder.init_state(1, device=self.loaded.device)
        return state

    def hear(
        self, samples: Samples, state: IncrementalState, options: SessionOptions, *, is_final: bool
    ) -> None:
        """Take mono samples `[n]`; the paths of the heads follow."""
        features = self._extract(samples, state, is_final=is_final)
        frames, provisional = self._encode(features, state, options, is_final=is_final)
        self._take_frames(frames, provisional, state, is_final=is_final)

    def _extract(self, samples: Samples, state: IncrementalState, *, is_final: bool) -> Tensor:
        features = self.front_end.streaming_forward(
            samples, state.front_end, sample_rate=state.front_end.sample_rate, is_final=is_final
        )
        return model_tensor(features, self.loaded).unsqueeze(0)

    def _encode(
        self, features: Tensor, state: IncrementalState, options: SessionOptions, *, is_final: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Final frames `[1, t, C]`, and provisional ones where the encoder has such."""
        encoder = self.loaded.model.encoder
        chunk_size = encoder_chunk_size(self.loaded.model, options.chunk_ms, options.segment_length)
        frames: Tensor = encoder.streaming_forward(
            features, state.encoder, is_final=is_final, chunk_size=chunk_size
        )
        if is_final or not isinstance(encoder, RevisingEncoder):
            return frames, None
        return frames, encoder.provisional(state.encoder)

    def _take_frames(
        self, frames: Tensor, provisional: Tensor | None, state: IncrementalState, *, is_final: bool
    ) -> None:
        model = self.loaded.model
        self._recognise(model.asr_head, "asr", frames, provisional, state, is_final=is_final)
        if self.output is Output.TRANSCRIPTION:
            return
        self._recognise(model.st_head, "st", frames, provisional, state, is_final=is_final)
        state.mt.truncate_frames(state.num_text_frames)
        if frames.size(1):
            model.mt_decoder.append_frames(frames, state.mt)
            state.num_text_frames += frames.size(1)
        if provisional is not None and provisional.size(1):
            model.mt_decoder.append_frames(provisional, state.mt)

    @staticmethod
    def _recognise(
        head: StreamingModule,
        name: str,
        frames: Tensor,
        provisional: Tensor | None,
        state: IncrementalState,
        *,
        is_final: bool,
    ) -> None:
        """Let a head read the new frames; provisional ones leave no trace in its state."""
        head_state: Any = getattr(state, f"{name}_head")
        labels = best_labels(head.streaming_forward(frames, head_state, is_final=is_final)[0])
        tentative = None
        if provisional is not None and provisional.size(1):
            num_positions = getattr(head_state, "num_positions", None)
            tentative = best_labels(head.streaming_forward(provisional, head_state)[0])
            if num_positions is not None:
                head_state.truncate_positions(num_positions)
        getattr(state, name).push(labels, tentative)

    def num_confirmed_tokens(self, state: IncrementalState) -> int:
        """Tokens of the ST head that a token of the ASR head confirms, as in training."""
        return confirmed_tokens(state.asr.frames, state.st.frames)

    def extend_text(self, state: IncrementalState, decision: Decision, options: SessionOptions) -> int:
        """Decode subwords as far as a WRITE allows; return how many are new."""
        if state.text_finished or state.mt.num_frames == 0:
            return 0
        decoder = self.loaded.model.mt_decoder
        vocabulary = self.loaded.text_vocabulary
        computed: list[Tensor] = []

        def scores(tokens: Sequence[int]) -> Tensor:
            previous = tokens[-1] if tokens else vocabulary.eos
            position = torch.tensor([[previous]], device=self.loaded.device)
            computed.append(decoder.streaming_forward(position, state.mt))
            return decoder.output_layer(computed[-1])[0, -1]

        result = extend_text(
            state.tokens,
            scores,
            decision,
            vocabulary,
            max_len=options.max_len,
            max_repeats=options.max_repeats,
        )
        num_kept = len(result.tokens) + int(result.finished)
        state.mt.truncate_positions(len(state.tokens) + num_kept)
        state.features = torch.cat([state.features, *computed[:num_kept]], dim=1)
        state.tokens = state.tokens + result.tokens
        state.text_finished = result.finished
        return len(result.tokens)

    def force_text(self, tokens: Sequence[int], state: IncrementalState, *, is_final: bool) -> None:
        """Let the next subwords be these, whatever the decoder would choose.

        As in training, the input of position i is subword i - 1; at the end one position more is computed,
        whose input is the last subword.
        """
        previous = state.tokens[-1] if state.tokens else self.loaded.text_vocabulary.eos
        inputs = [previous, *tokens][: len(tokens) + int(is_final)]
        positions = torch.tensor([inputs], dtype=torch.long, device=self.loaded.device)
        computed = self.loaded.model.mt_decoder.streaming_forward(positions, state.mt)
        state.features = torch.cat([state.features, computed], dim=1)
        state.tokens = state.tokens + list(tokens)
        state.text_finished = is_final

    def extend_units(self, state: IncrementalState, options: SessionOptions, *, is_final: bool) -> list[int]:
        """Units that the new subwords add."""
        text = state.features
        state.features = self._no_features(state.mt)
        encoder = self.loaded.model.text_to_unit_encoder
        if encoder is not None:
            text = encoder.streaming_forward(text, state.text_to_unit, is_final=is_final)
        logits = self.loaded.model.unit_decoder.streaming_forward(
            text,
            state.unit_decoder,
            is_final=is_final,
            lagging_k=options.lagging_k2,
            stride_n=options.stride_n2,
        )
        units, state.last_unit_label = unit_numbers(
            best_labels(logits[0], self.loaded.unit_blank, options.unit_blank_penalty),
            state.last_unit_label,
            self.loaded.unit_blank,
            self.loaded.unit_vocabulary,
        )
        return units

    def speak(
        self, units: list[int], state: IncrementalState, options: SessionOptions, *, is_final: bool
    ) -> Samples:
        """Samples `[n]` that new units add."""
        assert self.vocoder is not None
        waveform, _ = self.vocoder.streaming_forward(
            torch.tensor([units], dtype=torch.long, device=self.loaded.device),
            state.vocoder,
            is_final=is_final,
            dur_prediction=options.dur_prediction,
            hold_back_frames=options.hold_back_frames,
            block_frames=VOCODER_BLOCK_FRAMES,
        )
        return mono_to_numpy(waveform)

    def end_segment(self, state: IncrementalState, options: SessionOptions) -> None:
        """Make final what the encoder holds back, if it is to start afresh."""
        if resets_encoder(self.loaded.model, options):
            frames, _ = self._encode(empty_features(self.loaded), state, options, is_final=True)
            self._take_frames(frames, None, state, is_final=False)

    def start_segment(self, state: IncrementalState, options: SessionOptions, num_frames: int) -> None:
        """Start the text side afresh, and the encoder too where it is to."""
        if resets_encoder(self.loaded.model, options):
            state.encoder.reset()
            state.asr.num_frames = state.st.num_frames = num_frames
        for path in (state.asr, state.st):
            path.start_segment()
        for part in (
            state.asr_head,
            state.st_head,
            state.mt,
            state.text_to_unit,
            state.unit_decoder,
            state.vocoder,
        ):
            if part is not None:
                part.reset()
        state.tokens = []
        state.text_finished = False
        state.features = self._no_features(state.mt)
        state.num_text_frames = 0
        state.last_unit_label = -1

    @torch.inference_mode()
    def _no_features(self, mt: Any) -> Tensor:
        """Features of no position, `[1, 0, C]`."""
        none = torch.zeros(1, 0, dtype=torch.long, device=self.loaded.device)
        return self.loaded.model.mt_decoder.streaming_forward(none, mt)
