"""Resumable build steps: a finished step is skipped while its inputs and outputs are unchanged."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

STEPS_FOLDER = ".steps"


class StepError(ValueError):
    """A folder that cannot be built in; the message says what to do."""


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is either whole or absent, with the folders it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8", newline="\n")
    partial.replace(path)


def digest(value: Any) -> str:
    """A stable fingerprint of plain data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


class Steps:
    """The steps of one output folder, with their stamps in `.steps`.

    Args:
        root: the output folder; made when it does not exist.
        log: called with one line about each step.

    Raises:
        StepError: the folder holds files that no earlier build left there.
    """

    def __init__(self, root: Path, log: Callable[[str], None] = print) -> None:
        self.root = root
        self.log = log
        self._folder = root / STEPS_FOLDER
        if root.exists() and not root.is_dir():
            raise StepError(f"{root} is not a folder: give another --output")
        if root.exists() and not self._folder.is_dir() and any(root.iterdir()):
            raise StepError(
                f"{root} is not empty and was not built by this tool: give an empty or new --output"
            )
        self._folder.mkdir(parents=True, exist_ok=True)

    def _stamp(self, name: str) -> dict[str, Any]:
        path = self._folder / f"{name}.json"
        if not path.is_file():
            return {}
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise StepError(
                f"{path} is damaged ({error}): delete it, and the step {name} is built again"
            ) from error

    def _is_whole(self, outputs: Iterable[str]) -> bool:
        return all(
            (self.root / output).is_file() and (self.root / output).stat().st_size for output in outputs
        )

    def run(
        self,
        name: str,
        inputs: Mapping[str, Any],
        build: Callable[[], Iterable[str]],
        *,
        folders: Iterable[str] = (),
    ) -> str:
        """Build a step unless it is done, and return the fingerprint that later steps take as input.

        Args:
            name: the step's name.
            inputs: everything that the outputs depend on, as plain data, with earlier steps' fingerprints.
            build: makes the outputs and returns their paths relative to the root. What it finds of its own in
                `folders` belongs to the same inputs and may be kept.
            folders: folders of this step alone, relative to the root; removed when the inputs change.
        """
        key = digest({"step": name, **inputs})
        stamp = self._stamp(name)
        if stamp.get("key") == key and stamp.get("outputs") and self._is_whole(stamp["outputs"]):
            self.log(f"[{name}] unchanged, skipped")
            return key
        resumes = stamp.get("key") == key
        if stamp and not resumes:
            self.log(f"[{name}] its inputs changed: building again")
        if not resumes:
            for folder in folders:
                if (self.root / folder).exists():
                    shutil.rmtree(self.root / folder)
        # From here on the stamp says whose files lie in the folders, and that they are not complete.
        self._write(name, {"key": key, "outputs": []})
        start = time.monotonic()
        outputs = sorted(build())
        self._write(name, {"key": key, "outputs": outputs})
        seconds = time.monotonic() - start
        self.log(f"[{name}] {'resumed' if resumes else 'built'}: {len(outputs)} files, {seconds:.1f} s")
        return key

    def _write(self, name: str, stamp: Mapping[str, Any]) -> None:
        write_text(self._folder / f"{name}.json", json.dumps(stamp, indent=0) + "\n")
