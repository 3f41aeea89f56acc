"""The paths in a checkpoint's arguments: where they point to, and how they are made to point elsewhere."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from echostream.models.interop.stored_arguments import stored_arguments
from echostream.models.pretrained import DEFAULT_RESTORE_FILE, FLAGS

CONFIGURATIONS = ("config_yaml", "multitask_config_yaml")
"""Files that fairseq looks for in the data folder."""

NOT_NEEDED = (
    *FLAGS,
    "load_pretrained_decoder_from",
    "finetune_from_model",
    "continue_once",
    "tensorboard_logdir",
    "log_file",
    "results_path",
)
"""What only the training needed, or what was in the checkpoint's weights since."""


NOT_THE_USERS = ("plasma_path",)
"""Paths that fairseq sets by itself."""


@dataclass(frozen=True)
class StoredPath:
    """A path in a checkpoint's arguments.

    Args:
        where: the argument, such as ``cfg.model.data``.
        value: the path.
    """

    where: str
    value: str

    @property
    def exists(self) -> bool:
        """Whether there is such a file or folder on this machine."""
        return Path(self.value).exists()


@dataclass(frozen=True)
class PathChange:
    """A path that was rewritten; ``new`` is None where the argument was emptied."""

    where: str
    old: str
    new: str | None

    def __str__(self) -> str:
        return f"{self.where}: {self.old} -> {self.new if self.new is not None else '(none)'}"


def stored_paths(state: dict[str, Any]) -> list[StoredPath]:
    """Return the absolute paths in a checkpoint's arguments, in the order in which they stand."""
    return [
        StoredPath(f"{where}.{name}", value)
        for where, settings in stored_arguments(state).items()
        for name, value in _texts(settings)
        if PurePosixPath(value).is_absolute()
    ]


def rewrite_paths(
    state: dict[str, Any],
    *,
    data: str,
    config_yaml: str | None = None,
    multitask_config_yaml: str | None = None,
    user_dir: str,
    save_dir: str,
) -> list[PathChange]:
    """Rewrite the paths in a checkpoint's arguments, in place.

    Args:
        state: the checkpoint.
        data: folder of the YAML files and dictionaries.
        config_yaml: name of the data configuration there; None keeps the name that is stored.
        multitask_config_yaml: likewise for the text tasks.
        user_dir: the plugin's folder.
        save_dir: where a training that goes on would save.

    Returns:
        All changes, in the order of the arguments. Paths that no rule knows stay; :func:`stored_paths` shows
        them.
    """
    known = {"data": data, "user_dir": user_dir, "save_dir": save_dir}
    known |= {
        name: value
        for name, value in zip(CONFIGURATIONS, (config_yaml, multitask_config_yaml), strict=True)
        if value is not None
    }
    changes = []
    for where, settings in stored_arguments(state).items():
        for name, old in list(_texts(settings)):
            new = _new_value(name, old, known)
            if new != old:
                settings[name] = new
                changes.append(PathChange(f"{where}.{name}", old, new))
    return changes


def _new_value(name: str, old: str, known: Mapping[str, str]) -> str | None:
    if name in known:
        return known[name]
    if name in NOT_NEEDED:
        return None
    if name in CONFIGURATIONS:
        return PurePosixPath(old).name
    if name == "restore_file":
        return DEFAULT_RESTORE_FILE
    return old


def _texts(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, str) and value and name not in NOT_THE_USERS:
            yield str(name), value
