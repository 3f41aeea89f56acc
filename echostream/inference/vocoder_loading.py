"""Loading the vocoder that speaks a model's units."""

import json
from pathlib import Path
from typing import Any

from echostream.inference.loaded_model import LoadedModel
from echostream.vocoder.code_hifigan import CodeHiFiGANVocoder


def load_vocoder(
    checkpoint: str | Path | None, config_path: str | Path | None, loaded: LoadedModel
) -> CodeHiFiGANVocoder:
    """Load a vocoder in evaluation mode, on the model's device, in single precision.

    Args:
        checkpoint: CodeHiFiGAN checkpoint; None: the one of the data configuration.
        config_path: its JSON configuration; None: likewise.
        loaded: the model whose units it speaks.
    Raises:
        ValueError: when none is named, the configuration is not JSON or not the checkpoint's, or the vocoder
            knows fewer units than the model writes.
        FileNotFoundError: for a missing file.
    """
    configured = loaded.vocoder_config or {}
    checkpoint = checkpoint or configured.get("checkpoint")
    config_path = config_path or configured.get("config")
    if not checkpoint or not config_path:
        raise ValueError(
            "speech output needs a vocoder, and the data configuration names none: give its checkpoint "
            "(--vocoder) and its JSON configuration (--vocoder-cfg)"
        )
    vocoder = CodeHiFiGANVocoder(checkpoint, _read_config(Path(config_path))).eval()
    num_units = sum(symbol.isdecimal() for symbol in loaded.unit_vocabulary.symbols)
    if vocoder.num_embeddings < num_units:
        raise ValueError(
            f"{checkpoint}: knows {vocoder.num_embeddings} units, but the model writes {num_units}; "
            "use the vocoder of the same units"
        )
    return vocoder.to(loaded.device)


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such vocoder configuration; check --vocoder-cfg")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: the vocoder configuration is not JSON ({error})") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path}: the vocoder configuration must be a JSON object, not {config!r:.40}")
    return config
