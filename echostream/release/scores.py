"""Scores of a release, as the evaluation wrote them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from echostream.evaluation.asr_bleu import ASR_BLEU
from echostream.evaluation.quality_files import quality_file
from echostream.evaluation.results import OFFLINE_SCORES, read_results


def collect_scores(folders: Sequence[Path]) -> dict[str, list[dict[str, Any]]]:
    """All scores of result folders, each with the folder (its last two names) that it is from.

    Args:
        folders: folders with `chunk_size=…` in them, of offline scores, or with nothing but ASR-BLEU.
    Raises:
        ReportError: for a folder without results, an unfinished run, or an undefined score.
    """
    speech = [path for path in folders if _holds_speech_scores_only(path)]
    others = [path for path in folders if path not in speech]
    runs, offline = read_results(others, [_short(path) for path in others])
    return {
        "simultaneous": [
            {
                "results": run.system,
                "task": run.task.name,
                "chunk_ms": run.chunk_ms,
                "num_utterances": run.num_utterances,
                "quality": run.quality_note,
                "scores": {name: run.score(name) for name in run.scores},
            }
            for run in runs
        ],
        "offline": [
            {"results": item.system, "output": item.output, "quality": item.note, "scores": dict(item.scores)}
            for item in offline
        ]
        + [_speech_score(path) for path in speech],
    }


def _short(folder: Path) -> str:
    return "/".join(folder.absolute().parts[-2:])


def _holds_speech_scores_only(folder: Path) -> bool:
    has_others = (folder / OFFLINE_SCORES).is_file() or any(folder.glob("chunk_size=*"))
    return not has_others and quality_file(folder, ASR_BLEU).is_file()


def _speech_score(folder: Path) -> dict[str, Any]:
    """The score of wav files, as `echostream.evaluation.offline_speech` keeps it."""
    note = json.loads(quality_file(folder, ASR_BLEU).read_text(encoding="utf-8"))
    return {
        "results": _short(folder),
        "output": "speech",
        "quality": f"{note['signature']}; {note['normalization']}; recogniser: {note['recogniser']}",
        "scores": {"BLEU": note["score"], "WER": note["wer"]},
    }
