"""The generator's configuration, read from the JSON file that goes with a public checkpoint."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from echostream.vocoder.errors import VocoderError

RESBLOCK_DILATIONS = 3
PREDICTOR_KERNEL = 3
_UNSUPPORTED = {
    "f0": "pitch conditioning",
    "f0_quant_num_bin": "pitch conditioning",
    "multispkr": "several speakers",
    "embedder_params": "speaker embeddings",
}


@dataclass(frozen=True)
class DurationPredictorConfig:
    """Sizes of the duration predictor (the block `dur_predictor_params`)."""

    encoder_embed_dim: int
    var_pred_hidden_dim: int
    var_pred_kernel_size: int
    var_pred_dropout: float


@dataclass(frozen=True)
class GeneratorConfig:
    """A checked CodeHiFiGAN configuration; every field has the name it has in the public JSON file."""

    num_embeddings: int
    embedding_dim: int
    upsample_initial_channel: int
    upsample_rates: tuple[int, ...]
    upsample_kernel_sizes: tuple[int, ...]
    resblock_kernel_sizes: tuple[int, ...]
    resblock_dilation_sizes: tuple[tuple[int, ...], ...]
    dur_predictor_params: DurationPredictorConfig | None
    sampling_rate: int = 16000

    @property
    def code_hop_samples(self) -> int:
        """Samples that one unit frame becomes."""
        return math.prod(self.upsample_rates)

    @classmethod
    def from_dict(cls, model_cfg: Mapping[str, Any]) -> GeneratorConfig:
        """Check a public config and keep what shapes the generator; its training keys are left aside.

        Args:
            model_cfg: the content of the JSON file.

        Raises:
            VocoderError: if a key is missing, has an impossible value, or asks for an option
                (pitch, speakers, resblock type 2) that is not supported.
        """
        _refuse_unsupported(model_cfg)
        kernels = _positive_ints(model_cfg, "resblock_kernel_sizes")
        config = cls(
            num_embeddings=_positive_int(model_cfg, "num_embeddings"),
            embedding_dim=_positive_int(model_cfg, "embedding_dim"),
            upsample_initial_channel=_positive_int(model_cfg, "upsample_initial_channel"),
            upsample_rates=_positive_ints(model_cfg, "upsample_rates"),
            upsample_kernel_sizes=_positive_ints(model_cfg, "upsample_kernel_sizes"),
            resblock_kernel_sizes=kernels,
            resblock_dilation_sizes=_dilations(model_cfg, len(kernels)),
            dur_predictor_params=_duration_predictor(model_cfg),
            sampling_rate=_positive_int({"sampling_rate": 16000, **model_cfg}, "sampling_rate"),
        )
        _check_upsampling(config)
        _check_widths(config, model_cfg)
        return config


def read_config_file(path: str | Path) -> dict[str, Any]:
    """Read a JSON file that holds one object.

    Raises:
        FileNotFoundError: if there is no such file.
        VocoderError: if it is not JSON, or not an object.
    """
    config_path = Path(path)
    if not config_path.is_file():
        raise FileNotFoundError(f"vocoder config not found: {config_path}")
    try:
        content = json.loads(config_path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise VocoderError(f"vocoder config {config_path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise VocoderError(
            f"vocoder config {config_path} must hold a JSON object, not {type(content).__name__}"
        )
    return content


def _required(model_cfg: Mapping[str, Any], key: str) -> Any:
    if model_cfg.get(key) is None:
        raise VocoderError(f"vocoder config: {key!r} is missing")
    return model_cfg[key]


def _positive_int(model_cfg: Mapping[str, Any], key: str) -> int:
    value = _required(model_cfg, key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise VocoderError(f"vocoder config: {key!r} must be a positive integer, not {value!r}")
    return value


def _positive_ints(model_cfg: Mapping[str, Any], key: str) -> tuple[int, ...]:
    values = _required(model_cfg, key)
    if not isinstance(values, list | tuple) or not values:
        raise VocoderError(f"vocoder config: {key!r} must be a list of positive integers, not {values!r}")
    return tuple(_positive_int({key: value}, key) for value in values)


def _refuse_unsupported(model_cfg: Mapping[str, Any]) -> None:
    for key, meaning in _UNSUPPORTED.items():
        if model_cfg.get(key):
            raise VocoderError(
                f"vocoder config: {key!r} = {model_cfg[key]!r} ({meaning}) is not supported; "
                "use a vocoder that takes units only"
            )
    if str(model_cfg.get("resblock", "1")) != "1":
        raise VocoderError(f"vocoder config: 'resblock' must be \"1\", not {model_cfg['resblock']!r}")


def _dilations(model_cfg: Mapping[str, Any], num_kernels: int) -> tuple[tuple[int, ...], ...]:
    key = "resblock_dilation_sizes"
    rows = _required(model_cfg, key)
    if not isinstance(rows, list | tuple):
        raise VocoderError(f"vocoder config: {key!r} must be a list of lists, not {rows!r}")
    dilations = tuple(_positive_ints({key: row}, key) for row in rows)
    if len(dilations) != num_kernels or any(len(row) != RESBLOCK_DILATIONS for row in dilations):
        raise VocoderError(
            f"vocoder config: {key!r} must give {RESBLOCK_DILATIONS} dilations for each of the "
            f"{num_kernels} 'resblock_kernel_sizes', not {rows!r}"
        )
    return dilations


def _duration_predictor(model_cfg: Mapping[str, Any]) -> DurationPredictorConfig | None:
    params = model_cfg.get("dur_predictor_params")
    if not params:
        return None
    if not isinstance(params, Mapping):
        raise VocoderError(f"vocoder config: 'dur_predictor_params' must be an object, not {params!r}")
    dropout = params.get("var_pred_dropout", 0.0)
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise VocoderError(f"vocoder config: 'var_pred_dropout' must be in [0, 1), not {dropout!r}")
    config = DurationPredictorConfig(
        encoder_embed_dim=_positive_int(params, "encoder_embed_dim"),
        var_pred_hidden_dim=_positive_int(params, "var_pred_hidden_dim"),
        var_pred_kernel_size=_positive_int(params, "var_pred_kernel_size"),
        var_pred_dropout=float(dropout),
    )
    if config.var_pred_kernel_size != PREDICTOR_KERNEL:
        raise VocoderError(
            f"vocoder config: 'var_pred_kernel_size' must be {PREDICTOR_KERNEL}, not "
            f"{config.var_pred_kernel_size}: other kernels do not give one duration a unit"
        )
    return config


def _check_upsampling(config: GeneratorConfig) -> None:
    rates, kernels = config.upsample_rates, config.upsample_kernel_sizes
    if len(rates) != len(kernels):
        raise VocoderError(
            f"vocoder config: {len(rates)} 'upsample_rates' but {len(kernels)} 'upsample_kernel_sizes'; "
            "give one each"
        )
    for rate, kernel in zip(rates, kernels, strict=True):
        if kernel < rate or (kernel - rate) % 2:
            raise VocoderError(
                f"vocoder config: upsample kernel {kernel} with rate {rate} does not multiply the length by "
                f"{rate}; kernel minus rate must be even and not negative"
            )
    if any(kernel % 2 == 0 for kernel in config.resblock_kernel_sizes):
        raise VocoderError(
            f"vocoder config: 'resblock_kernel_sizes' must be odd, not {config.resblock_kernel_sizes}"
        )
    if config.upsample_initial_channel % 2 ** len(rates):
        raise VocoderError(
            f"vocoder config: 'upsample_initial_channel' {config.upsample_initial_channel} cannot be halved "
            f"{len(rates)} times, once for each of 'upsample_rates'"
        )


def _check_widths(config: GeneratorConfig, model_cfg: Mapping[str, Any]) -> None:
    expected = {"model_in_dim": config.embedding_dim, "code_hop_size": config.code_hop_samples}
    reason = {
        "model_in_dim": "'embedding_dim'",
        "code_hop_size": "the product of 'upsample_rates'",
    }
    for key, value in expected.items():
        if model_cfg.get(key, value) != value:
            raise VocoderError(f"vocoder config: {key!r} is {model_cfg[key]!r} but {reason[key]} is {value}")
    predictor = config.dur_predictor_params
    if predictor is not None and predictor.encoder_embed_dim != config.embedding_dim:
        raise VocoderError(
            f"vocoder config: 'encoder_embed_dim' of the duration predictor is {predictor.encoder_embed_dim} "
            f"but 'embedding_dim' is {config.embedding_dim}"
        )
