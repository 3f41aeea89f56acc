"""One utterance over time: `python -m echostream.evaluation.timeline --results RUN --output PNG`.

Over one axis of time: the source's waveform, recognised and translated words at the moment when they became
final, the output's waveform where it is played, and the borders of the chunks. RUN is the folder of a run of
speech output, with instances.log, steps.jsonl and wavs. Times are ideal, as if computing took no time.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from echostream.data.audio import AudioError, read_audio
from echostream.evaluation.output_audio import Samples, read_output
from echostream.evaluation.plots import DOTS_PER_INCH, new_figure
from echostream.evaluation.results import ReportError, read_log
from echostream.inference.step_record import STEPS_FILE, RecordedWord, StepRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SAMPLE_RATE = 16000
NUM_LANES = 4
"""Rows for words."""
INCHES_PER_S, MIN_WIDTH_INCHES, MAX_WIDTH_INCHES = 1.3, 8.0, 40.0
PLOT_SHARE = 0.88
"""Of the width, without the labels at the left."""
FONT_POINTS = 9
CHARACTER_INCHES = 0.6 * FONT_POINTS / 72
SOURCE_COLOUR, OUTPUT_COLOUR = "tab:blue", "tab:orange"


@dataclass(frozen=True)
class Piece:
    """Speech that was written at once: when it is played, and its samples [n]."""

    start_s: float
    samples: Samples
    sample_rate: int

    @property
    def end_s(self) -> float:
        """When it has been played."""
        return self.start_s + self.samples.size / self.sample_rate


@dataclass(frozen=True)
class Timeline:
    """What happened in one utterance.

    Args:
        title: which utterance it is.
        source: its samples [n], 16 kHz.
        steps: when the words were known; when chunks ended.
        pieces: the output.
    """

    title: str
    source: Samples
    steps: StepRecord
    pieces: tuple[Piece, ...]

    @property
    def end_s(self) -> float:
        """When everything is over."""
        return max([self.source.size / SAMPLE_RATE, *(piece.end_s for piece in self.pieces)])


def read_timeline(folder: Path, index: int) -> Timeline:
    """Read an utterance of a run.

    Args:
        folder: of the run.
        index: of the utterance, as in instances.log.
    Raises:
        ReportError: when it is not there, or not of speech output.
        AudioError: when the source cannot be read.
    """
    for name in ("instances.log", STEPS_FILE):
        if not (folder / name).is_file():
            raise ReportError(
                f"{folder / name}: not there; --results is the folder of one run (chunk_size=…), made by "
                "EchoStream's agents"
            )
    log = read_log(folder)
    places = {entry["index"]: place for place, entry in enumerate(log)}
    if index not in places:
        raise ReportError(
            f"{folder}: has no utterance {index}; --index is one of {min(places)} to {max(places)}"
        )
    entry = log[places[index]]
    if "durations" not in entry:
        raise ReportError(f"{folder}: is a run of text output; the timeline is of speech output")
    lines = (folder / STEPS_FILE).read_text(encoding="utf-8").split("\n")[:-1]
    if len(lines) != len(log):
        raise ReportError(f"{folder}: {STEPS_FILE} and instances.log are of different runs; run it again")
    return Timeline(
        title=f"utterance {index}: {entry['reference']}",
        source=read_audio(entry["source"], sample_rate=SAMPLE_RATE),
        steps=StepRecord.from_json(lines[places[index]]),
        pieces=_pieces(folder, entry),
    )


def _pieces(folder: Path, entry: dict[str, Any]) -> tuple[Piece, ...]:
    if not entry["durations"]:
        return ()
    output = read_output(folder, entry)
    starts_s = [start_ms / 1000 for start_ms, _ in entry["intervals"]]
    return tuple(
        Piece(start_s, samples, output.sample_rate)
        for start_s, samples in zip(starts_s, output.pieces, strict=True)
    )


def plot_timeline(timeline: Timeline, path: Path) -> None:
    """Write a PNG file; it is wider for longer utterances.

    Raises:
        ImportError: without matplotlib, with the command that installs it.
    """
    width = min(max(INCHES_PER_S * timeline.end_s, MIN_WIDTH_INCHES), MAX_WIDTH_INCHES)
    words = (timeline.steps.source_words, timeline.steps.target_words)
    span_s = timeline.end_s
    for _ in range(3):  # words at the end make the axis longer, and so each word too
        character_s = CHARACTER_INCHES * span_s / (PLOT_SHARE * width)
        placed = [place_words(side, character_s) for side in words]
        span_s = max([timeline.end_s, *(item.end_s for side in placed for item in side)])
    figure = new_figure(width, 5.2)
    source, recognised, translated, output = figure.subplots(4, 1, sharex=True, height_ratios=[2, 3, 3, 2])
    for axes in (source, recognised, translated, output):
        for heard_ms in timeline.steps.heard_ms:
            axes.axvline(heard_ms / 1000, color="0.85", linewidth=0.8, zorder=0)
        axes.set_yticks([])
    times_s = np.arange(timeline.source.size) / SAMPLE_RATE
    source.plot(times_s, timeline.source, linewidth=0.4, color=SOURCE_COLOUR)
    source.set_title(timeline.title, fontsize=10, loc="left")
    _label(source, "source")
    _label(recognised, "recognised\nwords")
    _label(translated, "translated\nwords")
    _draw_words(recognised, placed[0], SOURCE_COLOUR)
    _draw_words(translated, placed[1], OUTPUT_COLOUR)
    _label(output, "output\nspeech")
    _draw_output(output, timeline)
    output.set_xlabel(
        "seconds since the source began (ideal times); grey lines: ends of chunks; grey ground: no output",
        fontsize=FONT_POINTS,
    )
    output.set_xlim(0, 1.01 * span_s)
    figure.savefig(path, dpi=DOTS_PER_INCH)


def _label(axes: "Axes", text: str) -> None:
    axes.set_ylabel(text, rotation=0, ha="right", va="center", fontsize=FONT_POINTS)


@dataclass(frozen=True)
class PlacedText:
    """Words that became known at one moment, in a lane where nothing covers them if there is one."""

    text: str
    begin_s: float
    end_s: float
    lane: int


def place_words(words: Sequence[RecordedWord], character_s: float) -> list[PlacedText]:
    """Give words lanes; `character_s` is the width of a character on the axis of time."""
    free_s = [0.0] * NUM_LANES
    placed = []
    for known_ms, group in groupby(words, key=lambda word: word.known_ms):
        text = " ".join(word.text for word in group)
        begin_s = known_ms / 1000
        lane = next((lane for lane in range(NUM_LANES) if free_s[lane] <= begin_s), free_s.index(min(free_s)))
        free_s[lane] = begin_s + (len(text) + 2) * character_s
        placed.append(PlacedText(text, begin_s, free_s[lane], lane))
    return placed


def _draw_words(axes: "Axes", placed: Sequence[PlacedText], colour: str) -> None:
    """Draw words to the right of a mark at the moment when they became known."""
    axes.set_ylim(NUM_LANES, 0)
    for item in placed:
        axes.vlines(item.begin_s, item.lane + 0.1, item.lane + 0.9, color=colour, linewidth=2)
        axes.annotate(
            item.text,
            (item.begin_s, item.lane + 0.5),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=FONT_POINTS,
        )


def _draw_output(axes: "Axes", timeline: Timeline) -> None:
    """Pieces where they are played; the listener waits where the ground is grey."""
    end_s = timeline.pieces[0].start_s if timeline.pieces else 0.0
    for piece in timeline.pieces:
        if piece.start_s > end_s:
            axes.axvspan(end_s, piece.start_s, color="0.9", zorder=0)
        times_s = piece.start_s + np.arange(piece.samples.size) / piece.sample_rate
        axes.plot(times_s, piece.samples, linewidth=0.4, color=OUTPUT_COLOUR)
        axes.axvline(piece.start_s, color=OUTPUT_COLOUR, linewidth=0.8, linestyle=":")
        end_s = piece.end_s
    if not timeline.pieces:
        axes.annotate("nothing was written", (0.5, 0.5), xycoords="axes fraction", ha="center")


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m echostream.evaluation.timeline", description=__doc__)
    parser.add_argument("--results", required=True, type=Path, help="folder of a run, with instances.log")
    parser.add_argument(
        "--index", type=int, default=0, help="utterance, as in instances.log (default: %(default)s)"
    )
    parser.add_argument("--output", required=True, type=Path, help="PNG file")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Raises:
        SystemExit: with the reason, for an utterance that cannot be drawn.
    """
    args = build_parser().parse_args(arguments)
    try:
        plot_timeline(read_timeline(args.results, args.index), args.output)
    except (ReportError, AudioError, ImportError) as error:
        sys.exit(f"error: {error}")
    print(args.output)


if __name__ == "__main__":
    main()
