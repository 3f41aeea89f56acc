"""The vocoder's training data: recordings with one unit for each frame.

Dimensions:
    B: batch, F: unit frames, N: units of an utterance without repeats, S: samples, F times the hop.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from echostream.data.audio import read_audio
from echostream.vocoder.config import GeneratorConfig
from echostream.vocoder.errors import VocoderError

LENGTH_TOLERANCE_FRAMES = 3


@dataclass(frozen=True)
class UnitAudioItem:
    """One utterance: its recording and its frame-level units [F] (long)."""

    audio: Path
    code: Tensor

    def reduced(self) -> tuple[Tensor, Tensor]:
        """Units without repeats [N], and how many frames each lasts [N]."""
        units, counts = torch.unique_consecutive(self.code, return_counts=True)
        return units, counts


@dataclass(frozen=True)
class SegmentBatch:
    """Random segments: frame-level units [B, F], waveforms [B, 1, S], and the utterances they come from."""

    code: Tensor
    waveform: Tensor
    items: tuple[UnitAudioItem, ...]


def read_unit_audio_list(
    path: str | Path, config: GeneratorConfig, audio_root: str | Path | None = None
) -> list[UnitAudioItem]:
    """Read a JSON-lines list `{"audio": path, "code": "5 5 12 …"}` and check each line.

    Args:
        path: the list.
        config: tells which units exist.
        audio_root: folder of the audio paths; by default the folder above the one that holds the list.

    Raises:
        FileNotFoundError: if the list or a recording is missing.
        VocoderError: if a line is not as above, if a unit is unknown, or if the list is empty.
    """
    list_path = Path(path)
    if not list_path.is_file():
        raise FileNotFoundError(f"vocoder training list not found: {list_path}")
    root = Path(audio_root) if audio_root is not None else list_path.resolve().parent.parent
    items = []
    for number, line in enumerate(list_path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            items.append(_parse(line, root, config, f"{list_path} line {number}"))
    if not items:
        raise VocoderError(f"vocoder training list {list_path} is empty")
    return items


def load_waveform(item: UnitAudioItem, config: GeneratorConfig) -> tuple[Tensor, Tensor]:
    """Read an utterance; its units [F] and samples [F * hop], cut to the frames that both have.

    Raises:
        AudioError: if the recording cannot be read.
        VocoderError: if units and recording differ in length by more than a few frames.
    """
    samples = torch.from_numpy(read_audio(item.audio, sample_rate=config.sampling_rate))
    hop = config.code_hop_samples
    audio_frames = len(samples) // hop
    num_frames = min(audio_frames, len(item.code))
    if abs(audio_frames - len(item.code)) > LENGTH_TOLERANCE_FRAMES:
        raise VocoderError(
            f"{item.audio} has {audio_frames} frames of {hop} samples but {len(item.code)} units; "
            "the units must be of this recording, one for each frame"
        )
    return item.code[:num_frames], samples[: num_frames * hop]


class SegmentSampler:
    """Draws random segments; all segments of all utterances are equally likely, and a seed decides all.

    Utterances shorter than a segment are never drawn.

    Args:
        items: utterances.
        config: the generator's configuration.
        segment_frames: length of a segment.

    Raises:
        VocoderError: if no utterance is long enough.
    """

    def __init__(self, items: list[UnitAudioItem], config: GeneratorConfig, segment_frames: int) -> None:
        needed = segment_frames + LENGTH_TOLERANCE_FRAMES
        self.items = [item for item in items if len(item.code) >= needed]
        if not self.items:
            longest = max(len(item.code) for item in items)
            raise VocoderError(
                f"no utterance has the {needed} frames that segments of {segment_frames} frames need "
                f"(the longest has {longest}); lower 'segment_frames'"
            )
        self.config = config
        self.segment_frames = segment_frames
        self._weights = torch.tensor([len(item.code) - segment_frames + 1.0 for item in self.items])

    def draw(self, batch_size: int, generator: torch.Generator) -> SegmentBatch:
        """Draw `batch_size` segments."""
        chosen = torch.multinomial(self._weights, batch_size, replacement=True, generator=generator)
        items = tuple(self.items[int(index)] for index in chosen)
        codes, waveforms = [], []
        hop = self.config.code_hop_samples
        for item in items:
            code, samples = load_waveform(item, self.config)
            choices = len(code) - self.segment_frames + 1
            start = int(torch.randint(choices, (), generator=generator))
            stop = start + self.segment_frames
            codes.append(code[start:stop])
            waveforms.append(samples[start * hop : stop * hop])
        return SegmentBatch(torch.stack(codes), torch.stack(waveforms).unsqueeze(1), items)


def _parse(line: str, root: Path, config: GeneratorConfig, place: str) -> UnitAudioItem:
    try:
        entry: Any = json.loads(line)
    except json.JSONDecodeError as error:
        raise VocoderError(f"{place} is not JSON: {error}") from error
    if not isinstance(entry, dict) or not isinstance(entry.get("audio"), str):
        raise VocoderError(f'{place} must be an object with "audio" (a path) and "code" (units)')
    try:
        units = [int(unit) for unit in str(entry.get("code", "")).split()]
    except ValueError as error:
        raise VocoderError(f'{place}: "code" must be integers with spaces between them ({error})') from error
    if not units:
        raise VocoderError(f'{place}: "code" is empty')
    if min(units) < 0 or max(units) >= config.num_embeddings:
        worst = min(units) if min(units) < 0 else max(units)
        raise VocoderError(
            f"{place}: unit {worst} is outside 0 to {config.num_embeddings - 1} ('num_embeddings')"
        )
    audio = root / entry["audio"]
    if not audio.is_file():
        raise FileNotFoundError(f"{place}: recording not found: {audio}")
    return UnitAudioItem(audio, torch.tensor(units))
