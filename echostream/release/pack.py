"""Packing: everything that inference needs, into one folder."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from echostream.release.configs import VOCODER, VOCODER_CONFIG, copy_configs
from echostream.release.samples import copy_samples
from echostream.release.scores import collect_scores
from echostream.release.weights import pack_model, pack_vocoder

MODEL = "model.pt"
SCORES = "scores.json"
CHECKSUMS = "SHA256SUMS"
CARD = "README.md"
"""Written by hand: packing leaves it as it is, and no checksum is kept of it."""
MAX_BYTES = 25_000_000


class ReleaseError(ValueError):
    """A release that cannot be made; the message says why."""


@dataclass(frozen=True)
class Parts:
    """What a release is made of.

    Args:
        model: checkpoint of the translation model.
        data: folder of the YAML files, with the dictionaries and statistics that they name.
        vocoder, vocoder_config: CodeHiFiGAN checkpoint and its JSON configuration.
        config_yaml, multitask_config_yaml: names of the YAML files.
        split: folder of `data/simuleval` to take sample sentences from.
        num_samples, max_sample_s: how many, and how long at most.
        results: result folders, whose scores are kept.
    """

    model: Path
    data: Path
    vocoder: Path
    vocoder_config: Path
    config_yaml: str
    multitask_config_yaml: str
    split: str = "test"
    num_samples: int = 6
    max_sample_s: float = 5.0
    results: Sequence[Path] = ()


def pack(parts: Parts, output: Path, *, max_bytes: int = MAX_BYTES) -> int:
    """Make a release, or replace the one in `output`; nothing changes there when it fails.

    Args:
        parts: what it is made of.
        output: its folder; `README.md` in it stays as it is.
        max_bytes: the most that the folder may hold.
    Returns:
        The size of the folder in bytes.
    Raises:
        ReleaseError: when it would be too large, or `output` holds something else.
        FileNotFoundError, ValueError: for missing or unfit parts.
    """
    _check_replaceable(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as name:
        made = Path(name) / output.name
        made.mkdir()
        _write_parts(parts, made)
        _write_checksums(made)
        if (output / CARD).is_file():
            shutil.copyfile(output / CARD, made / CARD)
        size_bytes = sum(path.stat().st_size for path in made.rglob("*") if path.is_file())
        if size_bytes > max_bytes:
            sizes = [(made / name).stat().st_size for name in (MODEL, VOCODER)]
            raise ReleaseError(
                f"the release would have {size_bytes} bytes, more than {max_bytes}: the model has "
                f"{sizes[0]}, the vocoder {sizes[1]}; take smaller ones"
            )
        if output.exists():
            shutil.rmtree(output)
        shutil.copytree(made, output)
    return size_bytes


def _check_replaceable(output: Path) -> None:
    is_release = (output / CHECKSUMS).is_file()
    if output.exists() and not is_release and any(path.name != CARD for path in output.iterdir()):
        raise ReleaseError(f"{output}: holds files that are no release; choose another --output")


def _write_parts(parts: Parts, folder: Path) -> None:
    copy_configs(parts.data, folder, parts.config_yaml, parts.multitask_config_yaml)
    torch.save(pack_model(parts.model, parts.config_yaml, parts.multitask_config_yaml), folder / MODEL)
    (folder / VOCODER).parent.mkdir(parents=True, exist_ok=True)
    torch.save(pack_vocoder(parts.vocoder), folder / VOCODER)
    shutil.copyfile(parts.vocoder_config, folder / VOCODER_CONFIG)
    lists = parts.data / "simuleval" / parts.split
    copy_samples(lists, folder / "samples", count=parts.num_samples, max_seconds=parts.max_sample_s)
    if parts.results:
        text = json.dumps(collect_scores(parts.results), indent=1, ensure_ascii=False)
        (folder / SCORES).write_text(f"{text}\n", encoding="utf-8")


def _write_checksums(folder: Path) -> None:
    """As `sha256sum` does."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = ((hashlib.sha256(path.read_bytes()).hexdigest(), path.relative_to(folder)) for path in paths)
    text = "".join(f"{digest}  {path.as_posix()}\n" for digest, path in digests)
    (folder / CHECKSUMS).write_text(text, encoding="utf-8")
