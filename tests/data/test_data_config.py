"""Paths of configuration files are relative to the file; what cannot be honoured is an error."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from echostream.data.data_config import (
    DataConfigError,
    MissingConfigError,
    SpeechDataConfig,
    TextTasksConfig,
)
from tests.data.tiny_corpus import TinyCorpus, build, edit_yaml


@pytest.fixture
def corpus(tmp_path: Path) -> TinyCorpus:
    return build(tmp_path / "corpus")


def test_paths_are_relative_to_the_file(
    corpus: TinyCorpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # fairseq would take these files of the working directory first
    shutil.copytree(corpus.root / "tgt_unigram", tmp_path / "tgt_unigram")
    np.savez(tmp_path / "gcmvn.npz", mean=np.zeros(80), std=np.ones(80))
    data = SpeechDataConfig(Path("corpus/config.yaml"))
    assert data.global_cmvn_stats_npz == "corpus/gcmvn.npz"
    assert data.audio_folder(Path("elsewhere")) == Path("corpus")
    assert data.vocoder["checkpoint"] == "corpus/vocoder.pt"
    tasks = TextTasksConfig(Path("corpus/config_mtl.yaml"))
    assert tasks.get_single_task("target_unigram").data == "corpus/tgt_unigram"
    assert len(tasks.get_single_task("target_unigram").tgt_dict) == 4 + 11
    assert tasks.first_pass_decoder_task_index == 0


def test_absolute_paths_stay(corpus: TinyCorpus) -> None:
    edit_yaml(corpus.root / "config.yaml", {"audio_root": "/data/audio"})
    assert SpeechDataConfig(corpus.root / "config.yaml").audio_folder(Path("x")) == Path("/data/audio")


def test_without_audio_root_paths_start_at_the_manifest(corpus: TinyCorpus) -> None:
    edit_yaml(corpus.root / "config.yaml", {"audio_root": None})
    assert SpeechDataConfig(corpus.root / "config.yaml").audio_folder(Path("manifests")) == Path("manifests")


def test_both_names_of_transforms(corpus: TinyCorpus) -> None:
    path = corpus.root / "config.yaml"
    old = SpeechDataConfig(path)
    edit_yaml(path, {"transforms": None, "feature_transforms": old.config["transforms"]})
    new = SpeechDataConfig(path)
    for config in (old, new):
        assert config.transform_names() == {"global_cmvn", "specaugment"}
        train = config.get_feature_transforms("train", True)["feature_transforms"]
        assert train == ["global_cmvn", "specaugment"]
        assert config.get_feature_transforms("dev", False)["feature_transforms"] == ["global_cmvn"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"global_cmvn": {"stats_npz_path": "none.npz"}},
            r"global_cmvn: .*none\.npz: no such global CMVN file",
        ),
        ({"global_cmvn": {"stats_npz_path": "train.tsv"}}, r"global_cmvn: .*train\.tsv: not an npz file"),
        ({"global_cmvn": None}, "the transform global_cmvn needs global_cmvn: stats_npz_path"),
        ({"global_cmvn": {}}, "stats_npz_path must be a path"),
        ({"input_feat_per_channel": 40}, "input_feat_per_channel must be 80 here, not 40"),
        ({"use_audio_input": True}, "use_audio_input must be False"),
        ({"sample_rate": 48000}, "sample_rate must be 16000"),
        ({"transforms": {"_train": ["delta_deltas"]}}, "delta_deltas"),
        ({"transforms": ["global_cmvn"]}, "transforms must map splits"),
        ({"audio_root": 5}, "audio_root must be a path"),
    ],
)
def test_bad_data_config(corpus: TinyCorpus, changes: dict[str, object], message: str) -> None:
    path = corpus.root / "config.yaml"
    edit_yaml(path, changes)
    with pytest.raises(DataConfigError, match=message) as caught:
        SpeechDataConfig(path).audio_folder(corpus.root)
    assert str(path) in str(caught.value)


def test_keys_of_others_are_left_alone(corpus: TinyCorpus) -> None:
    path = corpus.root / "config.yaml"
    edit_yaml(path, {"echostream": {"segment_length": 4}, "hub": {"x": "y"}})
    assert SpeechDataConfig(path).config["echostream"] == {"segment_length": 4}


def test_missing_and_broken_yaml(corpus: TinyCorpus) -> None:
    with pytest.raises(MissingConfigError, match=r"none\.yaml: no such configuration file") as caught:
        SpeechDataConfig(corpus.root / "none.yaml")
    assert isinstance(caught.value, FileNotFoundError)
    (corpus.root / "config.yaml").write_text("a: [1,\n", encoding="utf-8")
    with pytest.raises(DataConfigError, match="not valid YAML"):
        SpeechDataConfig(corpus.root / "config.yaml")
    (corpus.root / "config.yaml").write_text("- a\n", encoding="utf-8")
    with pytest.raises(DataConfigError, match="must hold a mapping"):
        SpeechDataConfig(corpus.root / "config.yaml")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"dict": "none.txt", "data": "tgt_unigram"}, r"extra: dict: no such dictionary: .*none\.txt"),
        ({"data": "tgt_unigram"}, "extra: dict must be a path"),
        ({"dict": "tgt_unigram/dict.txt", "data": "none"}, "extra: data: no such folder"),
        (
            {"dict": "tgt_unigram/dict.txt", "data": "tgt_unigram", "decoder_type": "rnn"},
            "decoder_type must be",
        ),
        ({"dict": "train.tsv", "data": "tgt_unigram"}, "not a fairseq dictionary"),
        ("text", "extra must hold a mapping"),
    ],
)
def test_bad_multitask_config(corpus: TinyCorpus, section: object, message: str) -> None:
    path = corpus.root / "config_mtl.yaml"
    edit_yaml(path, {"extra": section})
    with pytest.raises(DataConfigError, match=message):
        TextTasksConfig(path)


def test_a_first_pass_decoder_is_needed(corpus: TinyCorpus) -> None:
    path = corpus.root / "config_mtl.yaml"
    edit_yaml(path, {"target_unigram": None})
    with pytest.raises(DataConfigError, match="no first-pass text decoder"):
        TextTasksConfig(path)
