"""One hour of speech through one session: memory and the time of a step, minute by minute.

    python benchmarks/one_hour.py --output docs/streaming_cost

The speech is French, spoken by espeak-ng, with pauses, noise and silence, made as the session goes on. By
default the model has random weights and writes at a fixed rate (`benchmarks/forced_writing.py`), but its text
segments end where the engine ends them; --checkpoint takes a trained one, which decides itself. one_hour.json
is written after each minute, and one_hour.png at the end, also when the run is interrupted. The program fails
if resident memory grows by 50 MB or more after the first minute.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from benchmarks.cost_plots import plot_hour
from benchmarks.forced_writing import SAMPLE_RATE, ForcedTranslator
from benchmarks.random_models import SIZES, random_model, random_vocoder
from benchmarks.speech_stream import Samples, french_speech, in_chunks
from benchmarks.stage_meter import clock, machine, resident_memory_bytes
from echostream.inference.loading import load_model
from echostream.inference.options import Output, SessionOptions
from echostream.inference.session import Session
from echostream.inference.translator import StreamingTranslator
from echostream.vocoder.code_hifigan import CodeHiFiGANVocoder
from echostream.vocoder.config import read_config_file

GROWTH_BAR_BYTES = 50 * 1000 * 1000
MINUTE_MS = 60000
NUM_SENTENCES = 300
INTERRUPTED = 130  # exit status


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the results; made if needed")
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--chunk-ms", type=int, default=320)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--arch", choices=["echostream", "streamspeech"], default="echostream")
    parser.add_argument("--size", choices=list(SIZES), default="base", help="of the random model")
    parser.add_argument("--checkpoint", type=Path, help="a trained model in place of a random one")
    parser.add_argument("--data-bin", type=Path, help="its folder of YAML files and dictionaries")
    parser.add_argument("--vocoder", type=Path, help="its vocoder's checkpoint")
    parser.add_argument("--vocoder-cfg", type=Path, help="its vocoder's JSON configuration")
    args = parser.parse_args(arguments)
    trained = (args.data_bin, args.vocoder, args.vocoder_cfg)
    if args.checkpoint is not None and None in trained:
        parser.error("--checkpoint needs --data-bin, --vocoder and --vocoder-cfg")
    return args


def start_session(args: argparse.Namespace) -> Session:
    """The session that hears the speech."""
    if args.checkpoint is None:
        size = SIZES[args.size]
        loaded, vocoder = random_model(args.arch, size, args.device), random_vocoder(size, args.device)
        return ForcedTranslator(loaded, vocoder).start(args.chunk_ms, waits_for_pauses=True)
    trained = load_model(args.checkpoint, data_bin=args.data_bin, device=args.device)
    voice = CodeHiFiGANVocoder(args.vocoder, read_config_file(args.vocoder_cfg)).eval().to(args.device)
    options = SessionOptions(output=Output.SPEECH, chunk_ms=args.chunk_ms, dur_prediction=True)
    return StreamingTranslator(trained, voice, options).start(sample_rate=SAMPLE_RATE)


def listen(
    session: Session, chunks: Iterator[Samples], num_minutes: int, read: Any
) -> Iterator[dict[str, Any]]:
    """Run the session over the chunks.

    Args:
        session: at its start.
        chunks: of its source; more than enough.
        num_minutes: minutes of source that it hears.
        read: the clock.
    Yields:
        figures of each minute.
    """
    steps_a_minute = MINUTE_MS // session.options.chunk_ms
    for minute in range(1, num_minutes + 1):
        steps_s: list[float] = []
        num_tokens = num_samples = 0
        for _ in range(steps_a_minute):
            chunk = next(chunks)
            before = read()
            output = session.step(chunk)
            steps_s.append(read() - before)
            num_tokens += len(output.tokens)
            num_samples += output.waveform.size
        yield {
            "minute": minute,
            "heard_ms": session.heard_ms,
            "resident_bytes": resident_memory_bytes(),
            "state_bytes": session.state.num_bytes,
            "p50_s": float(np.percentile(steps_s, 50)),
            "p99_s": float(np.percentile(steps_s, 99)),
            "steps_s": sum(steps_s),
            "num_segments": session.state.num_segments,
            "num_subwords": num_tokens,
            "speech_s": num_samples / SAMPLE_RATE,
        }


def growth_bytes(minutes: list[dict[str, Any]]) -> int:
    """How far resident memory rose above that after the first minute."""
    resident = [minute["resident_bytes"] for minute in minutes]
    return int(max(resident) - resident[0])


def write_results(folder: Path, run: dict[str, Any], minutes: list[dict[str, Any]]) -> None:
    """Write the minutes so far."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(minute) for minute in minutes)
    run = {**run, "growth_bytes": growth_bytes(minutes)}
    (folder / "one_hour.json").write_text(f'{{"run": {json.dumps(run)},\n"minutes": [\n{lines}\n]}}\n')


def progress(minute: dict[str, Any]) -> str:
    """One line about a minute."""
    return (
        f"minute {minute['minute']}: {minute['resident_bytes'] / 1e6:.0f} MB resident, "
        f"{minute['state_bytes'] / 1e6:.1f} MB state, step p50 {1000 * minute['p50_s']:.0f} ms, "
        f"p99 {1000 * minute['p99_s']:.0f} ms, {minute['steps_s']:.0f} s for 60 s of speech"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run, and say how far memory grew; exit status 1 if too far."""
    args = parse_arguments(arguments)
    torch.set_num_threads(args.threads)
    read, clock_name = clock(args.device, args.threads)
    settings = {key: str(value) for key, value in vars(args).items() if value is not None and key != "output"}
    run = {**machine(), **settings, "clock": clock_name, "date": datetime.now(UTC).date().isoformat()}
    session = start_session(args)
    chunks = in_chunks(french_speech(NUM_SENTENCES), args.chunk_ms * SAMPLE_RATE // 1000)
    minutes: list[dict[str, Any]] = []
    is_interrupted = False
    try:
        for minute in listen(session, chunks, args.minutes, read):
            minutes.append(minute)
            write_results(args.output, run, minutes)
            print(progress(minute), flush=True)
    except KeyboardInterrupt:
        is_interrupted = True
    if not minutes:
        print("interrupted within the first minute: nothing was written", file=sys.stderr)
        return INTERRUPTED
    plot_hour(minutes, args.output / "one_hour.png")
    growth = growth_bytes(minutes)
    is_flat = growth < GROWTH_BAR_BYTES
    print(
        f"{'interrupted; in ' if is_interrupted else ''}{len(minutes)} minutes: resident memory grew by "
        f"{growth / 1e6:.1f} MB after the first one, {'less' if is_flat else 'NOT less'} than "
        f"{GROWTH_BAR_BYTES / 1e6:.0f} MB"
    )
    if is_interrupted:
        return INTERRUPTED
    return 0 if is_flat else 1


if __name__ == "__main__":
    sys.exit(main())
