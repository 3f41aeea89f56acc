"""Borders between written pieces of speech against whole synthesis, for each number of held-back frames.

`python -m benchmarks.vocoder_borders --vocoder g_00000800 --vocoder-cfg config.json --units test.unit`

Units (one utterance a line, without repeats) arrive in pieces of `--piece-units`, and each piece is written
when it arrives, less the frames that are held back. The reference is one synthesis of the whole utterance
with the same durations. Durations are predicted when a unit arrives, or "held": when the two units after it
are known, so that they are those of the whole utterance.

A jump is the difference of two neighbouring samples; it is large at a border if it exceeds the 99th
percentile of the jumps within 50 ms of it in the whole synthesis.
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
from echostream.vocoder.code_hifigan import CodeHiFiGANVocoder
from echostream.vocoder.config import read_config_file
from echostream.vocoder.receptive_field import duration_receptive_field_units
from echostream.vocoder.synthesis import read_units

HOLD_BACK_FRAMES = (0, 1, 2, 4, 8, 12, 21)
NEAR_MS, WIDE_MS = 5, 50
FFT_SAMPLES, HOP_SAMPLES = 256, 64
JUMP_QUANTILE = 0.99


@dataclass
class Utterance:
    """Units [1, N], and the durations [1, N] that they get in a stream and in the whole utterance."""

    units: Tensor
    streamed_durations_frames: Tensor
    whole_durations_frames: Tensor


@dataclass
class Border:
    """Measures of one border; energies are sums of squares over a window around it."""

    near_error: float
    near_signal: float
    wide_error: float
    wide_signal: float
    spectral_distance_db: float
    jump: float  # in units of the 99th percentile of the whole synthesis' jumps around the border
    whole_jump: float


@dataclass
class Row:
    """One line of the table."""

    hold_back_frames: int
    durations_held: bool
    num_borders: int
    near_error_db: float
    wide_error_db: float
    log_spectral_distance_db: float
    borders_with_large_jump: float
    borders_with_large_jump_in_whole_synthesis: float
    largest_jump: float
    delay_ms: float


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


def log_spectrum(samples: Tensor) -> Tensor:
    """Spectrogram in dB, floored 80 dB below its maximum."""
    window = torch.hann_window(FFT_SAMPLES)
    spectrum = torch.stft(samples, FFT_SAMPLES, HOP_SAMPLES, window=window, return_complex=True).abs()
    return 20 * torch.log10(spectrum.clamp(min=float(spectrum.max()) * 1e-4 + 1e-12))


def measure_border(streamed: Tensor, whole: Tensor, border: int, sample_rate: int) -> Border:
    """Compare a stream with the whole synthesis around one border."""

    def around(samples: Tensor, milliseconds: int) -> Tensor:
        reach = sample_rate * milliseconds // 1000
        return samples[max(0, border - reach) : border + reach]

    def energy(samples: Tensor) -> float:
        return float(samples.double().square().sum())

    error = streamed - whole
    local, local_whole = around(streamed, WIDE_MS), around(whole, WIDE_MS)
    distance = (log_spectrum(local) - log_spectrum(local_whole)).square().mean(dim=0).sqrt().mean()
    usual = float(local_whole.diff().abs().quantile(JUMP_QUANTILE)) + 1e-9
    return Border(
        near_error=energy(around(error, NEAR_MS)),
        near_signal=energy(around(whole, NEAR_MS)),
        wide_error=energy(around(error, WIDE_MS)),
        wide_signal=energy(local_whole),
        spectral_distance_db=float(distance),
        jump=float((streamed[border] - streamed[border - 1]).abs()) / usual,
        whole_jump=float((whole[border] - whole[border - 1]).abs()) / usual,
    )


def decibels(error: float, signal: float) -> float:
    """Error energy relative to the signal's, in dB."""
    return float(10 * torch.log10(torch.tensor((error + 1e-20) / (signal + 1e-20))))


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
    return Row(
        hold_back_frames=hold_back,
        durations_held=held,
        num_borders=len(borders),
        near_error_db=decibels(sum(b.near_error for b in borders), sum(b.near_signal for b in borders)),
        wide_error_db=decibels(sum(b.wide_error for b in borders), sum(b.wide_signal for b in borders)),
        log_spectral_distance_db=sum(b.spectral_distance_db for b in borders) / len(borders),
        borders_with_large_jump=sum(b.jump > 1 for b in borders) / len(borders),
        borders_with_large_jump_in_whole_synthesis=sum(b.whole_jump > 1 for b in borders) / len(borders),
        largest_jump=max(b.jump for b in borders),
        delay_ms=frame_ms * (hold_back + held_frames),
    )


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
        print(
            f"| {row.hold_back_frames} | {'yes' if row.durations_held else 'no'} | {row.delay_ms:.0f} "
            f"| {row.near_error_db:.1f} | {row.wide_error_db:.1f} | {row.log_spectral_distance_db:.2f} "
            f"| {100 * row.borders_with_large_jump:.1f} | {row.largest_jump:.2f} |"
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
