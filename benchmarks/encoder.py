"""The Emformer against torchaudio's, in one run: `python benchmarks/encoder.py [--threads 1] [--rounds 5]`.

Both hold the same weights. Runs alternate, and the figures are medians; only the ratios mean something on
another machine. The last table is the time of a streaming step as the stream grows.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import torch

from echostream.compat import load_torchaudio_source
from echostream.modules.emformer import EmformerEncoder

DIM, HEADS, FFN, LAYERS = 256, 4, 2048, 16
LEFT_CONTEXT, MEMORY = 30, 8
FRAMES_A_MINUTE = 1500


def milliseconds(function: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    function()
    return 1000 * (time.perf_counter() - start)


def medians(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Time both, alternating, after one call of each that does not count."""
    ours(), theirs()
    pairs = [(milliseconds(ours), milliseconds(theirs)) for _ in range(rounds)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def encoders(segment_length: int) -> tuple[EmformerEncoder, Any]:
    """Return ours and torchaudio's with the same weights."""
    ours = EmformerEncoder(DIM, HEADS, FFN, LAYERS, segment_length, LEFT_CONTEXT, memory_size=MEMORY)
    theirs = load_torchaudio_source("models/emformer.py").Emformer(
        DIM,
        HEADS,
        FFN,
        LAYERS,
        segment_length,
        dropout=0.1,
        left_context_length=LEFT_CONTEXT,
        max_memory_size=MEMORY,
    )
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def training(num_frames: int, rounds: int) -> tuple[float, float]:
    """Forward and backward of four utterances."""
    ours, theirs = encoders(4)
    x, lengths = torch.randn(4, num_frames, DIM), torch.full((4,), num_frames)
    return medians(
        lambda: ours(x, lengths)[0].sum().backward(), lambda: theirs(x, lengths)[0].sum().backward(), rounds
    )


@torch.inference_mode()
def streaming(segment_length: int, rounds: int) -> tuple[float, float]:
    """One step of one stream, after the caches are full."""
    ours, theirs = encoders(segment_length)
    ours.eval()
    theirs.eval()
    state, x = ours.init_state(1), torch.randn(1, segment_length, DIM)
    their_state: list[object] = [None]
    lengths = torch.tensor([segment_length])

    def step_theirs() -> None:
        _, _, their_state[0] = theirs.infer(x, lengths, their_state[0])

    for _ in range(LEFT_CONTEXT):
        ours.streaming_forward(x, state)
        step_theirs()
    return medians(lambda: ours.streaming_forward(x, state), step_theirs, 10 * rounds)


@torch.inference_mode()
def over_time(minutes: list[int], rounds: int) -> list[float]:
    """A step (S = 8) of ours after so many minutes of audio."""
    encoder = encoders(8)[0].eval()
    state, x = encoder.init_state(1), torch.randn(1, 8, DIM)
    heard, result = 0, []
    for minute in minutes:
        while heard < minute * FRAMES_A_MINUTE:
            encoder.streaming_forward(x, state)
            heard += 8
        times = [milliseconds(lambda: encoder.streaming_forward(x, state)) for _ in range(10 * rounds)]
        heard += 8 * 10 * rounds
        result.append(statistics.median(times))
    return result


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=int, nargs="+", default=[0, 1, 10])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    day = datetime.now(UTC).date()
    print(f"{day}, {platform.machine()}, {args.threads} thread(s), torch {torch.__version__}")
    print(f"{LAYERS} layers, dim {DIM}, left context {LEFT_CONTEXT}, memory {MEMORY}, random weights\n")
    print("| what | EchoStream ms | torchaudio ms | ratio |\n|---|---|---|---|")
    for num_frames in (250, 500, 1000):
        ours, theirs = training(num_frames, args.rounds)
        print(f"| training, B=4, T={num_frames} | {ours:.0f} | {theirs:.0f} | {theirs / ours:.2f}x |")
    for segment_length in (4, 8, 32):
        ours, theirs = streaming(segment_length, args.rounds)
        print(f"| streaming step, S={segment_length} | {ours:.1f} | {theirs:.1f} | {theirs / ours:.2f}x |")
    print("\n| minutes heard | ms a step |\n|---|---|")
    for minute, duration in zip(args.minutes, over_time(args.minutes, args.rounds), strict=True):
        print(f"| {minute} | {duration:.1f} |")


if __name__ == "__main__":
    main()
