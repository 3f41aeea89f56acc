"""Every stage computes everything again at each chunk: for comparison, and as the reference of equality.

Dimensions: T feature frames (10 ms); T' encoder frames (40 ms); N subwords; C decoder channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from echostream.data.audio import Samples
from echostream.data.fbank import FrontEnd
from echostream.inference.ctc_path import CTCPath
from echostream.inference.interfaces import EncoderOut, RevisingEncoder, Vocoder
from echostream.inference.loaded_model import LoadedModel
from echostream.inference.options import Output, SessionOptions
from echostream.inference.pipeline import (
    VOCODER_BLOCK_FRAMES,
    PipelineState,
    encoder_chunk_size,
    model_tensor,
    mono_to_numpy,
    unit_numbers,
)
from echostream.inference.text_search import extend_text
from echostream.policy.ctc_alignment import best_labels, confirmed_tokens
from echostream.policy.read_write import Decision, allowed_subwords


def as_encoder_out(frames: Tensor) -> EncoderOut:
    """fairseq's encoder dictionary for frames `[T', 1, C]` without padding."""
    return {
        "encoder_out": [frames],
        "encoder_padding_mask": [],
        "encoder_embedding": [],
        "encoder_states": [],
        "src_tokens": [],
        "src_lengths": [],
    }


@dataclass(kw_only=True)
class RecomputedState(PipelineState):
    """The stream so far.

    Args:
        sample_rate: rate of the stream in Hz.
        samples: `[n]`, all samples of the text segment.
        frames: `[T', 1, C]`, encoder frames of the newest chunk's run.
        features: `[N, 1, C]`, decoder features of the newest run.
        visible_frames: encoder frames that each subword saw when it was decided.
        units, durations_frames: all units so far, and how long each lasts.
        num_written_samples: samples of the segment that were handed out.
        first_frame: encoder frames before the text segment.
    """

    sample_rate: int
    samples: Tensor
    frames: Tensor
    features: Tensor
    visible_frames: list[int] = field(default_factory=list)
    units: list[int] = field(default_factory=list)
    durations_frames: list[int] = field(default_factory=list)
    num_written_samples: int = 0
    first_frame: int = 0


class RecomputingPipeline:
    """The whole utterance from its first sample, at every chunk and in every stage.

    `is_masked` keeps what the training masks say: a subword goes on seeing the frames that it saw when it was
    decided, and a unit the text that it may see; so the outcome is that of the incremental pipeline. Without
    masks it is what StreamSpeech's public agent does: text states and units are computed from all that is
    known, and what was written stays as a prefix.

    Args:
        loaded: the model.
        vocoder: needed for speech.
        output: stages beyond it are left out.
        is_masked: see above; None: unless the encoder revises its newest chunk (`streamspeech`).
    """

    def __init__(
        self, loaded: LoadedModel, vocoder: Vocoder | None, output: Output, is_masked: bool | None = None
    ) -> None:
        self.loaded = loaded
        self.vocoder = vocoder
        self.output = output
        is_revising = isinstance(loaded.model.encoder, RevisingEncoder)
        self.is_masked = not is_revising if is_masked is None else is_masked
        self.front_end = FrontEnd(loaded.cmvn)

    def init_state(self, sample_rate: int) -> RecomputedState:
        """Return the state of a stream at its start."""
        return RecomputedState(
            sample_rate=sample_rate,
            samples=torch.zeros(0),
            frames=torch.zeros(0, 1, 0, device=self.loaded.device),
            features=torch.zeros(0, 1, 0, device=self.loaded.device),
        )

    def hear(
        self, samples: Samples, state: RecomputedState, options: SessionOptions, *, is_final: bool
    ) -> None:
        """Take mono samples `[n]`; the paths of the heads follow."""
        state.samples = torch.cat([state.samples, torch.from_numpy(samples)])
        features = self._extract(state, is_final=is_final)
        if features.size(1) == 0:
            return
        state.frames = self._encode(features, options, is_final=is_final)
        self._recognise(state)

    def _extract(self, state: RecomputedState, *, is_final: bool) -> Tensor:
        features = self.front_end.streaming_forward(
            state.samples.numpy(),
            self.front_end.init_state(state.sample_rate),
            sample_rate=state.sample_rate,
            is_final=is_final,
        )
        return model_tensor(features, self.loaded).unsqueeze(0)

    def _encode(self, features: Tensor, options: SessionOptions, *, is_final: bool) -> Tensor:
        """Encoder frames `[T', 1, C]`; of an Emformer, those of complete segments only, until the end."""
        model = self.loaded.model
        chunk_size = encoder_chunk_size(model, options.chunk_ms, options.segment_length)
        lengths = torch.tensor([features.size(1)], device=features.device)
        frames: Tensor = model.encoder(features, lengths, chunk_size=chunk_size)["encoder_out"][0]
        if is_final or isinstance(model.encoder, RevisingEncoder):
            return frames
        num_complete = frames.size(0) // chunk_size * chunk_size - model.encoder.lead_in_length
        return frames[: max(0, num_complete)]

    def _recognise(self, state: RecomputedState) -> None:
        encoder_out = as_encoder_out(state.frames)
        heads = [("asr", self.loaded.model.asr_logits)]
        if self.output is not Output.TRANSCRIPTION:
            heads.append(("st", self.loaded.model.st_logits))
        for name, logits in heads:
            path = CTCPath(num_frames=state.first_frame)
            if state.frames.size(0):
                path.push(best_labels(logits(encoder_out)[0]))
            setattr(state, name, path)

    def num_confirmed_tokens(self, state: RecomputedState) -> int:
        """Tokens of the ST head that count: confirmed ones under the training mask, otherwise all."""
        if self.is_masked:
            return confirmed_tokens(state.asr.frames, state.st.frames)
        return len(state.st.tokens)

    def extend_text(self, state: RecomputedState, decision: Decision, options: SessionOptions) -> int:
        """Decode subwords as far as a WRITE allows; return how many are new."""
        num_frames = state.frames.size(0)
        if state.text_finished or num_frames == 0:
            return 0
        vocabulary = self.loaded.text_vocabulary

        def decode(tokens: Sequence[int]) -> tuple[Tensor, Tensor]:
            previous = torch.tensor([[vocabulary.eos, *tokens]], device=state.frames.device)
            visible = None
            if self.is_masked:
                seen = state.visible_frames + [num_frames] * (previous.size(1) - len(state.visible_frames))
                visible = torch.tensor([seen], device=state.frames.device)
            return self.loaded.model.decode_text(previous, as_encoder_out(state.frames), visible)

        result = extend_text(
            state.tokens,
            lambda tokens: decode(tokens)[0][0, -1],
            decision,
            vocabulary,
            max_len=options.max_len,
            max_repeats=options.max_repeats,
        )
        state.tokens = state.tokens + result.tokens
        num_positions = len(state.tokens) + int(result.finished)
        if num_positions:
            state.features = decode(state.tokens)[1][:num_positions]
        state.visible_frames += [num_frames] * (num_positions - len(state.visible_frames))
        state.text_finished = result.finished
        return len(result.tokens)

    def extend_units(self, state: RecomputedState, options: SessionOptions, *, is_final: bool) -> list[int]:
        """Units that the new subwords add."""
        num_text = state.features.size(0)
        if not is_final:
            num_text = min(num_text, allowed_subwords(num_text, options.lagging_k2, options.stride_n2))
        if num_text == 0:
            return []
        mask = {"k2": options.lagging_k2, "n2": options.stride_n2} if self.is_masked else None
        logits = self.loaded.model.text_to_units(state.features, streaming_config=mask)
        blank = self.loaded.unit_blank
        labels = best_labels(logits[0], blank, options.unit_blank_penalty)
        labels = labels[: logits.size(1) // state.features.size(0) * num_text]
        units, _ = unit_numbers(labels, -1, blank, self.loaded.unit_vocabulary)
        new_units = units[len(state.units) :]
        state.units = state.units + new_units
        return new_units

    def speak(
        self, units: list[int], state: RecomputedState, options: SessionOptions, *, is_final: bool
    ) -> Samples:
        """Samples `[n]` that new units add: the end of a synthesis of all units."""
        vocoder = self.vocoder
        assert vocoder is not None
        if not state.units:
            return mono_to_numpy(torch.zeros(0))
        code = torch.tensor([state.units], device=self.loaded.device)
        waveform, durations = vocoder({"code": code}, options.dur_prediction)
        new_durations = durations[0, len(state.units) - len(units) :].tolist()
        if not self.is_masked:
            num_samples = sum(new_durations) * vocoder.code_hop_samples
            return mono_to_numpy(waveform[waveform.numel() - num_samples :])
        state.durations_frames = state.durations_frames + new_durations
        frames = code[0].repeat_interleave(torch.tensor(state.durations_frames, device=code.device))
        hold_back_frames = 0 if is_final else options.hold_back_frames
        if not is_final:
            frames = frames[: frames.numel() // VOCODER_BLOCK_FRAMES * VOCODER_BLOCK_FRAMES]
        begin = state.num_written_samples
        stop = max(begin, (frames.numel() - hold_back_frames) * vocoder.code_hop_samples)
        state.num_written_samples = stop
        if stop == begin:
            return mono_to_numpy(torch.zeros(0))
        code = frames.unsqueeze(0)
        waveform = vocoder.forward_from_durations(code, torch.ones_like(code))
        return mono_to_numpy(waveform[begin:stop])

    def end_segment(self, state: RecomputedState, options: SessionOptions) -> None:
        """Nothing is held back here."""

    def start_segment(self, state: RecomputedState, options: SessionOptions, num_frames: int) -> None:
        """Start afresh with the samples that come now."""
        fresh = self.init_state(state.sample_rate)
        for name, value in vars(fresh).items():
            setattr(state, name, value)
        state.first_frame = num_frames
        state.asr.num_frames = state.st.num_frames = num_frames
