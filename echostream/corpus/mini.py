"""Build a small French-English speech translation corpus from a grammar and two speech synthesisers.

    python -m echostream.corpus.mini --output DATA --train 200 --dev 20 --test 20 --test-hard 20 --seed 1

The French speech has noise, levels and silence around it (--no-noise: bare speech); the English is clean.

The same command always gives the same corpus. A finished step is skipped while its inputs are unchanged, an
interrupted build goes on where it stopped, and a changed argument builds again what depends on it. Speech and
units are synthetic stand-ins: use the corpus to learn, test and compare systems, not to report quality.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile

from echostream.corpus import manifests, synthesis, units, vocabulary
from echostream.corpus.acoustics import (
    CONDITION_COLUMNS,
    HARD_RANGES,
    SEEN_RANGES,
    TRAIN_RANGES,
    Conditions,
    SourceAcoustics,
    draw_conditions,
)
from echostream.corpus.cmvn import write_statistics
from echostream.corpus.grammar import HARD_SPLIT, SPLITS, Sentence, sample_splits
from echostream.corpus.lexicon import LEXICON_PATH, load_lexicon
from echostream.corpus.steps import Steps
from echostream.corpus.summary import summarize
from echostream.data.fbank import num_fbank_frames
from echostream.data.manifest import read_tsv

# Part of every step's fingerprint: raise it when a change of the code changes what is built.
BUILD_VERSION = 3
# The same for what only the last step writes, which takes seconds.
MANIFESTS_VERSION = 3
# Bounds of memory: utterances whose features are held at a time, and those that k-means sees.
BLOCK_UTTERANCES = 1000
MAX_KMEANS_UTTERANCES = 4000
SPEECH_COLUMNS = ("voice", "speed_wpm", "pitch", *CONDITION_COLUMNS)
TEXT_COLUMNS = ("id", "fr", "en", "template", *SPEECH_COLUMNS)
UNIT_COLUMNS = ("id", "units", "durations")
KMEANS = "units/kmeans.npz"
# A small unigram model spends its pieces on frequent words and spells rare ones letter by letter, which is
# more than a CTC head has frames for. BPE of words with flattened counts spends them on what words share.
VOCAB_TYPE = "bpe"
WORD_COUNT_POWER = 0.5
VOCABULARIES = {"fr": manifests.SOURCE_VOCABULARY, "en": manifests.TARGET_VOCABULARY}


@dataclass(frozen=True)
class MiniConfig:
    """Arguments of a build.

    Attributes:
        output: the corpus folder.
        sizes: number of sentences of each split.
        seed: everything random follows from it.
        num_units: size of the unit inventory (fairseq's --target-code-size).
        duration_penalty: cost of a change of unit, in multiples of the mean quantisation error.
        vocab_size: pieces of each vocabulary at most.
        ctc_upsample_rate: unit positions a piece, for the check at the end.
        noise: put the source speech into acoustic conditions: noise, level, time before and after it.
        num_jobs: how many files are worked on at a time; it does not change the result.
    """

    output: Path
    sizes: dict[str, int]
    seed: int = 1
    num_units: int = 1000
    duration_penalty: float = 1.0
    vocab_size: int = 250
    ctc_upsample_rate: int = 6
    noise: bool = True
    num_jobs: int = 1

    def __post_init__(self) -> None:
        if self.sizes.get("train", 0) < 1:
            raise ValueError("the corpus needs at least one training sentence: give --train")
        if self.duration_penalty < 0:
            raise ValueError(f"--duration-penalty is {self.duration_penalty}: it must not be negative")
        for name in ("num_units", "vocab_size", "ctc_upsample_rate", "num_jobs"):
            if getattr(self, name) < 1:
                option = "jobs" if name == "num_jobs" else name.replace("_", "-")
                raise ValueError(f"--{option} is {getattr(self, name)}: it must be at least 1")


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a table of an earlier step."""
    return [row for _, row in read_tsv(path, ())]


class MiniBuilder:
    """The steps of the mini corpus; `build` runs them in order."""

    def __init__(self, config: MiniConfig, log: Callable[[str], None] = print) -> None:
        self.config = config
        self.root = config.output
        self.log = log
        self.splits = [name for name in SPLITS if config.sizes.get(name, 0)]

    def build(self) -> int:
        """Build what is out of date, print the summary; returns the number of infeasible training items."""
        for engine in synthesis.ENGINES:
            synthesis.require_program(engine)
        steps, config = Steps(self.root, self.log), self.config
        lexicon = LEXICON_PATH.read_text(encoding="utf-8")
        inputs = {"version": BUILD_VERSION, "seed": config.seed}
        text = steps.run(
            "text",
            {**inputs, "sizes": config.sizes, "lexicon": lexicon, "noise": config.noise},
            self._text,
            folders=["text"],
        )
        versions = [synthesis.program_version(engine) for engine in synthesis.ENGINES]
        audio = steps.run(
            "audio", {**inputs, "text": text, "engines": versions}, self._audio, folders=["audio"]
        )
        kmeans = steps.run("kmeans", {**inputs, "audio": audio, "num_units": config.num_units}, self._kmeans)
        quantized = steps.run(
            "units", {**inputs, "kmeans": kmeans, "duration_penalty": config.duration_penalty}, self._units
        )
        pieces = steps.run(
            "vocabulary",
            {
                **inputs,
                "text": text,
                "vocab_size": config.vocab_size,
                "vocab_type": VOCAB_TYPE,
                "word_count_power": WORD_COUNT_POWER,
            },
            self._vocabulary,
            folders=[str(Path(prefix).parent) for prefix in VOCABULARIES.values()],
        )
        cmvn = steps.run("cmvn", {**inputs, "audio": audio}, self._cmvn)
        # SimulEval's lists hold absolute paths: a moved corpus writes its manifests again.
        place = str(self.root.resolve())
        steps.run(
            "manifests",
            {
                **inputs,
                "manifests": MANIFESTS_VERSION,
                "units": quantized,
                "pieces": pieces,
                "cmvn": cmvn,
                "root": place,
            },
            self._manifests,
            folders=["simuleval"],
        )
        return summarize(self.root, self.splits, config.ctc_upsample_rate, self.log)

    def _rows(self, split: str) -> list[dict[str, str]]:
        return read_table(self.root / "text" / f"{split}.tsv")

    def _audio_path(self, language: str, split: str, name: str) -> str:
        return f"audio/{language}/{split}/{name}.wav"

    def _conditions(self, split: str, count: int) -> Iterable[Conditions]:
        ranges = {"train": TRAIN_RANGES, HARD_SPLIT: HARD_RANGES}.get(split, SEEN_RANGES)
        rng = random.Random(f"{self.config.seed}/{split}/conditions")
        return (draw_conditions(rng, ranges) if self.config.noise else Conditions() for _ in range(count))

    def _voiced(self, split: str, sentences: Sequence[Sentence]) -> Iterable[tuple[object, ...]]:
        rng = random.Random(f"{self.config.seed}/{split}/voices")
        voices = synthesis.HELDOUT_VOICES if split == HARD_SPLIT else synthesis.TRAIN_VOICES
        conditions = self._conditions(split, len(sentences))
        for number, (sentence, drawn) in enumerate(zip(sentences, conditions, strict=True)):
            prosody = (rng.choice(voices), rng.choice(synthesis.SPEEDS_WPM), rng.choice(synthesis.PITCHES))
            text = (sentence.fr, sentence.en, sentence.template)
            yield (f"{split}_{number:06d}", *text, *prosody, *drawn.to_row())

    def _text(self) -> list[str]:
        drawn = sample_splits(self.config.sizes, self.config.seed, lexicon=load_lexicon())
        for split in self.splits:
            rows = self._voiced(split, drawn[split])
            manifests.write_tsv(self.root / "text" / f"{split}.tsv", TEXT_COLUMNS, rows)
        return [f"text/{split}.tsv" for split in self.splits]

    def _french(self, split: str) -> tuple[list[synthesis.Utterance], SourceAcoustics]:
        utterances, conditions = [], {}
        for row in self._rows(split):
            path = self.root / self._audio_path("fr", split, row["id"])
            prosody = (row["voice"], int(row["speed_wpm"]), int(row["pitch"]))
            utterances.append(synthesis.Utterance(row["fr"], path, "espeak-ng", *prosody))
            conditions[row["id"]] = Conditions.from_row(row)
        return utterances, SourceAcoustics(utterances, conditions, self.config.seed)

    def _english(self, split: str) -> list[synthesis.Utterance]:
        folder, voice = self.root / "audio" / "en" / split, synthesis.TARGET_VOICE
        return [
            synthesis.Utterance(row["en"], folder / f"{row['id']}.wav", "flite", voice)
            for row in self._rows(split)
        ]

    def _audio(self) -> list[str]:
        def whole_units(_: synthesis.Utterance, speech: synthesis.Samples) -> synthesis.Samples:
            # So that units x 320 samples is the length of the file.
            return synthesis.pad_to_multiple(speech, units.HOP_SAMPLES)

        paths, spoken = [], 0
        for split in self.splits:
            french, acoustics = self._french(split)
            english = self._english(split)
            for utterances, finish in ((french, acoustics), (english, whole_units)):
                spoken += synthesis.synthesize(
                    utterances, num_jobs=self.config.num_jobs, finish=finish, log=self.log
                )
            paths += [str(utterance.path.relative_to(self.root)) for utterance in (*french, *english)]
        self.log(f"  {spoken} of {len(paths)} utterances had to be spoken")
        return paths

    def _target_features(self, split: str, names: Sequence[str]) -> list[units.Features]:
        paths = [self.root / self._audio_path("en", split, name) for name in names]
        return units.extract_log_mels(paths, self.config.num_jobs)

    def _kmeans(self) -> list[str]:
        names = [row["id"] for row in self._rows("train")]
        if len(names) > MAX_KMEANS_UTTERANCES:
            names = sorted(random.Random(f"{self.config.seed}/kmeans").sample(names, MAX_KMEANS_UTTERANCES))
        features = self._target_features("train", names)
        units.train_units(features, self.config.num_units, self.config.seed).save(self.root / KMEANS)
        return [KMEANS]

    def _quantized(self, split: str, model: units.UnitModel) -> Iterable[tuple[str, str, str]]:
        names = [row["id"] for row in self._rows(split)]
        for start in range(0, len(names), BLOCK_UTTERANCES):
            block = names[start : start + BLOCK_UTTERANCES]
            features = self._target_features(split, block)
            assigned = units.assign_units(features, model, self.config.duration_penalty)
            for name, frames in zip(block, assigned, strict=True):
                reduced, durations = units.reduce_units(frames)
                yield name, " ".join(map(str, reduced)), " ".join(map(str, durations))

    def _units(self) -> list[str]:
        model = units.UnitModel.load(self.root / KMEANS)
        for stale in (self.root / "units").glob("*.tsv"):
            stale.unlink()
        for split in self.splits:
            path = self.root / "units" / f"{split}.tsv"
            manifests.write_tsv(path, UNIT_COLUMNS, self._quantized(split, model))
        return [f"units/{split}.tsv" for split in self.splits]

    def _vocabulary(self) -> list[str]:
        outputs = []
        for column, prefix in VOCABULARIES.items():
            base = self.root / prefix
            base.parent.mkdir(parents=True, exist_ok=True)
            texts = (row[column] for row in self._rows("train"))
            alphabet = vocabulary.ALPHABETS[column]
            size = vocabulary.train_vocabulary(
                vocabulary.flatten_word_counts(texts, WORD_COUNT_POWER),
                self.config.vocab_size,
                base,
                vocab_type=VOCAB_TYPE,
                required_characters=alphabet,
                log=self.log,
            )
            self.log(f"  {prefix}: {size} pieces")
            outputs += [f"{prefix}{ending}" for ending in (".model", ".vocab", ".txt")]
            for split in self.splits:
                table = f"{Path(prefix).parent}/{split}.tsv"
                content = {row["id"]: row[column] for row in self._rows(split)}
                vocabulary.write_pieces(Path(f"{base}.model"), content, self.root / table)
                outputs.append(table)
        return outputs

    def _cmvn(self) -> list[str]:
        paths = [self.root / self._audio_path("fr", "train", row["id"]) for row in self._rows("train")]
        write_statistics(paths, self.root / "gcmvn.npz", self.config.num_jobs)
        return ["gcmvn.npz"]

    def _manifests(self) -> list[str]:
        outputs = []
        for split in SPLITS:
            if split not in self.splits:
                (self.root / f"{split}.tsv").unlink(missing_ok=True)
                continue
            rows, quantized = self._rows(split), read_table(self.root / "units" / f"{split}.tsv")
            self._write_manifest(split, rows, quantized)
            outputs.append(f"{split}.tsv")
            lists = manifests.write_simuleval_lists(
                self.root / "simuleval" / split,
                [self.root / self._audio_path("fr", split, row["id"]) for row in rows],
                [row["en"] for row in rows],
                [row["fr"] for row in rows],
                [self.root / self._audio_path("en", split, row["id"]) for row in rows],
            )
            outputs += [str(path.relative_to(self.root)) for path in lists]
            if split in {"train", "dev"}:
                self._write_vocoder_list(split, quantized)
                outputs.append(f"vocoder/{split}.jsonl")
        configs = manifests.write_configs(
            self.root, f"{manifests.SOURCE_VOCABULARY}.txt", f"{manifests.TARGET_VOCABULARY}.txt"
        )
        return outputs + [path.name for path in configs]

    def _write_manifest(
        self, split: str, rows: list[dict[str, str]], quantized: list[dict[str, str]]
    ) -> None:
        table = []
        for row, target in zip(rows, quantized, strict=True):
            source = self._audio_path("fr", split, row["id"])
            frames = num_fbank_frames(soundfile.info(str(self.root / source)).frames)
            reduced = [int(unit) for unit in target["units"].split()]
            conditions = {column: row[column] for column in SPEECH_COLUMNS}
            table.append(
                manifests.ManifestRow(
                    row["id"], source, frames, reduced, row["fr"], row["en"], conditions=conditions
                )
            )
        manifests.write_manifest(self.root / f"{split}.tsv", table)

    def _write_vocoder_list(self, split: str, quantized: list[dict[str, str]]) -> None:
        utterances = []
        for row in quantized:
            frames = units.expand_units(
                [int(unit) for unit in row["units"].split()],
                [int(frames) for frames in row["durations"].split()],
            )
            utterances.append((self._audio_path("en", split, row["id"]), frames))
        manifests.write_vocoder_list(self.root / "vocoder" / f"{split}.jsonl", utterances)


def parse_config(arguments: Sequence[str] | None = None) -> MiniConfig:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m echostream.corpus.mini",
        description="Build the mini corpus; see the module's documentation.",
    )
    parser.add_argument("--output", type=Path, required=True, help="corpus folder; made if needed")
    for split, size in zip(SPLITS, (200, 20, 20, 20), strict=True):
        help_text = f"sentences of {split} (default {size})"
        parser.add_argument(
            f"--{split.replace('_', '-')}", type=int, default=size, metavar="N", help=help_text
        )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--num-units", type=int, default=1000, help="fairseq's --target-code-size")
    parser.add_argument(
        "--duration-penalty", type=float, default=1.0, help="0: nearest cluster of each frame"
    )
    parser.add_argument("--vocab-size", type=int, default=250, help="pieces of each vocabulary, at most")
    parser.add_argument("--ctc-upsample-rate", type=int, default=6, help="only for the check at the end")
    parser.add_argument(
        "--noise",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="French speech with background noise, random level and silence around it, or bare",
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="files worked on at a time")
    args = parser.parse_args(arguments)
    return MiniConfig(
        output=args.output,
        sizes={split: getattr(args, split) for split in SPLITS},
        seed=args.seed,
        num_units=args.num_units,
        duration_penalty=args.duration_penalty,
        vocab_size=args.vocab_size,
        ctc_upsample_rate=args.ctc_upsample_rate,
        noise=args.noise,
        num_jobs=args.jobs,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the corpus; errors are one line on stderr and exit status 1."""
    try:
        MiniBuilder(parse_config(arguments)).build()
    except (ValueError, FileNotFoundError, synthesis.SynthesisError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
