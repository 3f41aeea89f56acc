"""The steps manifests and lists: what fairseq and SimulEval read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sentencepiece import SentencePieceProcessor

from echostream.corpus.manifests import ManifestRow, write_manifest, write_simuleval_lists, write_tsv
from echostream.corpus.steps import write_text
from echostream.corpus.vocabulary import load_vocabulary, write_pieces
from echostream.cvss import features, units
from echostream.cvss.blocks import read_block_tables
from echostream.cvss.feasibility import Limits, problems
from echostream.cvss.pairs import Pair, read_pairs
from echostream.cvss.sources import LANGUAGES, SPLITS, CorpusError, Sources
from echostream.cvss.unusable import Unusable, report_unusable
from echostream.cvss.vocabularies import SIDES, Vocabularies
from echostream.data.data_config import SpeechDataConfig, TextTasksConfig
from echostream.data.manifest import read_speech_manifest, read_text_targets, read_tsv

DATA_CONFIGS = ("config_gcmvn.yaml", "config_echostream.yaml")
TEXT_CONFIGS = ("config_mtl_asr_st_ctcst.yaml", "config_unity.yaml")
# What the committed configurations are for; the rest of their names follows from the arguments.
_CONFIG_LANGUAGE, _CONFIG_SIZE = "fr", 6000
_FRAMES_AN_HOUR = 360_000
_UNIT_FRAMES_AN_HOUR = 180_000


@dataclass(frozen=True)
class Utterance:
    """A pair with its audio on both sides."""

    row: ManifestRow
    tgt_num_frames: int


def _utterances(output: Path, split: str, src_lang: str) -> tuple[list[Utterance], list[Unusable]]:
    source, bad_source = read_block_tables(output, features.STEP, split)
    target, bad_target = read_block_tables(output, units.STEP, split)
    utterances = []
    for pair in read_pairs(output, split):
        if pair.id not in source or pair.id not in target:
            continue
        clip, speech = source[pair.id], target[pair.id]
        row = ManifestRow(
            pair.id,
            clip["src_audio"],
            int(clip["src_n_frames"]),
            [int(unit) for unit in speech["units"].split()],
            pair.src_text,
            pair.tgt_text,
            src_lang,
        )
        utterances.append(Utterance(row, sum(map(int, speech["durations"].split()))))
    return utterances, bad_source + bad_target


def _infeasible(
    utterances: list[Utterance], models: Mapping[str, SentencePieceProcessor], limits: Limits
) -> dict[str, str]:
    """Id to reason of the utterances that training cannot use."""
    found = {}
    for item in utterances:
        row = item.row
        pieces = (models["src"].encode(row.src_text), models["tgt"].encode(row.tgt_text))
        reasons = problems(row.src_fbank_frames, *pieces, row.units, limits)
        if reasons:
            found[row.id] = "; ".join(reasons)
    return found


def _num_unknown(model: SentencePieceProcessor, texts: list[str]) -> int:
    """How many pieces of the texts are not in the vocabulary."""
    return sum(pieces.count(model.unk_id()) for pieces in model.encode(texts))


class ManifestWriter:
    """Writes the manifests of all splits and reads them back as training does.

    Args:
        output: the corpus folder.
        vocabularies: of both sides.
        limits: of the unit decoder; training utterances beyond them are left out and listed.
        skip_unusable: leave out pairs whose audio could not be used, instead of stopping.
        log: told the counts and durations.
    """

    def __init__(
        self,
        output: Path,
        vocabularies: Vocabularies,
        limits: Limits,
        *,
        skip_unusable: bool,
        log: Callable[[str], None],
    ) -> None:
        self.output = output
        self.vocabularies = vocabularies
        self.limits = limits
        self.skip_unusable = skip_unusable
        self.log = log

    def write(self, config_folder: Path) -> None:
        """Write manifests, text targets and configuration files.

        Args:
            config_folder: the configuration files to start from (configs/fr-en).

        Raises:
            CorpusError: an earlier step is missing, or audio cannot be used and may not be skipped.
            ManifestError, DataConfigError: what was written cannot be read.
        """
        models = {side: load_vocabulary(self.vocabularies.model(side)) for side in SIDES}
        splits = {split: _utterances(self.output, split, self.vocabularies.src_lang) for split in SPLITS}
        unusable = [item for _, found in splits.values() for item in found]
        report_unusable(self.output, "manifests", unusable, skip=self.skip_unusable, log=self.log)
        num_units = 0
        for split, (utterances, _) in splits.items():
            kept = self._filter(split, utterances, models)
            self._write_split(split, kept)
            self._log_split(split, kept, models)
            num_units = max([num_units, *(1 + max(item.row.units) for item in kept)])
        write_configs(config_folder, self.vocabularies)
        self._check(num_units)

    def _filter(
        self, split: str, utterances: list[Utterance], models: Mapping[str, SentencePieceProcessor]
    ) -> list[Utterance]:
        """Leave out what training cannot use; the other splits stay whole: scores are over all of them."""
        reasons = _infeasible(utterances, models, self.limits)
        report = self.output / "reports" / f"infeasible.{split}.tsv"
        write_tsv(report, ("id", "reason"), reasons.items())
        done = "left out" if split == "train" else "kept"
        if reasons:
            self.log(
                f"  {split}: {len(reasons)} utterances do not fit CTC or the unit limit, {done}: {report}"
            )
        kept = [item for item in utterances if split != "train" or item.row.id not in reasons]
        if not kept:
            raise CorpusError(f"{split}: no utterance is left; see {report}")
        return kept

    def _write_split(self, split: str, kept: list[Utterance]) -> None:
        write_manifest(self.output / f"{split}.tsv", (item.row for item in kept))
        texts = {
            "src": {item.row.id: item.row.src_text for item in kept},
            "tgt": {item.row.id: item.row.tgt_text for item in kept},
        }
        for side in SIDES:
            table = self.output / self.vocabularies.folder(side) / f"{split}.tsv"
            write_pieces(self.vocabularies.model(side), texts[side], table)

    def _log_split(
        self, split: str, kept: list[Utterance], models: Mapping[str, SentencePieceProcessor]
    ) -> None:
        source_hours = sum(item.row.src_fbank_frames for item in kept) / _FRAMES_AN_HOUR
        target_hours = sum(item.tgt_num_frames for item in kept) / _UNIT_FRAMES_AN_HOUR
        unknown = {
            "src": _num_unknown(models["src"], [item.row.src_text for item in kept]),
            "tgt": _num_unknown(models["tgt"], [item.row.tgt_text for item in kept]),
        }
        self.log(
            f"  {split}: {len(kept)} utterances, source {source_hours:.3f} h, target {target_hours:.3f} h, "
            f"{sum(len(item.row.units) for item in kept)} units; unknown pieces: source {unknown['src']}, "
            f"target {unknown['tgt']}"
        )

    def _check(self, num_units: int) -> None:
        for name in DATA_CONFIGS:
            config = SpeechDataConfig(self.output / name)
        for name in TEXT_CONFIGS:
            tasks = TextTasksConfig(self.output / name)
            for split in SPLITS:
                manifest = self.output / f"{split}.tsv"
                samples = read_speech_manifest(
                    manifest, config.audio_folder(self.output), frozenset(map(str, range(num_units)))
                )
                for task in tasks.get_all_tasks().values():
                    read_text_targets(
                        Path(task.data) / f"{split}.tsv", [item.id for item in samples], manifest
                    )
        self.log(f"  read back as training reads them; the highest unit is {num_units - 1}")


def write_configs(config_folder: Path, vocabularies: Vocabularies) -> None:
    """Copy the configuration files, with the language and the vocabularies' names of this corpus."""
    changes = {
        f"spm_unigram_{_CONFIG_LANGUAGE}": f"spm_unigram_{vocabularies.src_lang}",
        f"unigram{_CONFIG_SIZE}": f"unigram{vocabularies.size}",
        LANGUAGES[_CONFIG_LANGUAGE]: LANGUAGES[vocabularies.src_lang],
    }
    for name in DATA_CONFIGS + TEXT_CONFIGS:
        path = config_folder / name
        if not path.is_file():
            raise CorpusError(
                f"{path}: no such configuration file; --configs must be the folder configs/fr-en"
            )
        text = path.read_text(encoding="utf-8")
        for old, new in changes.items():
            text = text.replace(old, new)
        write_text(vocabularies.output / name, text)


def write_lists(sources: Sources, output: Path, *, log: Callable[[str], None]) -> None:
    """Write SimulEval's lists of all splits: the clips, translations and transcripts of the manifests.

    Raises:
        ManifestError: the step manifests has not run.
    """
    for split in SPLITS:
        ids = [row["id"] for _, row in read_tsv(output / f"{split}.tsv", ("id",))]
        pairs: dict[str, Pair] = {pair.id: pair for pair in read_pairs(output, split)}
        folder = output / "simuleval" / split
        chosen = [pairs[name] for name in ids]
        write_simuleval_lists(
            folder,
            [sources.source_audio(pair.clip) for pair in chosen],
            [pair.tgt_text for pair in chosen],
            [pair.src_text for pair in chosen],
        )
        log(f"  {folder}: {len(chosen)} utterances")
