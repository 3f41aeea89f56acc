"""Transcription and translation side by side, as they grow, for a reader at a terminal."""

import textwrap
from itertools import zip_longest

from echostream.inference.outputs import StepOutput

_COLUMN = 34
"""Characters of each column of words: 80 a line."""


class TextTable:
    """Prints what each step made final: the source audio heard so far, new source words, new target words.

    An utterance begins with a heading.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start another utterance."""
        self._has_heading = False

    def add(self, output: StepOutput) -> None:
        """Print the new words of a step, if there are any."""
        columns = [textwrap.wrap(text, _COLUMN) for text in (output.source_text, output.target_text)]
        if not any(columns):
            return
        if not self._has_heading:
            print()
            _print_row("heard", "recognised", "translated")
            self._has_heading = True
        for number, (source, target) in enumerate(zip_longest(*columns, fillvalue="")):
            _print_row("" if number else f"{output.heard_ms / 1000:.2f} s", source, target)


def _print_row(heard: str, source: str, target: str) -> None:
    print(f"{heard:>8}  {source:{_COLUMN}}  {target}".rstrip(), flush=True)
