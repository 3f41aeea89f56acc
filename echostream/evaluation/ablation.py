"""What each setting changes: `python -m echostream.evaluation.ablation TABLE.yaml --output FILE.md`.

TABLE.yaml names the variants of a system, and where the results of each are; the first is the base, from
which the differences of the others are taken. Paths are from the folder of TABLE.yaml.

    chunk_ms: 320
    manifest: data/test.tsv         # for intervals of offline scores; optional
    variants:
      base:
        results: [base.offline-s2st.generate, base.simul-s2tt, base.streaming-asr]
        checkpoint: base/average.pt # for updates and parameters; optional
      no memory:
        change: memory_size 8 → 0
        results: [no_memory.offline-s2st.generate, …]

Results are those that `echostream.evaluation.report` reads; all variants must have the same kinds of them.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from echostream.compat import CheckpointError
from echostream.compat.checkpoints import load_checkpoint
from echostream.evaluation.bootstrap import Array, Drawn, draw_counts
from echostream.evaluation.markdown import NOTHING, table, with_interval
from echostream.evaluation.metrics import digits
from echostream.evaluation.offline import read_table
from echostream.evaluation.results import (
    RECOGNITION,
    SPEECH,
    TEXT,
    OfflineScore,
    ReportError,
    Run,
    Task,
    read_results,
)
from echostream.evaluation.text_statistics import bleu_measure, wer_measure
from echostream.evaluation.utterances import latency_measure, quality_measure
from echostream.models.interop.inspection import model_weights

LATENCY = "AL"
# Offline columns: title, the output and the score in scores.txt, and the columns of texts and references.
OFFLINE = (
    ("WER, offline", "recognition", "WER", "asr", "src_text"),
    ("BLEU, offline", "translation, text", "BLEU", "mt", "tgt_text"),
)


@dataclass(frozen=True)
class Variant:
    """One line of the table: its name, what was changed, its results, and its checkpoint if that is known."""

    name: str
    change: str
    runs: Sequence[Run]
    offline: Sequence[OfflineScore]
    checkpoint: Path | None


@dataclass(frozen=True)
class Figure:
    """A score, and its draws where the utterances are known, so that a difference has an interval."""

    value: float
    drawn: Drawn | None = None


@dataclass(frozen=True)
class Column:
    """A column of scores: its title, decimals, and how a variant's score is found."""

    title: str
    digits: int
    figure: Callable[[Variant], Figure]


def read_variants(path: Path) -> tuple[list[Variant], Mapping[str, Any]]:
    """Read a table of variants and their results.

    Returns:
        the variants, the base first, and the other settings of the table.
    Raises:
        ReportError: for a bad table or incomplete results.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ReportError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("variants"), dict):
        raise ReportError(f"{path}: must have 'variants', by name; see --help")
    unknown = set(content) - {"chunk_ms", "manifest", "variants"}
    if unknown:
        raise ReportError(f"{path}: unknown keys {', '.join(sorted(unknown))}")
    variants = [_read_variant(path, name, entry) for name, entry in content["variants"].items()]
    return variants, content


def _read_variant(path: Path, name: str, entry: Any) -> Variant:
    if not isinstance(entry, dict) or not entry.get("results"):
        raise ReportError(f"{path}: variant {name} must have 'results', a list of result folders")
    unknown = set(entry) - {"change", "results", "checkpoint"}
    if unknown:
        raise ReportError(f"{path}: variant {name} has unknown keys {', '.join(sorted(unknown))}")
    folders = [path.parent / folder for folder in entry["results"]]
    runs, offline = read_results(folders, [name] * len(folders))
    checkpoint = path.parent / entry["checkpoint"] if "checkpoint" in entry else None
    return Variant(name, str(entry.get("change", "")), runs, offline, checkpoint)


def ablation_table(path: Path) -> list[str]:
    """Lines of the Markdown table of a table of variants.

    Raises:
        ReportError: for a bad table, or results that are incomplete or of different utterances.
        ManifestError, CheckpointError, FileNotFoundError: for a bad manifest or checkpoint.
    """
    variants, settings = read_variants(path)
    manifest = path.parent / settings["manifest"] if "manifest" in settings else None
    columns = _offline_columns(variants, manifest)
    if "chunk_ms" in settings:
        columns += _simultaneous_columns(variants, int(settings["chunk_ms"]))
    base = variants[0]
    base_figures = [column.figure(base) for column in columns]
    has_checkpoints = any(variant.checkpoint for variant in variants)
    rows = []
    for variant in variants:
        cells = [
            _cell(column, column.figure(variant), None if variant is base else reference)
            for column, reference in zip(columns, base_figures, strict=True)
        ]
        checkpoint = _checkpoint_cells(variant) if has_checkpoints else []
        rows.append([variant.name, variant.change, *cells, *checkpoint])
    header = ["variant", "change", *(column.title for column in columns)]
    return table([*header, *(["updates", "parameters"] if has_checkpoints else [])], rows)


def _offline_columns(variants: Sequence[Variant], manifest: Path | None) -> list[Column]:
    outputs = {item.output for variant in variants for item in variant.offline}
    references = None if manifest is None else read_table(manifest)
    counts = None if references is None else draw_counts(len(references))

    def column(title: str, output: str, score: str, texts: str, reference: str) -> Column:
        def figure(variant: Variant) -> Figure:
            found = [item for item in variant.offline if item.output == output]
            if len(found) != 1 or score not in found[0].scores:
                raise ReportError(f"variant {variant.name}: must have one offline score of {output}: {score}")
            value = found[0].scores[score]
            if manifest is None or references is None or counts is None:
                return Figure(value)
            hypotheses = read_table(found[0].file.parent / f"generate-{manifest.stem}.text.tsv")
            make = wer_measure if score == "WER" else bleu_measure
            pairs = [(hypotheses[name][texts], row[reference]) for name, row in references.items()]
            return Figure(value, make(*map(list, zip(*pairs, strict=True))).drawn(counts))

        return Column(title, 2, figure)

    return [column(*entry) for entry in OFFLINE if entry[1] in outputs]


def _simultaneous_columns(variants: Sequence[Variant], chunk_ms: int) -> list[Column]:
    found = [run for variant in variants for run in variant.runs if run.chunk_ms == chunk_ms]
    columns = []
    for task in (RECOGNITION, TEXT, SPEECH):
        runs = [run for run in found if run.task is task]
        if not runs:
            continue
        if len({run.test_set for run in runs}) > 1:
            raise ReportError(f"{task.title}: the variants were run on different utterances")
        counts = draw_counts(runs[0].num_utterances)
        for metric in (task.quality, LATENCY):
            columns.append(_simultaneous_column(task, chunk_ms, metric, counts))
    return columns


def _simultaneous_column(task: Task, chunk_ms: int, metric: str, counts: Array) -> Column:
    def figure(variant: Variant) -> Figure:
        runs = [run for run in variant.runs if run.task is task and run.chunk_ms == chunk_ms]
        if len(runs) != 1:
            raise ReportError(
                f"variant {variant.name}: has {len(runs)} runs of {task.name} at {chunk_ms} ms; one is needed"
            )
        measure = (
            quality_measure(runs[0], metric) if metric == task.quality else latency_measure(runs[0], metric)
        )
        return Figure(runs[0].score(metric), measure.drawn(counts))

    title = f"{metric}, {task.name} {chunk_ms} ms"
    return Column(title, digits(metric), figure)


def _cell(column: Column, figure: Figure, base: Figure | None) -> str:
    text = f"{figure.value:.{column.digits}f}"
    if base is None:
        return text
    if figure.drawn is None or base.drawn is None:
        return f"{text} ({figure.value - base.value:+.{column.digits}f})"
    interval = (figure.drawn - base.drawn).interval()
    difference = with_interval(interval, column.digits, is_signed=True)
    return f"{text} ({f'**{difference}**' if interval.excludes_zero else difference})"


def _checkpoint_cells(variant: Variant) -> list[str]:
    """Number of updates, and of parameters, as the checkpoint has them."""
    if variant.checkpoint is None:
        return [NOTHING, NOTHING]
    state = load_checkpoint(variant.checkpoint)
    history = state.get("optimizer_history") or [{}]
    weights = model_weights(state, variant.checkpoint)
    sizes = {weight.data_ptr(): weight.numel() for weight in weights.values()}  # tied ones once
    return [str(history[-1].get("num_updates", NOTHING)), f"{sum(sizes.values()) / 1e6:.2f} M"]


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m echostream.evaluation.ablation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("table", type=Path, help="YAML file of the variants")
    parser.add_argument("--output", type=Path, help="Markdown file (default: printed)")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Raises:
        SystemExit: with the reason, for results that cannot be put in a table.
    """
    args = build_parser().parse_args(arguments)
    try:
        lines = ablation_table(args.table)
    except (ReportError, CheckpointError, ValueError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")
    explanation = (
        "In brackets: the difference from the first line, with its 95 % interval (paired bootstrap over the "
        "utterances) where texts are known; bold where it excludes zero."
    )
    text = "\n".join([*lines, "", explanation, ""])
    if args.output is None:
        print(text)
    else:
        args.output.write_text(text, encoding="utf-8")
        print(args.output)


if __name__ == "__main__":
    main()
