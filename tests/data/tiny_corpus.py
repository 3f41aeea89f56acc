"""A corpus of four sentences of tones and noise: enough for every stage of training to run."""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import yaml

NUM_UNITS = 20
PIECES = ("▁je", "▁vais", "▁au", "▁marché", "▁i", "▁go", "▁to", "▁the", "mar", "ket", "s")
SOURCE_TEXTS = ("▁je ▁vais", "▁au ▁marché", "▁je ▁marché s", "▁vais ▁au ▁marché")
TARGET_TEXTS = ("▁i ▁go", "▁to ▁the mar ket", "▁i mar ket s", "▁go ▁to ▁the mar ket")


@dataclass(frozen=True)
class TinyCorpus:
    """Where the corpus is."""

    root: Path

    @property
    def manifest(self) -> Path:
        """The training manifest."""
        return self.root / "train.tsv"


def write_tsv(path: Path, header: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    """Write a tab-separated file with a header."""
    lines = ["\t".join(map(str, row)) for row in [header, *rows]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def build(
    root: Path, *, num_sentences: int = 4, splits: tuple[str, ...] = ("train", "dev", "test")
) -> TinyCorpus:
    """Write audio, manifests, dictionaries, statistics and configuration files below `root`."""
    random = np.random.default_rng(1)
    (root / "audio").mkdir(parents=True)
    speech_rows: list[tuple[object, ...]] = []
    source_rows: list[tuple[object, ...]] = []
    target_rows: list[tuple[object, ...]] = []
    for number in range(num_sentences):
        num_samples = 16000 + 2400 * (number % 4)
        tone = np.sin(2 * np.pi * 250 * 2 ** (number % 4) * np.arange(num_samples) / 16000)
        samples = (0.3 * tone + 0.02 * random.standard_normal(num_samples)).astype(np.float32)
        soundfile.write(root / "audio" / f"s{number}.wav", samples, 16000, subtype="PCM_16")
        units = " ".join(str(unit) for unit in random.integers(0, NUM_UNITS, size=6))
        num_frames = 1 + (num_samples - 400) // 160
        speech_rows.append((f"s{number}", f"audio/s{number}.wav", num_frames, units, 6))
        source_rows.append((f"s{number}", SOURCE_TEXTS[number % 4]))
        target_rows.append((f"s{number}", TARGET_TEXTS[number % 4]))
    for folder, rows in (("src_unigram", source_rows), ("tgt_unigram", target_rows)):
        (root / folder).mkdir()
        (root / folder / "dict.txt").write_text("".join(f"{piece} 1\n" for piece in PIECES), encoding="utf-8")
        for split in splits:
            write_tsv(root / folder / f"{split}.tsv", ("id", "tgt_text"), rows)
    header = ("id", "src_audio", "src_n_frames", "tgt_audio", "tgt_n_frames")
    for split in splits:
        write_tsv(root / f"{split}.tsv", header, speech_rows)
    np.savez(root / "gcmvn.npz", mean=np.full(80, 10.0), std=np.full(80, 3.0))
    write_configs(root)
    return TinyCorpus(root)


def write_configs(root: Path) -> None:
    """Write config.yaml, config_mtl.yaml, and config_unity.yaml without the CTC heads."""
    data = {
        "audio_root": ".",
        "global_cmvn": {"stats_npz_path": "gcmvn.npz"},
        "input_channels": 1,
        "input_feat_per_channel": 80,
        "specaugment": {
            "freq_mask_F": 27,
            "freq_mask_N": 1,
            "time_mask_N": 1,
            "time_mask_T": 20,
            "time_mask_p": 1.0,
            "time_wrap_W": 0,
        },
        "transforms": {"*": ["global_cmvn"], "_train": ["global_cmvn", "specaugment"]},
        "vocoder": {"type": "code_hifigan", "checkpoint": "vocoder.pt", "config": "vocoder.json"},
    }
    (root / "config.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    shared = {"rdrop_alpha": 0.0, "label_smoothing": 0.1}
    text = {"dict": "tgt_unigram/dict.txt", "data": "tgt_unigram", **shared}
    tasks = {
        "target_unigram": {
            "decoder_type": "transformer",
            "loss_weight": 8.0,
            "decoder_args": {"decoder_layers": 1, "decoder_embed_dim": 16, "decoder_ffn_embed_dim": 32},
            **text,
        },
        "source_unigram": {
            "decoder_type": "ctc",
            "loss_weight": 4.0,
            "dict": "src_unigram/dict.txt",
            "data": "src_unigram",
            **shared,
        },
        "ctc_target_unigram": {
            "decoder_type": "ctc",
            "loss_weight": 4.0,
            "decoder_args": {"decoder_layers": 0},
            **text,
        },
    }
    (root / "config_mtl.yaml").write_text(yaml.safe_dump(tasks, sort_keys=False), encoding="utf-8")
    unity = {"target_unigram": tasks["target_unigram"]}
    (root / "config_unity.yaml").write_text(yaml.safe_dump(unity), encoding="utf-8")


def zip_audio(root: Path) -> dict[str, str]:
    """Pack the audio into a stored zip; returns `archive.zip:offset:length` by file name."""
    archive = root / "audio.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        for path in sorted((root / "audio").iterdir()):
            packed.write(path, path.name)
    locations = {}
    with zipfile.ZipFile(archive) as packed:
        for entry in packed.infolist():
            offset = entry.header_offset + 30 + len(entry.filename.encode())
            locations[entry.filename] = f"audio.zip:{offset}:{entry.file_size}"
    return locations


def edit_yaml(path: Path, changes: dict[str, object]) -> None:
    """Set top-level keys of a YAML file; None removes one."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        if value is None:
            content.pop(key, None)
        else:
            content[key] = json.loads(json.dumps(value))
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
