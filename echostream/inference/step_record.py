"""What happened at each step of a stream: when which word was known, and how long the step took."""

import json
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

from echostream.inference.outputs import StepOutput

STEPS_FILE = "steps.jsonl"
"""One line of JSON an utterance, in the order of the utterances: the fields of `StepRecord`."""


class RecordedWord(NamedTuple):
    """A final word.

    Args:
        text: the word.
        known_ms: source audio that had been heard when the word became final.
        source_ms: its `TimedWord.source_ms`: for a source word, where it ends in the source.
    """

    text: str
    known_ms: int
    source_ms: int


@dataclass
class StepRecord:
    """The steps of one utterance; the lists of numbers have an entry for each step.

    Args:
        heard_ms: source audio decided upon so far.
        compute_ms: how long the step took.
        num_units: new units.
        source_words, target_words: final words of transcription and translation.
        num_segments: text segments that the utterance was cut into.
    """

    heard_ms: list[int] = field(default_factory=list)
    compute_ms: list[float] = field(default_factory=list)
    num_units: list[int] = field(default_factory=list)
    source_words: list[RecordedWord] = field(default_factory=list)
    target_words: list[RecordedWord] = field(default_factory=list)
    num_segments: int = 0

    def add(self, output: StepOutput, compute_ms: float) -> None:
        """Take what a step made final."""
        heard_ms = output.heard_ms
        self.heard_ms.append(heard_ms)
        self.compute_ms.append(round(compute_ms, 3))
        self.num_units.append(len(output.units))
        self.source_words += [RecordedWord(w.text, heard_ms, w.source_ms) for w in output.source_words]
        self.target_words += [RecordedWord(w.text, heard_ms, w.source_ms) for w in output.target_words]
        self.num_segments = output.num_segments

    def to_json(self) -> str:
        """One line, without its end."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> "StepRecord":
        """Read a line of `to_json`.

        Raises:
            ValueError: for another line.
        """
        try:
            record = cls(**json.loads(line))
            record.source_words = [RecordedWord(*word) for word in record.source_words]
            record.target_words = [RecordedWord(*word) for word in record.target_words]
        except (TypeError, ValueError) as error:
            raise ValueError(f"not a line of {STEPS_FILE}: {error}") from error
        return record
