"""The YAML files, and the files that they name, each at the same place below the release's folder."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from echostream.data.data_config import DataConfigError, read_yaml_mapping

VOCODER = "vocoder/checkpoint.pt"
VOCODER_CONFIG = "vocoder/config.json"


def copy_configs(data: Path, output: Path, config_yaml: str, multitask_config_yaml: str) -> None:
    """Copy both YAML files, the statistics, and the dictionaries with their sentencepiece models.

    The data configuration comes to name the release's vocoder.

    Args:
        data: folder of the YAML files.
        output: folder of the release.
        config_yaml, multitask_config_yaml: their names.
    Raises:
        DataConfigError: for a missing or bad file, or one outside `data`.
    """
    config = read_yaml_mapping(data / config_yaml)
    config["vocoder"] = {"type": "code_hifigan", "checkpoint": VOCODER, "config": VOCODER_CONFIG}
    tasks = read_yaml_mapping(data / multitask_config_yaml)
    for name, content in ((config_yaml, config), (multitask_config_yaml, tasks)):
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        (output / name).write_text(text, encoding="utf-8")
    for named in dict.fromkeys(_named_files(config, tasks)):
        _copy(data, output, named)
        pieces = Path(named).with_suffix(".model")
        if Path(named).suffix == ".txt" and (data / pieces).is_file():
            _copy(data, output, str(pieces))
    for section in tasks.values():
        (output / section.get("data", ".")).mkdir(parents=True, exist_ok=True)


def _named_files(config: dict[str, Any], tasks: dict[str, Any]) -> Iterator[str]:
    if config.get("global_cmvn"):
        yield config["global_cmvn"]["stats_npz_path"]
    for section in tasks.values():
        yield section["dict"]


def _copy(data: Path, output: Path, name: str) -> None:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise DataConfigError(f"{data}: a YAML file names {name}, which is outside this folder: put it there")
    if not (data / name).is_file():
        raise DataConfigError(f"{data / name}: no such file, but a YAML file beside it names it")
    (output / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(data / name, output / name)
