"""The dataset of speech-to-unit translation with text multitasks."""

import logging
from pathlib import Path
from typing import Any

import torch
from fairseq.data import ConcatDataset, Dictionary, FairseqDataset, data_utils
from fairseq.data.audio.speech_to_speech_dataset import SpeechToSpeechMultitaskDataset
from fairseq.data.audio.speech_to_text_dataset import TextTargetMultitaskData
from torch import Tensor

from echostream.data.data_config import SpeechDataConfig, TextTaskConfig
from echostream.data.manifest import ManifestError, read_speech_manifest, read_text_targets
from echostream.data.source_features import load_source_features

logger = logging.getLogger(__name__)


class TextTargets(TextTargetMultitaskData):
    """Text targets of one multitask; every id of the manifest has one.

    Args:
        config: the multitask's configuration.
        split: names the TSV in `config.data`.
        ids: ids of the manifest.
        manifest: the manifest, for error messages.
    """

    def __init__(self, config: TextTaskConfig, split: str, ids: list[str], manifest: Path) -> None:
        self.path = Path(config.data) / f"{split}.tsv"
        self.data = read_text_targets(self.path, ids, manifest)
        self.dict = config.tgt_dict
        self.append_eos = config.decoder_type != "ctc"
        self.pre_tokenizer = self.build_tokenizer(config)
        self.bpe_tokenizer = self.build_bpe(config)
        self.prepend_bos_and_append_tgt_lang_tag = config.prepend_bos_and_append_tgt_lang_tag
        self.eos_token = config.eos_token
        self.lang_tag_mapping = config.get_lang_tag_mapping
        self._check_vocabulary(config.dict_path)

    def _check_vocabulary(self, dictionary_path: Path) -> None:
        """Unknown pieces are legitimate (rare characters), a text of nothing else is a wrong dictionary."""
        total = unknown = 0
        example = ""
        for sample_id in self.data:
            pieces = self.get_tokenized_tgt_text(sample_id).split()
            bad = [piece for piece in pieces if piece not in self.dict]
            total += len(pieces)
            unknown += len(bad)
            example = example or (f"{bad[0]!r} of id {sample_id!r}" if bad else "")
        if unknown == total:
            raise ManifestError(
                f"{self.path}: no piece is in the dictionary {dictionary_path}: first {example}"
            )
        if unknown:
            logger.warning(f"{self.path}: {unknown} of {total} pieces are unknown, the first is {example}")

    def get(self, sample_id: str, tgt_lang: str | None = None) -> Tensor:
        """Target tokens of one utterance."""
        if sample_id not in self.data:
            raise ManifestError(f"{self.path}: no row for id {sample_id!r}")
        target: Tensor = super().get(sample_id, tgt_lang)
        return target


class SpeechToUnitDataset(SpeechToSpeechMultitaskDataset):
    """fairseq's dataset, reading audio of any rate and channel count without sox or torchaudio.

    Random transforms depend on the seed, the epoch and the utterance alone, so that a resumed training and
    any number of loader processes see the same features.

    Args:
        seed: of the random transforms.
        arguments: fairseq's.
    """

    def __init__(self, seed: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.seed = seed
        # In shared memory: loader processes that live on through the epochs hold copies of this object.
        self._epoch = torch.ones((), dtype=torch.long).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Called by fairseq before each epoch."""
        super().set_epoch(epoch)
        self._epoch.fill_(epoch)

    def _get_source_audio(self, index: int) -> Tensor:
        with data_utils.numpy_seed(self.seed, int(self._epoch), int(index)):
            features = load_source_features(self.audio_paths[index], self.waveform_transforms)
            if self.feature_transforms is not None:
                features = self.feature_transforms(features)
        return torch.from_numpy(features).float()


def load_speech_dataset(
    data_folder: Path,
    data_config: SpeechDataConfig,
    splits: str,
    *,
    is_train_split: bool,
    dictionary: Dictionary,
    text_tasks: dict[str, TextTaskConfig],
    seed: int = 1,
) -> FairseqDataset:
    """Build the dataset of one or more splits, with every manifest row checked.

    Args:
        data_folder: holds `<split>.tsv`.
        data_config: features, transforms and audio_root.
        splits: names separated by commas.
        is_train_split: use the training transforms, and shuffle if configured.
        dictionary: the unit dictionary.
        text_tasks: the multitasks by name.
        seed: of the random transforms.
    Returns:
        A dataset of fairseq's speech-to-speech samples with a `multitask` entry.
    Raises:
        ManifestError: for a bad manifest.
    """
    datasets = [
        _load_split(data_folder, data_config, split, is_train_split, dictionary, text_tasks, seed)
        for split in splits.split(",")
    ]
    return ConcatDataset(datasets) if len(datasets) > 1 else datasets[0]


def _load_split(
    data_folder: Path,
    data_config: SpeechDataConfig,
    split: str,
    is_train_split: bool,
    dictionary: Dictionary,
    text_tasks: dict[str, TextTaskConfig],
    seed: int,
) -> SpeechToUnitDataset:
    manifest = data_folder / f"{split}.tsv"
    samples = read_speech_manifest(manifest, data_config.audio_folder(data_folder), dictionary)
    ids = [sample.id for sample in samples]
    arguments: dict[str, Any] = {
        "split": split,
        "is_train_split": is_train_split,
        "data_cfg": data_config,
        "src_audio_paths": [sample.src_audio for sample in samples],
        "src_n_frames": [sample.src_num_frames for sample in samples],
        "tgt_audio_paths": [sample.units for sample in samples],
        "tgt_n_frames": [sample.num_units for sample in samples],
        "src_langs": [sample.src_lang for sample in samples],
        "tgt_langs": [sample.tgt_lang for sample in samples],
        "ids": ids,
        "target_is_code": True,
        "tgt_dict": dictionary,
        "n_frames_per_step": 1,
    }
    dataset = SpeechToUnitDataset(seed, **arguments)
    for name, config in text_tasks.items():
        dataset.add_multitask_dataset(name, TextTargets(config, split, ids, manifest))
    return dataset
