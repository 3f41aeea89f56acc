"""One rank of a training with several processes: `python -m tests.tasks.rank_worker JOBS OUTPUT`.

JOBS is a JSON file with a list of trainings, which run one after the other in the same process group. What
rank R logs, or the error it ends with, goes to OUTPUT/<name>.<R>.json.
"""

import json
import math
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from echostream.data import speech_to_speech_dataset
from echostream.data.source_features import load_source_features
from echostream.tasks.nonfinite_guard import NonFiniteError
from tests.tasks.fairseq_commands import train


@dataclass(frozen=True)
class Job:
    """A training of `tests.tasks.fairseq_commands`."""

    name: str
    corpus: str
    arch: str
    arguments: list[str]
    bad_utterance: str = ""
    """Its features are NaN."""


def features_with(bad_utterance: str) -> Any:
    """In the place of `load_source_features`."""

    def load(location: str, *arguments: Any) -> Any:
        features = load_source_features(location, *arguments)
        return features * math.nan if location.endswith(f"/{bad_utterance}.wav") else features

    return load


def run_job(job: Job, save_dir: Path) -> list[dict[str, Any]]:
    """The records of the training, or one record with the error."""
    features = features_with(job.bad_utterance) if job.bad_utterance else load_source_features
    with mock.patch.object(speech_to_speech_dataset, "load_source_features", features):
        try:
            return train(Path(job.corpus), save_dir, job.arch, *job.arguments)
        except NonFiniteError as error:
            return [{"logger": "error", "message": str(error)}]


def write_jobs(path: Path, jobs: list[Job]) -> None:
    """Write the list that the ranks read."""
    path.write_text(json.dumps([asdict(job) for job in jobs]), encoding="utf-8")


def main(jobs_path: Path, output: Path) -> None:
    """Run every job."""
    for arguments in json.loads(jobs_path.read_text(encoding="utf-8")):
        job = Job(**arguments)
        records = run_job(job, output / job.name)
        (output / f"{job.name}.{os.environ['RANK']}.json").write_text(json.dumps(records), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
