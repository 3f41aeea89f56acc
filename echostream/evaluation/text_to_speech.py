"""Evaluation of speech that is made from text: SimulEval's missing pair of source and target.

For: SimulEval 1.1.4. Symptom: `--source-type text --target-type speech` is accepted and then a KeyError.

Words have no time of their own: word i (from 1) is there i times `--source-word-ms` after the beginning, as
if the text were spoken or typed at that pace. So delays and lengths are in ms, as for a source of speech.
"""

import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

from simuleval.data.dataloader import GenericDataloader
from simuleval.data.dataloader.dataloader import register_dataloader_class
from simuleval.data.segments import EmptySegment, Segment, TextSegment
from simuleval.evaluator.instance import INSTANCE_TYPE_DICT, Instance

from echostream.evaluation.instances import RepairedSpeechOutputInstance

SOURCE_WORD_MS = 300  # what SimulEval's ATD takes a word of speech for


def add_word_args(parser: ArgumentParser) -> None:
    """The pace of the source."""
    parser.add_argument(
        "--source-word-ms",
        type=int,
        default=SOURCE_WORD_MS,
        help="time between two words of a source text, for the latency metrics (ms)",
    )


class TextToSpeechDataloader(GenericDataloader):
    """Sentences of text, one a line; without `--target` the text is its own reference."""

    def preprocess_source(self, source: str) -> list[str]:
        """The words."""
        return source.split()

    def preprocess_target(self, target: str) -> str:
        """The reference as it is."""
        return target

    def get_source_audio_path(self, index: int) -> str:
        """What the log calls the source: the text, since there is no audio."""
        text: str = self.source_list[index]
        return text

    @classmethod
    def from_args(cls, args: Namespace) -> "TextToSpeechDataloader":
        """Read the files of the options.

        Raises:
            FileNotFoundError: for a missing file.
            ValueError: without a source, for files of different lengths, or words without a duration.
        """
        if args.source is None:
            raise ValueError("--source names the file with the text, one sentence a line")
        if args.source_word_ms < 1:
            raise ValueError(f"--source-word-ms must be at least 1 ms, got {args.source_word_ms}")
        source = _read_lines(Path(args.source), "--source")
        target = source if args.target is None else _read_lines(Path(args.target), "--target")
        if len(source) != len(target):
            raise ValueError(
                f"{args.source} has {len(source)} lines and {args.target} has {len(target)}: "
                "they must correspond"
            )
        return cls(source, target)


class SpokenWordsInstance(Instance):
    """A sentence of text as a source, where each word takes `source_word_ms`."""

    start_time: float | None

    def __init__(self, index: int, dataloader: TextToSpeechDataloader, args: Namespace) -> None:
        super().__init__(index, dataloader, args)
        self.source_finished_reading = False

    def send_source(self, segment_size: int = 1) -> Segment:
        """Return the next words, `segment_size` at a time; `step` counts those that were sent."""
        if self.start_time is None:
            self.start_time = time.time()
        words = self.source[self.step : self.step + segment_size]
        self.step += len(words)
        self.source_finished_reading = self.step == len(self.source)
        if not words:
            return EmptySegment(index=self.step, finished=True)
        return TextSegment(
            index=self.step,
            content=" ".join(words),
            finished=self.source_finished_reading,
            tgt_lang=self.tgt_lang,
        )

    @property
    def source_length(self) -> int:
        """Milliseconds of input."""
        return self.step_to_delay(len(self.source))

    def step_to_delay(self, step: int) -> int:
        """Milliseconds until so many words are there."""
        return step * int(self.args.source_word_ms)

    def step_to_elapsed(self, step: int, current_time: float) -> float:
        """Milliseconds until so many words are there, and the time that was spent on them."""
        assert self.start_time is not None
        return self.step_to_delay(step) + (current_time - self.start_time) * 1000


class TextToSpeechInstance(RepairedSpeechOutputInstance, SpokenWordsInstance):
    """One sentence of text, and the speech made from it.

    Args:
        index: number of the sentence.
        dataloader: where it comes from.
        args: SimulEval's options, and `source_word_ms`.
    """


def register() -> None:
    """Make the pair known to SimulEval."""
    register_dataloader_class("text-to-speech", TextToSpeechDataloader)
    INSTANCE_TYPE_DICT["text-speech"] = TextToSpeechInstance


def _read_lines(path: Path, option: str) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; check {option}")
    # One space between words: SimulEval counts the reference's words by its spaces.
    with path.open(encoding="utf-8") as stream:
        return [" ".join(line.split()) for line in stream]
