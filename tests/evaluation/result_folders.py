"""Result folders as SimulEval and the agents write them, whose scores fit their utterances."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import editdistance
import yaml
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

REFERENCES = [
    "the cat sits on the mat near the old door",
    "a dog they say runs home in the evening",
    "we would like two coffees please my friend",
    "yes of course we are coming with you today",
    "no bird sings here today or any other day",
    "the train to the old town leaves at noon",
]
"""Of all runs made here."""


def garbled(texts: Sequence[str], every: int) -> list[str]:
    """Texts in which every so many words are wrong."""
    words = [text.split() for text in texts]
    return [
        " ".join("wrong" if number % every == 0 else word for number, word in enumerate(sentence))
        for sentence in words
    ]


def write_run(
    system: Path,
    chunk_ms: int,
    hypotheses: Sequence[str],
    lags_ms: Sequence[float],
    *,
    task: str = "s2tt",
    steps: Sequence[dict[str, Any]] | None = None,
) -> Path:
    """A run with these outputs and latencies for `REFERENCES`; its task is s2st, s2tt or asr."""
    folder = system / f"chunk_size={chunk_ms}"
    folder.mkdir(parents=True)
    bleu = BLEU().corpus_score(list(hypotheses), [REFERENCES]).score
    mean_ms = sum(lags_ms) / len(lags_ms)
    source_ms = [3000.0 + 500 * index for index in range(len(REFERENCES))]
    processing_ms = [chunk_ms + 100.0 * index for index in range(len(REFERENCES))]
    scores = {"BLEU": bleu, "CHRF": CHRF().corpus_score(list(hypotheses), [REFERENCES]).score}
    scores |= {"AL": mean_ms, "LAAL": 2 * mean_ms, "AL_CA": mean_ms + 50}
    scores["ProcessingRTF"] = sum(processing_ms) / sum(source_ms)
    if task == "asr":
        pairs = [(a.split(), b.split()) for a, b in zip(hypotheses, REFERENCES, strict=True)]
        errors = sum(editdistance.eval(a, b) for a, b in pairs)
        scores["WER"] = 100 * errors / sum(len(reference) for _, reference in pairs)
    if task == "s2st":
        scores["ASR_BLEU"] = scores.pop("BLEU")
        del scores["CHRF"]
        (folder / "asr_transcripts.txt").write_text("".join(f"{text}\n" for text in hypotheses))
        note = {"score": bleu, "signature": "tok:13a|v", "normalization": "n", "recogniser": "r"}
        (folder / "asr_bleu.json").write_text(json.dumps(note))
    values = [f"{value:.3f}" for value in scores.values()]
    (folder / "scores.tsv").write_text("\t".join(scores) + "\n" + "\t".join(values) + "\n")
    rows = [
        f"{lag}\t{2 * lag}\t{lag + 50}\t{processing / source}"
        for lag, processing, source in zip(lags_ms, processing_ms, source_ms, strict=True)
    ]
    (folder / "metrics.tsv").write_text("\n".join(["AL\tLAAL\tAL_CA\tProcessingRTF", *rows]) + "\n")
    entries: list[dict[str, Any]] = [
        {"index": index, "prediction": text, "reference": reference, "source_length": source_ms[index]}
        for index, (text, reference) in enumerate(zip(hypotheses, REFERENCES, strict=True))
    ]
    if task == "s2st":
        entries = [
            {**entry, "prediction": f"{entry['index']}_pred.wav", "durations": []} for entry in entries
        ]
    (folder / "instances.log").write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    target = "speech" if task == "s2st" else "text"
    (folder / "config.yaml").write_text(yaml.safe_dump({"source_type": "speech", "target_type": target}))
    if steps is not None:
        (folder / "steps.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in steps))
    return folder


def step_record(compute_ms: Sequence[float], chunk_ms: int = 320) -> dict[str, Any]:
    """A line of steps.jsonl with these step times."""
    count = len(compute_ms)
    return {
        "heard_ms": [chunk_ms * (index + 1) for index in range(count)],
        "compute_ms": list(compute_ms),
        "num_units": [0] * count,
        "source_words": [],
        "target_words": [],
        "num_segments": 1,
    }
