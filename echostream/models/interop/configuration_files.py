"""Public YAML files with their authors' absolute paths, made to work where the files lie now."""

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from echostream.data.data_config import DataConfigError, read_yaml_mapping
from echostream.models.interop.stored_paths import PathChange

VOCODER_KEYS = ("checkpoint", "config")


def find_by_tail(path: str, folder: Path) -> Path | None:
    """Return the file in a folder that has the longest end of a path in common with it; None without one.

    The end is compared in whole components: of ``/home/a/configs/fr-en/gcmvn.npz`` first
    ``home/a/configs/fr-en/gcmvn.npz`` is looked for, then ``a/configs/…``, at last ``gcmvn.npz``. A path that
    ends with the folder's own name is the folder.
    """
    parts = PurePosixPath(path).parts[1:]
    candidates = (folder.joinpath(*parts[start:]) for start in range(len(parts)))
    found = next((candidate for candidate in candidates if candidate.exists()), None)
    return folder if found is None and parts[-1:] == (folder.absolute().name,) else found


def localise_configuration(
    source: Path, output: Path, vocoder: Mapping[str, str | None] | None = None
) -> tuple[list[PathChange], list[PathChange]]:
    """Write a copy of a YAML file in which absolute paths that do not exist here are replaced.

    Each is looked for in the folder of the YAML file by its end, and written relative to the copy.

    Args:
        source: the YAML file.
        output: the copy.
        vocoder: ``checkpoint`` and ``config`` of the vocoder section, where they lie now.

    Returns:
        The changes, and the paths that were not found, which stay as they are.

    Raises:
        DataConfigError: when the file is missing or not YAML, or the copy exists already.
    """
    if output.exists():
        raise DataConfigError(f"{output} exists already: choose another folder, or remove it")
    config = read_yaml_mapping(source)
    changes: list[PathChange] = []
    lost: list[PathChange] = []
    _localise(config, source.name, source.parent, output.parent, changes, lost)
    section = config.get("vocoder")
    for key in VOCODER_KEYS:
        path = (vocoder or {}).get(key)
        if path is not None and isinstance(section, dict):
            where = f"{source.name}: vocoder: {key}"
            changes.append(PathChange(where, str(section.get(key)), _relative(Path(path), output.parent)))
            section[key] = changes[-1].new
            lost = [item for item in lost if item.where != where]
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return changes, lost


def _localise(
    section: dict[str, Any],
    where: str,
    folder: Path,
    output: Path,
    changes: list[PathChange],
    lost: list[PathChange],
) -> None:
    for key, value in section.items():
        name = f"{where}: {key}"
        if isinstance(value, dict):
            _localise(value, name, folder, output, changes, lost)
        elif isinstance(value, str) and PurePosixPath(value).is_absolute() and not Path(value).exists():
            found = find_by_tail(value, folder)
            if found is None:
                lost.append(PathChange(name, value, None))
            else:
                section[key] = _relative(found, output)
                changes.append(PathChange(name, value, section[key]))


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
