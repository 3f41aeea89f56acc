"""Borders between written pieces of speech against whole synthesis, for each number of held-back frames.

`python -m benchmarks.vocoder_borders --vocoder g_00000800 --vocoder-cfg config.json --units test.unit`

Units (one utterance a line, without repeats) arrive in pieces of `--piece-units`, and each piece is written
when it arrives, less the frames that are held back. The reference is one synthesis of the whole utterance
with the same durations; `echostream.vocoder.border_quality` says what is measured. Durations are predicted
when a unit arrives, or "held": when the two units after it are known, so that they are those of the whole
utterance.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.random_models import SIZES, random_vocoder
from echostream.vocoder.border_quality import (
    NEAR_MS,
    WIDE_MS,
    BorderSummary,
    measure_border,
    summarise_borders,
)
from echostream.vocoder.code_hifigan import CodeHiFiGANVocoder
from echostream.vocoder.config import read_config_file
from echostream.vocoder.receptive_field import duration_receptive_field_units
from echostream.vocoder.synthesis import read_units

HOLD_BACK_FRAMES = (0, 1, 2, 4, 8, 12, 21)


@dataclass
class Utterance:
    """Units [1, N], and the durations [1, N] that they get in a stream and in the whole utterance."""

    units: Tensor
    streamed_durations_frames: Tensor
    whole_durations_frames: Tensor


@dataclass
class Row:
    """One line of the table."""

    hold_back_frames: int
    durations_held: bool
    delay_ms: float
    quality: BorderSummary


def pieces(units: Tensor, piece_units: int) -> Iterator[tuple[Tensor, bool]]:
    """Cut units [1, N] into pieces, and say of each whether it is the last."""
    parts = units.split(piece_units, dim=1)
    for index, part in enumerate(parts):
        yield part, index == len(parts) - 1


def with_durations(vocoder: CodeHiFiGANVocoder, units: list[int], piece_units: int) -> Utterance:
    """Predict durations in a stream and over the whole utterance."""
    code = torch.tensor([units])
    state = vocoder.init_state()
    durations = [
        vocoder.streaming_forward(part, state, is_final=is_final, dur_prediction=True)[1]
        for part, is_final in pieces(code, piece_units)
    ]
    return Utterance(code, torch.cat(durations, dim=1), vocoder.model.predict_durations(code))


def stream(
    vocoder: CodeHiFiGANVocoder, utterance: Utterance, durations: Tensor, piece_units: int, hold_back: int
) -> tuple[Tensor, list[int]]:
    """Write an utterance in pieces; return its samples and the places of the borders inside."""
    state, written, borders = vocoder.init_state(), [], []
    num_samples = 0
    parts = pieces(torch.cat([utterance.units, durations]), piece_units)
    for part, is_final in parts:
        frames = part[:1].repeat_interleave(part[1], dim=1)
        waveform, _ = vocoder.streaming_forward(frames, state, is_final=is_final, hold_back_frames=hold_back)
        written.append(waveform)
        num_samples += waveform.numel()
        if waveform.numel() and not is_final:
            borders.append(num_samples)
    return torch.cat(written), borders


def measure(
    vocoder: CodeHiFiGANVocoder, utterances: Sequence[Utterance], piece_units: int, hold_back: int, held: bool
) -> Row:
    """Measure one setting."""
    borders, num_frames, num_units = [], 0, 0
    for utterance in utterances:
        durations = utterance.whole_durations_frames if held else utterance.streamed_durations_frames
        whole = vocoder.forward_from_durations(utterance.units, durations)
        streamed, places = stream(vocoder, utterance, durations, piece_units, hold_back)
        borders += [measure_border(streamed, whole, place, vocoder.sample_rate) for place in places]
        num_frames += int(durations.sum())
        num_units += durations.numel()
    frame_ms = 1000 * vocoder.code_hop_samples / vocoder.sample_rate
    held_frames = num_frames / num_units * duration_receptive_field_units() if held else 0.0
    delay_ms = frame_ms * (hold_back + held_frames)
    return Row(hold_back, held, delay_ms, summarise_borders(borders))


def duration_changes(utterances: Sequence[Utterance]) -> dict[str, float]:
    """How the durations of a stream differ from those of the whole utterance."""
    streamed = torch.cat([item.streamed_durations_frames[0] for item in utterances])
    whole = torch.cat([item.whole_durations_frames[0] for item in utterances])
    totals = [
        float((item.streamed_durations_frames.sum() / item.whole_durations_frames.sum() - 1).abs())
        for item in utterances
    ]
    return {
        "units_with_another_duration": float((streamed != whole).float().mean()),
        "mean_change_frames": float((streamed - whole).abs().float().mean()),
        "mean_duration_frames": float(whole.float().mean()),
        "mean_change_of_length": sum(totals) / len(totals),
    }


def print_table(rows: Sequence[Row]) -> None:
    """Print rows as a Markdown table."""
    print(
        f"| held back, frames | durations held | added delay, ms | error ±{NEAR_MS} ms, dB "
        f"| error ±{WIDE_MS} ms, dB | log-spectral distance, dB | large jumps, % | largest jump |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        quality = row.quality
        print(
            f"| {row.hold_back_frames} | {'yes' if row.durations_held else 'no'} | {row.delay_ms:.0f} "
            f"| {quality.near_error_db:.1f} | {quality.wide_error_db:.1f} "
            f"| {quality.log_spectral_distance_db:.2f} | {100 * quality.large_jumps:.1f} "
            f"| {quality.largest_jump:.2f} |"
        )


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Borders between written pieces against whole synthesis.")
    parser.add_argument("--vocoder", help="CodeHiFiGAN checkpoint")
    parser.add_argument("--vocoder-cfg", help="its JSON configuration")
    parser.add_argument(
        "--random-weights", action="store_true", help="public size, in place of --vocoder (1 frame a unit)"
    )
    parser.add_argument("--units", help="text file, one utterance a line (default: random units)")
    parser.add_argument("--piece-units", type=int, default=8, help="units that arrive at a time (default: 8)")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    if args.random_weights == bool(args.vocoder and args.vocoder_cfg):
        parser.error("give --vocoder and --vocoder-cfg, or --random-weights")
    return args


@torch.inference_mode()
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    args = arguments(argv)
    torch.set_num_threads(args.threads)
    if args.random_weights:
        vocoder = random_vocoder(SIZES["base"])
    else:
        vocoder = CodeHiFiGANVocoder(args.vocoder, read_config_file(args.vocoder_cfg))
    if args.units:
        lines = [line for line in read_units(args.units) if len(line) > args.piece_units]
    else:
        lines = torch.randint(vocoder.num_embeddings, (2, 40)).tolist()
    utterances = [with_durations(vocoder, line, args.piece_units) for line in lines]
    rows = [
        measure(vocoder, utterances, args.piece_units, hold_back, held)
        for held in (False, True)
        for hold_back in HOLD_BACK_FRAMES
    ]
    print_table(rows)
    changes = duration_changes(utterances)
    print(f"\ndurations of the stream against those of the whole utterance: {json.dumps(changes)}")
    if args.output:
        content: dict[str, Any] = {
            "settings": {key: str(value) for key, value in vars(args).items()},
            "rows": [asdict(row) for row in rows],
            "durations": changes,
        }
        args.output.write_text(json.dumps(content, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
