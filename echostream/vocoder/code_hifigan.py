"""The unit vocoder that agents and offline generation use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from echostream.vocoder.checkpoint import load_generator
from echostream.vocoder.errors import VocoderError
from echostream.vocoder.generator import CodeGenerator
from echostream.vocoder.receptive_field import ReceptiveField, generator_receptive_field
from echostream.vocoder.streaming_synthesis import VocoderState


class CodeHiFiGANVocoder(nn.Module):
    """Turns units into a waveform; the samples are those of the public code for the same weights.

    Public checkpoints load as they are; loading never runs code stored in the file.

    Dimensions:
        N: units, S: samples, the sum of the durations times `code_hop_samples`.

    Args:
        checkpoint_path: a torch file `{"generator": state dict}` with weight norm in it.
        model_cfg: the content of the JSON config that goes with it.
        fp16: compute in half precision.

    Raises:
        FileNotFoundError: if there is no such checkpoint.
        VocoderError: if the checkpoint is damaged, or the config is bad or of another checkpoint.

    Reference: Polyak et al., "Speech Resynthesis from Discrete Disentangled Self-Supervised Representations",
    2021.
    """

    def __init__(self, checkpoint_path: str | Path, model_cfg: Mapping[str, Any], fp16: bool = False) -> None:
        super().__init__()
        self.model: CodeGenerator = load_generator(checkpoint_path, model_cfg)
        if fp16:
            self.model.half()
        self.model.remove_weight_norm()

    def train(self, mode: bool = True) -> Self:
        """As `nn.Module.train`, but the loaded model stays in evaluation mode: synthesis draws no dropout."""
        super().train(mode)
        self.model.eval()
        return self

    @property
    def sample_rate(self) -> int:
        """Samples a second of the waveform."""
        return self.model.config.sampling_rate

    @property
    def code_hop_samples(self) -> int:
        """Samples of one unit frame."""
        return self.model.config.code_hop_samples

    @property
    def num_embeddings(self) -> int:
        """Number of units; valid units are 0 to `num_embeddings - 1`."""
        return self.model.config.num_embeddings

    @property
    def receptive_field(self) -> ReceptiveField:
        """Unit frames on each side that a sample depends on, with durations given."""
        return generator_receptive_field(self.model.config)

    @torch.no_grad()
    def forward(self, x: Mapping[str, Tensor], dur_prediction: bool = False) -> tuple[Tensor, Tensor]:
        """Synthesise one sequence of units.

        Args:
            x: {"code": units [1, N], integers}; other entries are refused, and `x` is left as it is.
            dur_prediction: predict how many frames each unit lasts (units without repeats); otherwise each
                unit is one frame.

        Returns:
            waveform [S], float32 in (-1, 1), and durations_frames [1, N] (long; all 1 without prediction).

        Raises:
            VocoderError: if `code` is missing, empty, of another shape or type, or holds a unit that the
                vocoder does not know; if durations are asked of a vocoder without duration predictor.
        """
        code = self._checked_code(x)
        durations_frames = self.model.predict_durations(code) if dur_prediction else torch.ones_like(code)
        return self.forward_from_durations(code, durations_frames), durations_frames

    def forward_from_durations(self, code: Tensor, durations_frames: Tensor) -> Tensor:
        """Synthesise units [1, N], each held for its `durations_frames` [1, N] (long); waveform [S], float32.

        Raises:
            VocoderError: as `forward`; also if the durations have another shape than `code`, or are below 1.
        """
        code = self._checked_code({"code": code})
        if durations_frames.shape != code.shape or bool((durations_frames < 1).any()):
            raise VocoderError(
                f"durations must be at least 1 frame for each of the units {list(code.shape)}, "
                f"not {durations_frames.tolist()}"
            )
        waveform = self.model.forward_from_durations(code, durations_frames.to(code.device))
        return waveform.float().flatten()

    def init_state(
        self,
        batch_size: int = 1,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> VocoderState:
        """Return the state of a stream without units; device and dtype are those of the weights by default.

        Raises:
            VocoderError: if the batch size is not 1.
        """
        return self.model.init_state(batch_size, device=device, dtype=dtype)

    @torch.no_grad()
    def streaming_forward(
        self,
        units: Tensor,
        state: VocoderState,
        *,
        is_final: bool = False,
        dur_prediction: bool = False,
        hold_back_frames: int = 0,
        block_frames: int = 1,
    ) -> tuple[Tensor, Tensor]:
        """Synthesise the next units of a stream: samples of a whole synthesis of the units known so far.

        A call writes from the last written sample up to `hold_back_frames` before the end of the known
        frames, and what is written stays. Frames to come would still change the last
        `receptive_field.right_frames` frames: if fewer are held back, a piece does not quite fit the next;
        with so many, all pieces together are the whole synthesis. The duration of a unit is predicted when it
        arrives, from two units on each side as far as they are known, and stays as well.

        Args:
            units: the new ones, [1, n], integers, n >= 0.
            state: of the stream.
            is_final: no unit follows; nothing is held back, and the stream is closed.
            dur_prediction: predict how many frames each unit lasts; otherwise each unit is one frame.
            hold_back_frames: last known frames that are not written yet; it may differ from call to call.
            block_frames: frames become known in blocks of so many, and the rest waits. Calls of few different
                sizes are cheaper, since libraries of convolutions prepare, and keep, a program for each size.

        Returns:
            waveform [S], float32, S >= 0, and durations_frames [1, n] (long) of the new units.

        Raises:
            VocoderError: as `forward`, but there may be no units; also if `hold_back_frames` is negative. The
                stream is then as it was.
            StreamFinishedError: if the stream was closed.
        """
        waveform, durations_frames = self.model.streaming_forward(
            self._checked_code({"code": units}, may_be_empty=True),
            state,
            is_final=is_final,
            dur_prediction=dur_prediction,
            hold_back_frames=hold_back_frames,
            block_frames=block_frames,
        )
        return waveform.float().flatten(), durations_frames

    def _checked_code(self, x: Mapping[str, Tensor], *, may_be_empty: bool = False) -> Tensor:
        if "code" not in x:
            raise VocoderError('the vocoder needs {"code": units [1, N]}')
        if len(x) > 1:
            extra = sorted(key for key in x if key != "code")
            raise VocoderError(f"this vocoder takes units only; it cannot use {extra}")
        code = x["code"]
        if code.dim() != 2 or code.size(0) != 1 or code.is_floating_point():
            raise VocoderError(
                f"units ('code') must be integers of shape [1, N], not {code.dtype} {list(code.shape)}"
            )
        if code.size(1) == 0 and not may_be_empty:
            raise VocoderError("'code' is empty: there are no units to synthesise")
        unknown = code[(code < 0) | (code >= self.num_embeddings)]
        if unknown.numel():
            raise VocoderError(
                f"unit {int(unknown[0])} is outside the vocoder's units 0 to {self.num_embeddings - 1}; "
                "special symbols must be removed, and the units must be of the vocoder's own clustering"
            )
        return code.to(device=self.model.dict.weight.device, dtype=torch.long)
