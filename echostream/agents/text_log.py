"""The texts beside an agent's output: printed as they grow, and kept in files."""

from argparse import Namespace
from pathlib import Path

from echostream.inference.session import Output, StepResult

_FILES = {
    Output.TRANSCRIPTION: ("asr.txt",),
    Output.TEXT: ("asr.txt", "st.txt"),
    Output.SPEECH: ("asr.txt", "st.txt", "unit.txt"),
}


class TextLog:
    """Prints transcription and translation when they change; writes one line an utterance to the extra files.

    Files of an earlier run are emptied, unless SimulEval continues it (`--continue-unfinished`).

    Args:
        args: the agent's options.
        output: what the agent produces.
    """

    def __init__(self, args: Namespace, output: Output) -> None:
        self._prints = bool(args.output_asr_translation)
        self._has_translation = output is not Output.TRANSCRIPTION
        self._paths: tuple[Path, ...] = ()
        if args.extra_output_dir is not None:
            folder = Path(args.extra_output_dir)
            folder.mkdir(parents=True, exist_ok=True)
            self._paths = tuple(folder / name for name in _FILES[output])
            if not getattr(args, "continue_unfinished", False):
                for path in self._paths:
                    path.write_text("", encoding="utf-8")
        self.reset()

    def reset(self) -> None:
        """Start another utterance."""
        self._transcription = ""
        self._translation = ""

    def show(self, result: StepResult) -> None:
        """Print what changed, if printing is on."""
        if not self._prints:
            return
        if result.transcription != self._transcription:
            print("Streaming ASR:", result.transcription, flush=True)
            self._transcription = result.transcription
        if self._has_translation and result.translation != self._translation:
            print("Simultaneous translation:", result.translation, flush=True)
            self._translation = result.translation

    def write(self, result: StepResult, units: list[int]) -> None:
        """Append the finished utterance to the files."""
        lines = {
            "asr.txt": result.transcription,
            "st.txt": result.translation,
            "unit.txt": " ".join(map(str, units)),
        }
        for path in self._paths:
            with path.open("a", encoding="utf-8") as stream:
                stream.write(lines[path.name] + "\n")
