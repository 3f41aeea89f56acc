"""From files to a translator in one call, for users of the library."""

from pathlib import Path

import torch

from echostream.inference.loading import load_model
from echostream.inference.options import Output, SessionOptions
from echostream.inference.translator import StreamingTranslator
from echostream.inference.vocoder_loading import load_vocoder


def load_translator(
    checkpoint: str | Path,
    *,
    data_bin: str | Path,
    vocoder: str | Path | None = None,
    vocoder_cfg: str | Path | None = None,
    config_yaml: str | None = None,
    multitask_config_yaml: str | None = None,
    device: str | torch.device = "cpu",
    options: SessionOptions | None = None,
    recompute: bool = False,
) -> StreamingTranslator:
    """Load a model, and a vocoder if speech is wanted, and make a translator of them.

    Args:
        checkpoint: of a `streamspeech` or `echostream` model.
        data_bin: the folder of the YAML files.
        vocoder, vocoder_cfg: CodeHiFiGAN checkpoint and its JSON configuration; None: those of the data
            configuration.
        config_yaml, multitask_config_yaml: the YAML files' names in `data_bin`; None: those of the training.
        device: where everything goes.
        options: settings that sessions start with. None: the defaults, with speech as output, or text where
            no vocoder is given or configured.
        recompute: see `StreamingTranslator`.
    Raises:
        FileNotFoundError, ValueError: as `load_model`, `load_vocoder` and `StreamingTranslator`.
    """
    loaded = load_model(
        checkpoint,
        data_bin=data_bin,
        config_yaml=config_yaml,
        multitask_config_yaml=multitask_config_yaml,
        device=device,
    )
    if options is None:
        named = vocoder or vocoder_cfg or (loaded.vocoder_config or {}).get("checkpoint")
        options = SessionOptions(output=Output.SPEECH if named else Output.TEXT)
    speaks = options.output is Output.SPEECH
    unit_vocoder = load_vocoder(vocoder, vocoder_cfg, loaded) if speaks else None
    return StreamingTranslator(loaded, unit_vocoder, options, recompute=recompute)
