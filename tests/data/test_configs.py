"""The committed configuration files can be used as they are, from any folder."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from echostream.data.data_config import SpeechDataConfig, TextTasksConfig
from echostream.models.echostream_config import ENCODER_DEFAULTS, read_encoder_block

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "fr-en"


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    for path in CONFIGS.glob("*.yaml"):
        shutil.copy(path, tmp_path)
    np.savez(tmp_path / "gcmvn.npz", mean=np.zeros(80), std=np.ones(80))
    for folder in ("src_unigram6000", "tgt_unigram6000"):  # the public files' names
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "spm_unigram_fr.txt").write_text("▁a 1\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_no_absolute_path(path: Path) -> None:
    def strings(value: object) -> list[str]:
        if isinstance(value, dict):
            return [text for item in value.values() for text in strings(item)]
        if isinstance(value, list):
            return [text for item in value for text in strings(item)]
        return [value] if isinstance(value, str) else []

    found = strings(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert found
    assert not [text for text in found if text.startswith(("/", "~")) or ".." in text]


@pytest.mark.parametrize("name", ["config_gcmvn.yaml", "config_echostream.yaml"])
def test_data_configs(data_folder: Path, name: str) -> None:
    config = SpeechDataConfig(data_folder / name)
    assert config.audio_folder(Path("x")) == data_folder
    assert config.global_cmvn_stats_npz == (data_folder / "gcmvn.npz").as_posix()
    assert config.vocoder["checkpoint"] == (data_folder / "vocoder" / "g_00500000").as_posix()
    transforms = config.get_feature_transforms("train", True)["feature_transforms"]
    assert transforms == ["global_cmvn", "specaugment"]
    assert config.get_feature_transforms("test", False)["feature_transforms"] == ["global_cmvn"]


def test_encoder_block_is_the_base_preset() -> None:
    block = read_encoder_block(CONFIGS / "config_echostream.yaml")
    assert block
    assert {name: ENCODER_DEFAULTS[name] for name in block} == block
    assert read_encoder_block(CONFIGS / "config_gcmvn.yaml") == {}


def test_multitask_configs(data_folder: Path) -> None:
    tasks = TextTasksConfig(data_folder / "config_mtl_asr_st_ctcst.yaml")
    weights = {name: task.get_loss_weight(0) for name, task in tasks.get_all_tasks().items()}
    assert weights == {"target_unigram": 8.0, "source_unigram": 4.0, "ctc_target_unigram": 4.0}
    assert tasks.first_pass_decoder_task_index == 0
    assert list(TextTasksConfig(data_folder / "config_unity.yaml").get_all_tasks()) == ["target_unigram"]
