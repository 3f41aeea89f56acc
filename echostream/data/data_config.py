"""The data and multitask configuration files; every path in them is relative to the file itself."""

from pathlib import Path
from typing import Any

import yaml
from fairseq.data import Dictionary
from fairseq.data.audio.data_cfg import MultitaskConfig, S2SDataConfig, SingleTaskConfig

from echostream.data.fbank import NUM_MEL_BINS, SAMPLE_RATE, GlobalCMVN


class DataConfigError(ValueError):
    """A configuration file that cannot be used; the message names the file, the key and what is wrong."""


class MissingConfigError(DataConfigError, FileNotFoundError):
    """A configuration file, or a file that it names, does not exist."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else "missing configuration file"


def read_yaml_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Raises:
        DataConfigError: when it is missing, not YAML, or not a mapping.
    """
    if not path.is_file():
        raise MissingConfigError(f"{path}: no such configuration file")
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(config, dict):
        raise DataConfigError(f"{path}: must hold a mapping of keys to values")
    return config


def resolve(root: Path, value: object, *, config: Path, key: str) -> Path:
    """A path of a YAML file as seen from that file's folder; an absolute one stays."""
    if not isinstance(value, str) or not value:
        raise DataConfigError(f"{config}: {key} must be a path, not {value!r}")
    return root / value


class SpeechDataConfig(S2SDataConfig):
    """fairseq's data configuration with paths resolved against the YAML file and checked.

    Both `feature_transforms` and the older key `transforms` are understood, as in fairseq.

    Args:
        yaml_path: the file, such as config_gcmvn.yaml.
    Raises:
        DataConfigError: for a missing file, or a key that this model cannot honour.
    """

    def __init__(self, yaml_path: Path) -> None:
        self.path = Path(yaml_path)
        self.root = self.path.parent
        self.config = read_yaml_mapping(self.path)
        self._check_supported()
        self._resolve_cmvn()
        self._resolve_vocoder()

    def _check_supported(self) -> None:
        wanted: dict[str, object] = {
            "input_channels": 1,
            "input_feat_per_channel": NUM_MEL_BINS,
            "sample_rate": SAMPLE_RATE,
        }
        wanted |= {
            "use_audio_input": False,
            "prepend_tgt_lang_tag_as_bos": False,
            "target_speaker_embed": None,
        }
        for key, value in wanted.items():
            if self.config.get(key, value) != value:
                raise DataConfigError(f"{self.path}: {key} must be {value!r} here, not {self.config[key]!r}")
        for key in ("transforms", "feature_transforms", "waveform_transforms", "dataset_transforms"):
            if not isinstance(self.config.get(key) or {}, dict):
                raise DataConfigError(
                    f"{self.path}: {key} must map splits (_train, _eval, '*') to lists of names"
                )

    def transform_names(self) -> set[str]:
        """Names of all feature transforms of any split."""
        names: set[str] = set()
        for key in ("transforms", "feature_transforms"):
            for listed in (self.config.get(key) or {}).values():
                names.update(listed or ())
        return names

    def _resolve_cmvn(self) -> None:
        names = self.transform_names()
        if "delta_deltas" in names:
            raise DataConfigError(f"{self.path}: delta_deltas would change the feature dimension; remove it")
        section = self.config.get("global_cmvn")
        if section is None:
            if "global_cmvn" in names:
                raise DataConfigError(
                    f"{self.path}: the transform global_cmvn needs global_cmvn: stats_npz_path"
                )
            return
        if not isinstance(section, dict):
            raise DataConfigError(f"{self.path}: global_cmvn must hold stats_npz_path")
        path = resolve(
            self.root, section.get("stats_npz_path"), config=self.path, key="global_cmvn: stats_npz_path"
        )
        try:
            GlobalCMVN.from_npz(path)
        except FileNotFoundError as error:
            raise MissingConfigError(f"{self.path}: global_cmvn: {error}") from error
        except ValueError as error:
            raise DataConfigError(f"{self.path}: global_cmvn: {error}") from error
        self.config["global_cmvn"] = {**section, "stats_npz_path": path.as_posix()}

    def _resolve_vocoder(self) -> None:
        section = self.config.get("vocoder")
        if isinstance(section, dict):
            paths = {
                key: resolve(self.root, section[key], config=self.path, key=f"vocoder: {key}").as_posix()
                for key in ("checkpoint", "config")
                if section.get(key)
            }
            self.config["vocoder"] = {**section, **paths}

    @property
    def vocoder(self) -> dict[str, str]:
        """The `vocoder:` section with resolved paths."""
        return dict(self.config.get("vocoder", {"type": "griffin_lim"}))

    @property
    def global_cmvn_stats_npz(self) -> str | None:
        """Resolved path of the statistics, or None."""
        section = self.config.get("global_cmvn") or {}
        path: str | None = section.get("stats_npz_path")
        return path

    def audio_folder(self, manifest_folder: Path) -> Path:
        """Where the manifest's relative audio paths start: `audio_root`, or the manifest's own folder."""
        root = self.config.get("audio_root", "")
        return resolve(self.root, root, config=self.path, key="audio_root") if root else manifest_folder


class TextTaskConfig(SingleTaskConfig):
    """One multitask's configuration: `dict` and `data` must exist, relative to the YAML file.

    Args:
        name: the multitask's name.
        config: its section.
        path: the YAML file.
    """

    def __init__(self, name: str, config: object, path: Path) -> None:
        if not isinstance(config, dict):
            raise DataConfigError(f"{path}: {name} must hold a mapping")
        self.task_name = name
        where = f"{name}: dict"
        dictionary_path = resolve(path.parent, config.get("dict"), config=path, key=where)
        if not dictionary_path.is_file():
            raise MissingConfigError(f"{path}: {where}: no such dictionary: {dictionary_path}")
        data = resolve(path.parent, config.get("data"), config=path, key=f"{name}: data")
        if not data.is_dir():
            raise MissingConfigError(f"{path}: {name}: data: no such folder: {data}")
        if config.get("decoder_type", "transformer") not in {"transformer", "ctc"}:
            raise DataConfigError(f"{path}: {name}: decoder_type must be transformer or ctc")
        self.config = {**config, "dict": dictionary_path.as_posix(), "data": data.as_posix()}
        self.dict_path = dictionary_path
        try:
            self.tgt_dict = Dictionary.load(dictionary_path.as_posix())
        except (ValueError, RuntimeError, UnicodeDecodeError) as error:
            raise DataConfigError(f"{dictionary_path}: not a fairseq dictionary: {error}") from error


class TextTasksConfig(MultitaskConfig):
    """All multitasks of a YAML file, checked.

    Args:
        yaml_path: the file, such as config_mtl_asr_st_ctcst.yaml.
    Raises:
        DataConfigError: for a missing file, dictionary or data folder, or without a first-pass text decoder.
    """

    def __init__(self, yaml_path: Path) -> None:
        path = Path(yaml_path)
        self.config = {
            name: TextTaskConfig(name, section, path) for name, section in read_yaml_mapping(path).items()
        }
        if self.first_pass_decoder_task_index < 0:
            raise DataConfigError(
                f"{path}: no first-pass text decoder: one multitask must be called target… with "
                "decoder_type: transformer, or say is_first_pass_decoder: true"
            )
