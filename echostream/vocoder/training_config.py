"""What a vocoder training run is set to: the generator's configuration and the `training` block."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from echostream.vocoder.config import GeneratorConfig
from echostream.vocoder.errors import VocoderError

_PUBLIC_MODEL: dict[str, Any] = {
    "resblock": "1",
    "upsample_rates": [5, 4, 4, 2, 2],
    "upsample_kernel_sizes": [11, 8, 8, 4, 4],
    "upsample_initial_channel": 512,
    "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    "embedding_dim": 128,
    "model_in_dim": 128,
    "code_hop_size": 320,
    "sampling_rate": 16000,
    "dur_predictor_params": {
        "encoder_embed_dim": 128,
        "var_pred_hidden_dim": 128,
        "var_pred_kernel_size": 3,
        "var_pred_dropout": 0.5,
    },
}
_MINI_MODEL: dict[str, Any] = {
    **_PUBLIC_MODEL,
    "upsample_rates": [5, 4, 4, 4],
    "upsample_kernel_sizes": [11, 8, 8, 8],
    "upsample_initial_channel": 256,
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3, 5]],
    "embedding_dim": 64,
    "model_in_dim": 64,
    "dur_predictor_params": {
        "encoder_embed_dim": 64,
        "var_pred_hidden_dim": 64,
        "var_pred_kernel_size": 3,
        "var_pred_dropout": 0.1,
    },
}
PRESETS: dict[str, dict[str, Any]] = {
    "public": {
        **_PUBLIC_MODEL,
        "training": {
            "batch_size": 16,
            "learning_rate": 2e-4,
            "adversarial_from_update": 0,
            "discriminator_periods": [2, 3, 5, 7, 11],
            "discriminator_scales": 3,
            "discriminator_channels": 32,
            "mel_resolutions": [[1024, 256, 80]],
        },
    },
    "mini": {**_MINI_MODEL, "training": {}},
}


@dataclass(frozen=True)
class TrainingConfig:
    """The `training` block of a vocoder config; every key is optional, and an unknown one is an error.

    The learning rate rises over `warmup_updates` and falls on a half cosine, over the run's budget of updates
    or minutes, to `final_learning_rate` times its peak. Without `adversarial_from_update` (null) there are no
    discriminators.
    `mel_resolutions` are (fft_samples, hop_samples, num_mels).
    """

    batch_size: int = 8
    segment_frames: int = 28
    learning_rate: float = 4e-3
    final_learning_rate: float = 0.05
    warmup_updates: int = 30
    adam_b1: float = 0.8
    adam_b2: float = 0.99
    mel_weight: float = 45.0
    duration_weight: float = 1.0
    feature_matching_weight: float = 2.0
    adversarial_weight: float = 1.0
    adversarial_from_update: int | None = None
    discriminator_learning_rate: float = 2e-4
    discriminator_periods: tuple[int, ...] = (2, 3, 5, 7)
    discriminator_scales: int = 1
    discriminator_channels: int = 4
    mel_resolutions: tuple[tuple[int, int, int], ...] = ((1024, 256, 80), (512, 128, 40), (256, 64, 20))
    dev_interval_updates: int = 100
    dev_utterances: int = 8
    kept_exports: int = 2

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingConfig:
        """Check a `training` block.

        Raises:
            VocoderError: if a key is unknown or a value cannot be used.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - set(fields))
        if unknown:
            raise VocoderError(f"vocoder training config: unknown keys {unknown}; known are {sorted(fields)}")
        converted = {key: _convert(key, value, fields[key].default) for key, value in values.items()}
        config = cls(**converted)
        config._check_ranges()
        return config

    def to_dict(self) -> dict[str, Any]:
        """The block as JSON would give it back."""
        return {key: _to_lists(value) for key, value in dataclasses.asdict(self).items()}

    def _check_ranges(self) -> None:
        for key in ("batch_size", "segment_frames", "dev_interval_updates", "dev_utterances", "kept_exports"):
            if getattr(self, key) < 1:
                raise VocoderError(
                    f"vocoder training config: {key!r} must be at least 1, not {getattr(self, key)}"
                )
        if not self.mel_resolutions or any(len(r) != 3 or min(r) < 1 for r in self.mel_resolutions):
            raise VocoderError("vocoder training config: 'mel_resolutions' must be [[fft, hop, mels], …]")
        if self.adversarial_from_update is not None and not (
            self.discriminator_periods or self.discriminator_scales
        ):
            raise VocoderError("vocoder training config: adversarial training needs periods or scales")


@dataclass(frozen=True)
class RunConfig:
    """A checked run: the generator's JSON (as exported), its checked form, and the training settings."""

    model_cfg: dict[str, Any]
    generator: GeneratorConfig
    training: TrainingConfig

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], preset: str | None = None) -> RunConfig:
        """Lay `values` (public config keys, and a `training` block) over a preset and check the whole.

        Raises:
            VocoderError: if the preset does not exist, or the config is bad.
        """
        if preset is not None and preset not in PRESETS:
            raise VocoderError(f"unknown vocoder preset {preset!r}; there are {sorted(PRESETS)}")
        base = PRESETS[preset] if preset is not None else {}
        merged = {**base, **values}
        training = merged.pop("training", {})
        if not isinstance(training, Mapping):
            raise VocoderError(f"vocoder config: 'training' must be an object, not {training!r}")
        settings = TrainingConfig.from_dict({**base.get("training", {}), **training})
        run = cls(merged, GeneratorConfig.from_dict(merged), settings)
        run._check_segments()
        return run

    def _check_segments(self) -> None:
        segment_samples = self.training.segment_frames * self.generator.code_hop_samples
        widest = max(fft_samples for fft_samples, _, _ in self.training.mel_resolutions)
        if segment_samples < widest:
            raise VocoderError(
                f"segments of {segment_samples} samples are shorter than the mel window of {widest}; "
                "raise 'segment_frames'"
            )


def _convert(key: str, value: Any, default: Any) -> Any:
    if key == "adversarial_from_update" and value is None:
        return None
    if key == "mel_resolutions":
        return tuple(_numbers(key, row, int) for row in _rows(key, value))
    if isinstance(default, tuple):
        return _numbers(key, value, int)
    wanted = int if isinstance(default, int) or default is None else float
    return _number(key, value, wanted)


def _rows(key: str, value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise VocoderError(f"vocoder training config: {key!r} must be a list, not {value!r}")
    return list(value)


def _numbers(key: str, value: Any, wanted: type) -> tuple[Any, ...]:
    return tuple(_number(key, entry, wanted) for entry in _rows(key, value))


def _number(key: str, value: Any, wanted: type) -> Any:
    accepted = int if wanted is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, accepted) or value < 0:
        raise VocoderError(f"vocoder training config: {key!r} must be {wanted.__name__} >= 0, not {value!r}")
    return wanted(value)


def _to_lists(value: Any) -> Any:
    return [_to_lists(entry) for entry in value] if isinstance(value, tuple) else value
