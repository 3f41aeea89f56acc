"""A steady stream through the base-size vocoder: `python -m benchmarks.vocoder_speed [--frames 4 16]`.

CPU milliseconds a call, with cached layers and by synthesising again with the receptive field as left
context, against the same frames' share of one long synthesis. Variants alternate in one run; the weights are
random.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.random_models import SIZES, random_vocoder
from echostream.vocoder.code_hifigan import CodeHiFiGANVocoder
from echostream.vocoder.receptive_field import duration_receptive_field_units

LONG_CALLS = 10


def milliseconds(function: Callable[[], object]) -> float:
    """CPU time of one call, which other programs on the machine disturb less than its duration."""
    start = time.process_time()
    function()
    return 1000 * (time.process_time() - start)


def measure(
    vocoder: CodeHiFiGANVocoder, units: Tensor, num_frames: int, hold_backs: Sequence[int], rounds: int
) -> dict[str, list[float]]:
    """Time `rounds` calls of `num_frames` new frames for each variant."""
    context = vocoder.receptive_field.left_frames + duration_receptive_field_units()
    warm_up = 3 * context
    states = {hold_back: vocoder.init_state() for hold_back in hold_backs}
    for hold_back, state in states.items():
        vocoder.streaming_forward(units[:, :warm_up], state, hold_back_frames=hold_back)
    times: dict[str, list[float]] = {}

    def record(name: str, function: Callable[[], object], share: int = 1) -> None:
        times.setdefault(name, []).append(milliseconds(function) / share)

    for index in range(rounds):
        start = warm_up + index * num_frames
        new = units[:, start : start + num_frames]
        window = units[:, start - context : start + num_frames]
        record("again with left context", partial(vocoder, {"code": window}))
        for hold_back, state in states.items():
            call = partial(vocoder.streaming_forward, new, state, hold_back_frames=hold_back)
            record(f"cached, {hold_back} frames held back", call)
        long = units[:, : LONG_CALLS * num_frames]
        record("share of a long synthesis", partial(vocoder, {"code": long}), LONG_CALLS)
    return times


@torch.inference_mode()
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Cost of a streaming call of the base-size vocoder.")
    parser.add_argument("--frames", type=int, nargs="+", default=[16], help="new frames a call")
    parser.add_argument("--hold-back", type=int, nargs="+", default=[0, 2, 4, 8, 21], help="frames held back")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    vocoder = random_vocoder(SIZES["base"])
    units = torch.randint(vocoder.num_embeddings, (1, 100 + max(LONG_CALLS, args.rounds) * max(args.frames)))
    print("| new frames | variant | median CPU ms | best |\n|---|---|---|---|")
    figures = {}
    for num_frames in args.frames:
        figures[num_frames] = measure(vocoder, units, num_frames, args.hold_back, args.rounds)
        for name, times in figures[num_frames].items():
            print(f"| {num_frames} | {name} | {statistics.median(times):.1f} | {min(times):.1f} |")
    if args.output:
        args.output.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
