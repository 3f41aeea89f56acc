"""The CodeHiFiGAN generator: units to waveform, with a duration predictor for reduced units.

Dimensions:
    B: batch, N: units, F: unit frames (20 ms in the public config), C: channels,
    S: samples, F times the product of the upsampling rates.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from echostream.vocoder.config import PREDICTOR_KERNEL, DurationPredictorConfig, GeneratorConfig
from echostream.vocoder.errors import VocoderError
from echostream.vocoder.residual_block import LEAKY_SLOPE, ResidualBlock
from echostream.vocoder.streaming_synthesis import StreamingSynthesis, VocoderState, init_vocoder_state
from echostream.vocoder.weight_norm import WeightNormConv, WeightNormConv1d, WeightNormConvTranspose1d

OUTER_KERNEL = 7
MAX_WRITTEN_FRAMES = 64
"""Frames whose samples are computed at a time in streaming, so that a long write takes no more memory."""
# Units on each side that a duration depends on: the predictor is two convolutions.
PREDICTOR_REACH_UNITS = PREDICTOR_KERNEL - 1


class DurationPredictor(nn.Module):
    """Predicts log(1 + frames) of each unit from the embeddings of it and its two neighbours on each side.

    Reference: Ren et al., "FastSpeech 2", 2021, section 2.3 (variance predictor).
    """

    def __init__(self, config: DurationPredictorConfig) -> None:
        super().__init__()
        hidden, kernel = config.var_pred_hidden_dim, config.var_pred_kernel_size
        padding = (kernel - 1) // 2
        self.conv1 = nn.Sequential(
            nn.Conv1d(config.encoder_embed_dim, hidden, kernel, padding=padding), nn.ReLU()
        )
        self.ln1 = nn.LayerNorm(hidden)
        self.conv2 = nn.Sequential(nn.Conv1d(hidden, hidden, kernel, padding=padding), nn.ReLU())
        self.ln2 = nn.LayerNorm(hidden)
        self.proj = nn.Linear(hidden, 1)
        self.dropout_probability = config.var_pred_dropout

    def forward(self, features: Tensor) -> Tensor:
        """Map unit embeddings [B, C, N] to log durations [B, N]."""
        hidden = self.ln1(self.conv1(features).transpose(1, 2))
        hidden = F.dropout(hidden, self.dropout_probability, self.training)
        hidden = self.ln2(self.conv2(hidden.transpose(1, 2)).transpose(1, 2))
        hidden = F.dropout(hidden, self.dropout_probability, self.training)
        log_durations: Tensor = self.proj(hidden)
        return log_durations.squeeze(2)


class CodeGenerator(nn.Module):
    """HiFi-GAN generator over embedded units; its state dict has the names and shapes of public checkpoints.

    Args:
        config: the checked configuration.

    Reference: Polyak et al., "Speech Resynthesis from Discrete Disentangled Self-Supervised Representations",
    2021, section 3; Lee et al., "Direct speech-to-speech translation with discrete units", 2022, section 3.3
    (duration prediction).
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.upsample_initial_channel
        self.conv_pre = WeightNormConv1d(config.embedding_dim, channels, OUTER_KERNEL)
        self.ups = nn.ModuleList()
        self.resblocks = nn.ModuleList()
        for rate, kernel in zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True):
            self.ups.append(WeightNormConvTranspose1d(channels, channels // 2, kernel, rate))
            channels //= 2
            for size, dilations in zip(
                config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True
            ):
                self.resblocks.append(ResidualBlock(channels, size, dilations))
        self.conv_post = WeightNormConv1d(channels, 1, OUTER_KERNEL)
        self.dict = nn.Embedding(config.num_embeddings, config.embedding_dim)
        self.dur_predictor: DurationPredictor | None = None
        if config.dur_predictor_params is not None:
            self.dur_predictor = DurationPredictor(config.dur_predictor_params)

    def embed(self, code: Tensor) -> Tensor:
        """Map units [B, N] (long) to embeddings [B, C, N]."""
        embedded: Tensor = self.dict(code)
        return embedded.transpose(1, 2)

    def predict_log_durations(self, code: Tensor) -> Tensor:
        """Predict log(1 + frames) of units [B, N]; [B, N].

        Raises:
            VocoderError: if this vocoder has no duration predictor.
        """
        if self.dur_predictor is None:
            raise VocoderError(
                "this vocoder has no duration predictor ('dur_predictor_params' in its config): "
                "give units with repeats, one for each frame, and no duration prediction"
            )
        log_durations: Tensor = self.dur_predictor(self.embed(code))
        return log_durations

    def predict_durations(self, code: Tensor) -> Tensor:
        """Predict the whole number of frames, at least 1, of units [B, N]; [B, N] (long).

        Raises:
            VocoderError: if there is no duration predictor, or if it gives something that is not a number.
        """
        frames = torch.round(torch.exp(self.predict_log_durations(code)) - 1)
        if not bool(torch.isfinite(frames).all()):
            raise VocoderError(
                "the duration predictor gave a duration that is not finite; its weights are damaged"
            )
        return torch.clamp(frames.long(), min=1)

    def forward_from_durations(self, code: Tensor, durations_frames: Tensor) -> Tensor:
        """Synthesise units [1, N], each held for `durations_frames` [1, N] frames; waveform [1, 1, S]."""
        features = self.embed(code)
        return self.synthesize(torch.repeat_interleave(features, durations_frames.view(-1), dim=2))

    def forward(self, code: Tensor) -> Tensor:
        """Synthesise frame-level units [B, F], one for each frame; waveform [B, 1, S]."""
        return self.synthesize(self.embed(code))

    def synthesize(self, features: Tensor) -> Tensor:
        """Synthesise embedded frames [B, C, F]; waveform [B, 1, S] within (-1, 1)."""
        x: Tensor = self.conv_pre(features)
        for stage, upsample in enumerate(self.upsamplings()):
            x = upsample(F.leaky_relu(x, LEAKY_SLOPE))
            blocks = self.stage_blocks(stage)
            total = blocks[0](x)
            for block in blocks[1:]:
                total = total + block(x)
            x = total / len(blocks)
        # The last activation has torch's default slope (0.01): the published weights were trained with it.
        return torch.tanh(self.conv_post(F.leaky_relu(x)))

    def upsamplings(self) -> list[WeightNormConvTranspose1d]:
        """The transposed convolutions, one a stage."""
        upsamplings: list[Any] = list(self.ups)
        return upsamplings

    def stage_blocks(self, stage: int) -> list[ResidualBlock]:
        """The parallel blocks after upsampling `stage`."""
        num_kernels = len(self.config.resblock_kernel_sizes)
        blocks: list[Any] = list(self.resblocks)
        return blocks[stage * num_kernels : (stage + 1) * num_kernels]

    def init_state(
        self,
        batch_size: int = 1,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> VocoderState:
        """Return the state of a stream without units; device and dtype are those of the weights by default.

        Raises:
            VocoderError: if the batch size is not 1: rows would differ in their number of frames.
        """
        if batch_size != 1:
            raise VocoderError(f"a vocoder state is for one stream of units, not for a batch of {batch_size}")
        weight = self.dict.weight
        return init_vocoder_state(self, torch.device(device or weight.device), dtype or weight.dtype)

    def streaming_forward(
        self,
        code: Tensor,
        state: VocoderState,
        *,
        is_final: bool = False,
        dur_prediction: bool = False,
        hold_back_frames: int = 0,
        block_frames: int = 1,
    ) -> tuple[Tensor, Tensor]:
        """Synthesise the next units [1, n], n >= 0, as `CodeHiFiGANVocoder.streaming_forward` describes.

        Returns:
            waveform [1, 1, S] and durations_frames [1, n] (long).
        """
        if hold_back_frames < 0:
            raise VocoderError(f"hold_back_frames cannot be negative, got {hold_back_frames}")
        if block_frames < 1:
            raise VocoderError(f"block_frames must be at least one frame, got {block_frames}")
        units = torch.cat([state.recent_units, code], dim=1)
        durations_frames = torch.ones_like(code)
        if dur_prediction and code.size(1) > 0:
            durations_frames = self.predict_durations(units)[:, state.recent_units.size(1) :]
        # Nothing above changes the state: what was refused leaves the stream as it was.
        state.begin_step(is_final=is_final)
        state.recent_units = units[:, -PREDICTOR_REACH_UNITS:].clone()
        state.arrive(torch.repeat_interleave(code, durations_frames.view(-1), dim=1))
        state.take_blocks(1 if is_final else block_frames)
        return self._write(state, 0 if is_final else hold_back_frames), durations_frames

    def _write(self, state: VocoderState, hold_back_frames: int) -> Tensor:
        """Samples [1, 1, S] from the last written frame up to so many before the last known one."""
        stop = state.num_known_frames - hold_back_frames
        pieces = [self.dict.weight.new_zeros(1, 1, 0)]
        while state.num_written_frames < stop:
            synthesis = StreamingSynthesis(self, state)
            pieces.append(synthesis.write_frames(min(stop, state.num_written_frames + MAX_WRITTEN_FRAMES)))
        return torch.cat(pieces, dim=2)

    def remove_weight_norm(self) -> None:
        """Fold all weight norms: synthesis gets cheaper; the state dict is no longer the public one."""
        for module in self.modules():
            if isinstance(module, WeightNormConv):
                module.remove_weight_norm()
