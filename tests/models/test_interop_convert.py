"""`echostream-convert`: what a checkpoint is, and its paths and those of YAML files made to hold here."""

import shutil
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from echostream import convert
from echostream.compat import load_checkpoint
from echostream.inference.loading import load_model
from echostream.models.interop.configuration_files import find_by_tail
from echostream.models.interop.stored_arguments import stored_arguments
from echostream.models.interop.stored_paths import stored_paths
from tests.inference.tiny_checkpoint import TinyCheckpoint, make_checkpoint

AUTHOR = "/home/author/StreamSpeech"
FOREIGN = {
    "data": f"{AUTHOR}/data/fbank2unit",
    "multitask_config_yaml": f"{AUTHOR}/configs/multitask.yaml",
    "save_dir": f"{AUTHOR}/checkpoints/simul",
    "tensorboard_logdir": f"{AUTHOR}/logs",
    "restore_file": f"{AUTHOR}/asr.pt",
    "load_pretrained_encoder_from": f"{AUTHOR}/asr.pt",
    "user_dir": "researches/ctc_unity",
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyCheckpoint:
    """A small StreamSpeech checkpoint with its authors' paths, in the form in which fairseq saves today."""
    made = make_checkpoint(tmp_path_factory.mktemp("convert"), "streamspeech")
    state = load_checkpoint(made.checkpoint)
    for settings in list(stored_arguments(state).values()):
        settings.update({name: path for name, path in FOREIGN.items() if name in settings})
    vars(state["cfg"]["model"]).update(FOREIGN)
    torch.save(state, made.checkpoint)
    return made


def edited(tiny: TinyCheckpoint, path: Path, **changes: Any) -> Path:
    """A copy of the checkpoint with other entries; None removes one."""
    state = {**load_checkpoint(tiny.checkpoint), **changes}
    torch.save({name: value for name, value in state.items() if value is not None}, path)
    return path


def test_inspect(tiny: TinyCheckpoint, capsys: pytest.CaptureFixture[str]) -> None:
    convert.main(["inspect", str(tiny.checkpoint)])
    printed = capsys.readouterr().out
    for line in (
        "architecture: streamspeech, with a Conformer encoder",
        "task: speech_to_speech_ctc, criterion: speech_to_unit_2pass_ctc_asr_st",
        "encoder_layers 2, encoder_embed_dim 16",
        "updates: 1, epoch: 1, without the optimizer's state",
        "target_unigram_decoder: 18",
        "against the 654 names and shapes of public StreamSpeech:",
        "encoder.conformer_layers.{2-11}.*  (370 names)",
        f"cfg.model.data = {FOREIGN['data']}  (not on this machine)",
    ):
        assert line in printed


def test_rewrite_lists_each_change_and_the_result_loads(
    tiny: TinyCheckpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "model.pt"
    convert.main(["rewrite", str(tiny.checkpoint), str(output), "--data", str(tiny.folder)])
    printed = capsys.readouterr().out
    assert f"cfg.model.data: {FOREIGN['data']} -> {tiny.folder}" in printed
    assert f"cfg.model.multitask_config_yaml: {FOREIGN['multitask_config_yaml']} -> multitask.yaml" in printed
    assert f"cfg.model.load_pretrained_encoder_from: {AUTHOR}/asr.pt -> (none)" in printed
    assert f"cfg.model.restore_file: {AUTHOR}/asr.pt -> checkpoint_last.pt" in printed
    assert f"{output}: streamspeech with 18 target subwords" in printed
    state = load_checkpoint(output)
    assert all(path.exists for path in stored_paths(state))
    assert not any(AUTHOR in str(settings) for settings in stored_arguments(state).values())
    assert load_model(output, data_bin=tiny.folder).arch == "streamspeech"
    weights = load_checkpoint(tiny.checkpoint)["model"]
    assert all(torch.equal(value, weights[name]) for name, value in state["model"].items())


def test_paths_of_the_authors_do_not_matter_to_the_agents(tiny: TinyCheckpoint) -> None:
    loaded = load_model(
        tiny.checkpoint,
        data_bin=tiny.folder,
        config_yaml=tiny.config_name,
        multitask_config_yaml=tiny.multitask_name,
    )
    assert loaded.arch == "streamspeech"


def test_old_and_stripped_checkpoints(
    tiny: TinyCheckpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = load_checkpoint(tiny.checkpoint)["cfg"]
    old = edited(
        tiny,
        tmp_path / "old.pt",
        args=Namespace(**{**vars(cfg["task"]), **vars(cfg["model"])}),
        cfg=None,
        optimizer_history=None,
        extra_state=None,
        task_state=None,
        last_optimizer_state={"state": {}, "param_groups": []},
    )
    convert.main(["rewrite", str(old), str(tmp_path / "new.pt"), "--data", str(tiny.folder)])
    printed = capsys.readouterr().out
    assert f"args.data: {FOREIGN['data']} -> {tiny.folder}" in printed
    assert "optimizer_history: was not there" in printed
    assert "last_optimizer_state: left out" in printed


def test_wrong_checkpoints_are_refused_and_leave_nothing(tiny: TinyCheckpoint, tmp_path: Path) -> None:
    weights = load_checkpoint(tiny.checkpoint)["model"]
    cut = {name: value for name, value in weights.items() if "conformer_layers.1." not in name}
    cut["encoder.extra.weight"] = torch.zeros(2)
    output = tmp_path / "new.pt"
    for changes, message in (
        (
            {"model": cut},
            r"(?s)names of this model.*missing: 37\n    encoder\.conformer_layers\.1\.\*.*"
            r"unexpected: 1\n    encoder\.extra\.\*",
        ),
        ({"model": None}, "not a fairseq checkpoint"),
        ({"cfg": None}, "no arguments"),
    ):
        wrong = edited(tiny, tmp_path / "wrong.pt", **changes)
        with pytest.raises(SystemExit, match=message):
            convert.main(["rewrite", str(wrong), str(output), "--data", str(tiny.folder)])
    assert {path.name for path in tmp_path.iterdir()} == {"wrong.pt"}
    with pytest.raises(SystemExit, match="exists already"):
        convert.main(["rewrite", str(tiny.checkpoint), str(tiny.checkpoint), "--data", str(tiny.folder)])
    with pytest.raises(SystemExit, match=r"none\.pt"):
        convert.main(["inspect", str(tmp_path / "none.pt")])


def test_code_in_a_checkpoint_is_refused(tiny: TinyCheckpoint, tmp_path: Path) -> None:
    evil = edited(tiny, tmp_path / "evil.pt", extra=Path("x"))
    with pytest.raises(SystemExit, match="refused, because loading it would need Python objects"):
        convert.main(["inspect", str(evil)])


def foreign_configuration(tiny: TinyCheckpoint, folder: Path) -> Path:
    """The tiny model's data folder as its authors would publish it: absolute paths of theirs."""
    folder.mkdir()
    for name in ("dict.txt", "gcmvn.npz"):
        shutil.copy(tiny.folder / name, folder / name)
    for name in (tiny.config_name, tiny.multitask_name):
        config = yaml.safe_load((tiny.folder / name).read_text())
        for section in config.values():
            for key, value in section.items():
                if key in {"stats_npz_path", "dict", "checkpoint", "config"}:
                    section[key] = f"{AUTHOR}/{folder.name}/{value}"
                elif key == "data":
                    section[key] = f"{AUTHOR}/{folder.name}"
        (folder / name).write_text(yaml.safe_dump(config))
    return folder


def test_configurations_with_the_paths_of_their_authors(
    tiny: TinyCheckpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = foreign_configuration(tiny, tmp_path / "fr-en")
    output = tmp_path / "mine"
    convert.main(
        [
            *("configs", str(folder), str(output)),
            *("--vocoder", str(tiny.vocoder), "--vocoder-cfg", str(tiny.vocoder_config)),
        ]
    )
    printed = capsys.readouterr().out
    assert (
        f"config.yaml: global_cmvn: stats_npz_path: {AUTHOR}/fr-en/gcmvn.npz -> ../fr-en/gcmvn.npz" in printed
    )
    assert f"multitask.yaml: source_unigram: data: {AUTHOR}/fr-en -> ../fr-en" in printed
    assert "not found" not in printed
    with pytest.raises(SystemExit, match=r"no such .*`echostream-convert configs .*fr-en FOLDER`"):
        convert.main(["rewrite", str(tiny.checkpoint), str(tmp_path / "new.pt"), "--data", str(folder)])
    loaded = load_model(tiny.checkpoint, data_bin=output, multitask_config_yaml="multitask.yaml")
    assert loaded.vocoder_config is not None
    assert Path(loaded.vocoder_config["checkpoint"]).samefile(tiny.vocoder)
    with pytest.raises(SystemExit, match="exists already"):
        convert.main(["configs", str(folder), str(output)])


def test_what_is_not_found_is_said(
    tiny: TinyCheckpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = foreign_configuration(tiny, tmp_path / "fr-en")
    (folder / "dict.txt").unlink()
    convert.main(["configs", str(folder), str(tmp_path / "mine")])
    printed = capsys.readouterr().out
    assert f"left as it is: multitask.yaml: target_unigram: dict: {AUTHOR}/fr-en/dict.txt" in printed
    assert f"left as it is: config.yaml: vocoder: checkpoint: {AUTHOR}/fr-en/vocoder.pt" in printed
    with pytest.raises(SystemExit, match="holds no YAML file"):
        convert.main(["configs", str(tmp_path), str(tmp_path / "other")])


def test_the_longest_end_wins(tmp_path: Path) -> None:
    for name in ("src/dict.txt", "dict.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_by_tail("/a/src/dict.txt", tmp_path) == tmp_path / "src/dict.txt"
    assert find_by_tail("/a/tgt/dict.txt", tmp_path) == tmp_path / "dict.txt"
    assert find_by_tail(f"/a/{tmp_path.name}", tmp_path) == tmp_path
    assert find_by_tail("/a/other.txt", tmp_path) is None
