"""A model with all that a session needs beside it; `echostream.inference.loading` makes it."""

from dataclasses import dataclass, field, replace
from typing import Any

import torch

from echostream.data.fbank import GlobalCMVN
from echostream.inference.interfaces import TranslationModel
from echostream.inference.vocabulary import Vocabulary


@dataclass
class LoadedModel:
    """A trained model in evaluation mode.

    Args:
        model: the model on `device` in `dtype`.
        arch: the architecture's name, "streamspeech" or "echostream".
        asr_vocabulary: of the source (ASR CTC) head.
        st_vocabulary: of the target (ST CTC) head.
        text_vocabulary: of the first-pass decoder.
        unit_vocabulary: of the unit decoder.
        unit_blank: index of the units' CTC blank.
        cmvn: feature normalisation, or None where training had none.
        device: where the model is.
        dtype: type of its weights.
        task: the fairseq task, None where the model was made by hand.
        vocoder_config: the data configuration's `vocoder:` section.
    """

    model: TranslationModel
    arch: str
    asr_vocabulary: Vocabulary
    st_vocabulary: Vocabulary
    text_vocabulary: Vocabulary
    unit_vocabulary: Vocabulary
    unit_blank: int
    cmvn: GlobalCMVN | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    dtype: torch.dtype = torch.float32
    task: Any = None
    vocoder_config: dict[str, str] | None = None

    def to(self, device: torch.device, dtype: torch.dtype) -> "LoadedModel":
        """The same with the model (moved in place) on another device or in another type."""
        return replace(self, model=self.model.to(device=device, dtype=dtype), device=device, dtype=dtype)
