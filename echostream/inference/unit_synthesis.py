"""Second pass of one stream: units for new subwords, and the samples of new units."""

import numpy as np
import torch
from torch import Tensor

from echostream.data.audio import Samples
from echostream.inference.interfaces import TranslationModel, Vocoder
from echostream.inference.vocabulary import Vocabulary
from echostream.policy.ctc_alignment import collapse
from echostream.policy.read_write import allowed_subwords
from echostream.vocoder.receptive_field import duration_receptive_field_units


class UnitDecoder:
    """Units of the subwords so far; units that were handed out stay, and new ones are counted after them.

    Args:
        model: gives `text_to_units`.
        vocabulary: of the units.
        blank: index of the CTC blank.
        lagging_k: subwords that the units stay behind the text in mid-stream.
        stride_n: subwords that are turned into units at a time.
        is_masked: unit positions see the text that the training mask shows them, and no unit changes later;
            otherwise all of it, as in StreamSpeech's agents.
    Raises:
        ValueError: for a negative lag or a stride below one.
    """

    def __init__(
        self,
        model: TranslationModel,
        vocabulary: Vocabulary,
        *,
        blank: int,
        lagging_k: int,
        stride_n: int,
        is_masked: bool,
    ) -> None:
        if lagging_k < 0:
            raise ValueError(f"lagging-k2 counts subwords and cannot be negative, got {lagging_k}")
        if stride_n < 1:
            raise ValueError(f"stride-n2 must be at least one subword, got {stride_n}")
        self.model = model
        self.vocabulary = vocabulary
        self.blank = blank
        self.lagging_k = lagging_k
        self.stride_n = stride_n
        self.is_masked = is_masked
        self.reset()

    def reset(self) -> None:
        """Start a new utterance."""
        self.units: list[int] = []

    def extend(self, features: Tensor, *, is_final: bool) -> list[int]:
        """Units that the subwords so far add.

        Args:
            features: decoder features of all subwords, `[N, 1, C]`.
            is_final: nothing will follow, so nothing is held back.
        Returns:
            new units (0 to the number of clusters less one).
        """
        num_text = features.size(0)
        if not is_final:
            num_text = min(num_text, allowed_subwords(num_text, self.lagging_k, self.stride_n))
        if num_text == 0:
            return []
        mask = {"k2": self.lagging_k, "n2": self.stride_n} if self.is_masked else None
        logits = self.model.text_to_units(features, streaming_config=mask)
        positions = logits.size(1) // features.size(0) * num_text
        best = logits[0, :positions].argmax(dim=-1)
        symbols = [self.vocabulary.symbols[token] for token in collapse(best, self.blank).tolist()]
        units = [int(symbol) for symbol in symbols if symbol.isdecimal()]
        new_units = units[len(self.units) :]
        self.units += new_units
        return new_units


class UnitSynthesizer:
    """Samples of new units, equal to the end of a synthesis of all units known by then.

    Only as many old units are synthesised again as the vocoder's receptive field reaches back.

    Args:
        vocoder: the unit vocoder.
        dur_prediction: units come without repeats, and the vocoder predicts how long each lasts.
        device: where the vocoder is.
    """

    def __init__(self, vocoder: Vocoder, *, dur_prediction: bool, device: torch.device) -> None:
        self.vocoder = vocoder
        self.dur_prediction = dur_prediction
        self._device = device
        self._context_units = vocoder.receptive_field.left_frames + duration_receptive_field_units()

    @property
    def sample_rate(self) -> int:
        """Rate of the samples in Hz."""
        return self.vocoder.sample_rate

    def synthesize(self, units: list[int], num_new_units: int) -> Samples:
        """Samples `[samples]` of the last `num_new_units` of `units`."""
        if num_new_units == 0:
            return np.zeros(0, dtype=np.float32)
        tail = units[-(num_new_units + self._context_units) :]
        code = torch.tensor([tail], device=self._device)
        waveform, durations_frames = self.vocoder({"code": code}, self.dur_prediction)
        num_samples = int(durations_frames[0, -num_new_units:].sum()) * self.vocoder.code_hop_samples
        samples: Samples = waveform[-num_samples:].float().cpu().numpy()
        return samples
