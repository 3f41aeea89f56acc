"""The texts beside an agent's output: printed as they grow, and kept in files with the time of each step."""

from argparse import Namespace
from pathlib import Path

from echostream.agents.options import TABLE
from echostream.agents.text_table import TextTable
from echostream.inference.options import Output
from echostream.inference.outputs import StepOutput
from echostream.inference.step_record import STEPS_FILE, StepRecord

_FILES = {
    Output.TRANSCRIPTION: ("asr.txt", STEPS_FILE),
    Output.TEXT: ("asr.txt", "st.txt", STEPS_FILE),
    Output.SPEECH: ("asr.txt", "st.txt", "unit.txt", STEPS_FILE),
}


class TextLog:
    """Prints transcription and translation when they change; writes one line an utterance to the extra files.

    What is printed ends with what is tentative; a table has final words only. The files are in
    `--extra-output-dir`, or else beside SimulEval's log. Files of an earlier run are emptied, unless
    SimulEval continues it (`--continue-unfinished`).

    Args:
        args: the agent's options.
        output: what the agent produces.
    """

    def __init__(self, args: Namespace, output: Output) -> None:
        self._prints = args.output_asr_translation is True
        self._table = TextTable() if args.output_asr_translation == TABLE else None
        self._has_translation = output is not Output.TRANSCRIPTION
        self._paths: tuple[Path, ...] = ()
        chosen = args.extra_output_dir or getattr(args, "output", None)
        if chosen is not None:
            folder = Path(chosen)
            folder.mkdir(parents=True, exist_ok=True)
            self._paths = tuple(folder / name for name in _FILES[output])
            if not getattr(args, "continue_unfinished", False):
                for path in self._paths:
                    path.write_text("", encoding="utf-8")
        self.reset()

    def reset(self) -> None:
        """Start another utterance."""
        self._source_words: list[str] = []
        self._target_words: list[str] = []
        self._units: list[int] = []
        self._steps = StepRecord()
        self._printed = {"Streaming ASR": "", "Simultaneous translation": ""}
        if self._table is not None:
            self._table.reset()

    def add(self, output: StepOutput, compute_ms: float) -> None:
        """Take what a step of `compute_ms` made final; print what changed, and write the files at the end."""
        self._source_words += [word.text for word in output.source_words]
        self._target_words += [word.text for word in output.target_words]
        if self._prints:
            self._print("Streaming ASR", self._source_words, output.tentative_source_text)
            if self._has_translation:
                self._print("Simultaneous translation", self._target_words, output.tentative_target_text)
        if self._table is not None:
            self._table.add(output)
        if self._paths:
            self._units += output.units
            self._steps.add(output, compute_ms)
            if output.is_final:
                self._write()

    def _print(self, title: str, words: list[str], tentative: str) -> None:
        text = " ".join([*words, tentative]).strip()
        if text != self._printed[title]:
            print(f"{title}: {text}", flush=True)
            self._printed[title] = text

    def _write(self) -> None:
        lines = {
            "asr.txt": " ".join(self._source_words),
            "st.txt": " ".join(self._target_words),
            "unit.txt": " ".join(map(str, self._units)),
            STEPS_FILE: self._steps.to_json(),
        }
        for path in self._paths:
            with path.open("a", encoding="utf-8") as stream:
                stream.write(lines[path.name] + "\n")
