"""What fairseq, SimulEval and vocoder training read: manifests, configuration files and lists."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from echostream.corpus.steps import write_text
from echostream.data.audio import SAMPLE_RATE

MANIFEST_COLUMNS = (
    "id",
    "src_audio",
    "src_n_frames",
    "tgt_audio",
    "tgt_n_frames",
    "src_text",
    "tgt_text",
    "src_lang",
    "tgt_lang",
)
# Prefixes of the vocabularies' files, in the corpus folder; the pieces of each split lie beside them.
SOURCE_VOCABULARY = "src_bpe/spm_bpe_fr"
TARGET_VOCABULARY = "tgt_bpe/spm_bpe_en"
MINI_TEXT_DECODER: dict[str, Any] = {
    "decoder_layers": 2,
    "decoder_embed_dim": 144,
    "decoder_ffn_embed_dim": 576,
    "decoder_attention_heads": 4,
    # Without this entry fairseq would use 0.3.
    "dropout": 0.1,
}
# fairseq's schedule: from the first weight to the last on a straight line, over so many updates. Recognition
# leads, since an encoder that hears nothing yet gets noise for gradients from the decoders behind it.
RECOGNITION_WEIGHTS = {"loss_weight_max": 200.0, "loss_weight_min": 4.0, "loss_weight_decay_steps": 1000}


@dataclass(frozen=True)
class ManifestRow:
    """One utterance of a speech-to-unit manifest; the source path is relative to the corpus folder.

    `conditions` are further columns that say how the source was spoken and recorded; no training reads them.
    """

    id: str
    src_audio: str
    src_fbank_frames: int
    units: Sequence[int]
    src_text: str
    tgt_text: str
    src_lang: str = "fr"
    tgt_lang: str = "en"
    conditions: Mapping[str, str] = field(default_factory=dict)


def write_tsv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a tab-separated file without quoting.

    Raises:
        ValueError: a value holds a tab or a line break, which the format cannot carry.
    """
    lines = ["\t".join(columns)]
    for row in rows:
        values = [str(value) for value in row]
        if any(character in value for value in values for character in "\t\n\r"):
            raise ValueError(f"{path}: a value of {values[0]!r} holds a tab or a line break")
        lines.append("\t".join(values))
    write_text(path, "\n".join(lines) + "\n")


def write_manifest(path: Path, rows: Iterable[ManifestRow]) -> None:
    """Write a fairseq speech-to-speech manifest with reduced units as its target.

    Raises:
        ValueError: an utterance has no units or no source frames, or other conditions than the first one.
    """
    table = []
    columns: tuple[str, ...] | None = None
    for row in rows:
        columns = tuple(row.conditions) if columns is None else columns
        if tuple(row.conditions) != columns:
            raise ValueError(f"{path}: {row.id} has the conditions {tuple(row.conditions)}, others {columns}")
        if not row.units or row.src_fbank_frames < 1:
            raise ValueError(
                f"{path}: {row.id} has {row.src_fbank_frames} source frames and {len(row.units)} units"
            )
        units = (" ".join(map(str, row.units)), len(row.units))
        texts = (row.src_text, row.tgt_text, row.src_lang, row.tgt_lang)
        conditions = row.conditions.values()
        table.append((row.id, row.src_audio, row.src_fbank_frames, *units, *texts, *conditions))
    write_tsv(path, (*MANIFEST_COLUMNS, *(columns or ())), table)


def write_vocoder_list(path: Path, utterances: Iterable[tuple[str, Sequence[int]]]) -> None:
    """Write vocoder training data: audio path, frame-level units at 50 Hz, duration in seconds."""
    lines = []
    for audio, frames in utterances:
        # 20 ms a frame: the duration has two digits, exactly.
        entry = {"audio": audio, "code": " ".join(map(str, frames)), "duration": len(frames) * 2 / 100}
        lines.append(json.dumps(entry, ensure_ascii=False) + "\n")
    write_text(path, "".join(lines))


def write_simuleval_lists(
    folder: Path,
    sources: Sequence[Path],
    targets: Sequence[str],
    transcripts: Sequence[str],
    target_speech: Sequence[Path] | None = None,
) -> list[Path]:
    """Write wav_list.txt, target.txt and src.txt, one utterance a line, and of `target_speech`
    target_wav_list.txt.

    The audio files are absolute, since SimulEval opens them from its working directory.
    """
    contents = {
        "wav_list.txt": [str(source.resolve()) for source in sources],
        "target.txt": list(targets),
        "src.txt": list(transcripts),
    }
    if target_speech is not None:
        contents["target_wav_list.txt"] = [str(target.resolve()) for target in target_speech]
    for name, lines in contents.items():
        write_text(folder / name, "".join(line + "\n" for line in lines))
    return [folder / name for name in contents]


def _dump(path: Path, config: Mapping[str, Any]) -> None:
    write_text(path, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))


def data_config() -> dict[str, Any]:
    """fairseq's data configuration; every path is relative to the YAML file."""
    return {
        "audio_root": ".",
        "sample_rate": SAMPLE_RATE,
        "output_sample_rate": SAMPLE_RATE,
        "input_channels": 1,
        "input_feat_per_channel": 80,
        "global_cmvn": {"stats_npz_path": "gcmvn.npz"},
        "feature_transforms": {"*": ["global_cmvn"], "_train": ["global_cmvn"]},
        "vocoder": {
            "type": "code_hifigan",
            "config": "vocoder/config.json",
            "checkpoint": "vocoder/checkpoint.pt",
        },
    }


def multitask_config(source_dictionary: str, target_dictionary: str) -> dict[str, Any]:
    """The three text tasks: first-pass translation, CTC transcription and CTC translation.

    Args:
        source_dictionary, target_dictionary: dictionary files relative to the YAML file; the pieces of each
            split lie beside them.
    """

    def task(kind: str, dictionary: str, weights: Mapping[str, float], layers: int) -> dict[str, Any]:
        return {
            "decoder_type": kind,
            "dict": dictionary,
            "data": str(Path(dictionary).parent),
            **weights,
            "rdrop_alpha": 0.0,
            "decoder_args": {**MINI_TEXT_DECODER, "decoder_layers": layers},
            "label_smoothing": 0.1,
        }

    return {
        "target_unigram": task(
            "transformer", target_dictionary, {"loss_weight": 8.0}, MINI_TEXT_DECODER["decoder_layers"]
        ),
        "source_unigram": task("ctc", source_dictionary, RECOGNITION_WEIGHTS, 0),
        "ctc_target_unigram": task("ctc", target_dictionary, {"loss_weight": 4.0}, 0),
    }


def write_configs(root: Path, source_dictionary: str, target_dictionary: str) -> list[Path]:
    """Write the data configurations, by the names that the scripts ask for, and that of the text tasks.

    There is no block of encoder settings: it would win over the preset that `--arch` names.
    """
    configs = {
        "config_gcmvn.yaml": data_config(),
        "config_echostream.yaml": data_config(),
        "config_mtl_asr_st_ctcst.yaml": multitask_config(source_dictionary, target_dictionary),
    }
    for name, config in configs.items():
        _dump(root / name, config)
    return [root / name for name in configs]
