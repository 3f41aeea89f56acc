"""A checkpoint of the public size, saved as public StreamSpeech is: it loads, streams and warm-starts."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simuleval.cli
import simuleval.utils.agent
import soundfile
import torch
import yaml
from fairseq import options, tasks
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from omegaconf import OmegaConf

import echostream.criterions
import echostream.models
import echostream.tasks  # noqa: F401
from echostream import compat, convert
from echostream.models import CheckpointMismatchError
from echostream.models.checkpoint_fit import check_fits
from echostream.models.interop.public_layout import PUBLIC_ARGUMENTS, public_weights
from tests.data.golden.fill_weights import fill
from tests.inference.fakes import noise
from tests.inference.tiny_checkpoint import write_vocoder
from tests.models.test_streamspeech_golden import PUBLIC_TASKS
from tests.models.tiny_models import build, fake_task

ROOT = Path(__file__).resolve().parents[2]
AUTHOR = "/home/author/StreamSpeech"
NUM_UNITS = 1000
AGENTS: dict[str, list[str]] = {
    "speech_to_speech": ["--dur-prediction"],
    "speech_to_text.s2tt": [],
    "speech_to_text.asr": [],
}


def public_flags() -> list[str]:
    """The model flags of the public training script."""
    words = []
    for name, value in PUBLIC_ARGUMENTS.items():
        flag = "--" + name.replace("_", "-")
        words += [flag] if value is True else [flag, str(value)]
    return words


def write_public_data(folder: Path) -> None:
    """Dictionaries of the public sizes and the public YAML files, with the authors' paths."""
    dictionary = "".join(f"▁word{index} 1\n" for index in range(5996))
    for side in ("src", "tgt"):
        (folder / f"{side}_unigram6000").mkdir(parents=True)
        (folder / f"{side}_unigram6000" / "spm_unigram_fr.txt").write_text(dictionary, encoding="utf-8")
    np.savez(folder / "gcmvn.npz", mean=np.full(80, 8.0), std=np.full(80, 2.0))
    config = {
        "global_cmvn": {"stats_npz_path": f"{AUTHOR}/configs/fr-en/gcmvn.npz"},
        "transforms": {"*": ["global_cmvn"], "_train": ["global_cmvn", "specaugment"]},
        "vocoder": {
            "type": "code_hifigan",
            "checkpoint": f"{AUTHOR}/g_00500000",
            "config": f"{AUTHOR}/v.json",
        },
    }
    (folder / "config_gcmvn.yaml").write_text(yaml.safe_dump(config))
    multitask: dict[str, Any] = {}
    for name, side, kind in (
        ("target_unigram", "tgt", "transformer"),
        ("source_unigram", "src", "ctc"),
        ("ctc_target_unigram", "tgt", "ctc"),
    ):
        path = f"{AUTHOR}/configs/fr-en/{side}_unigram6000"
        sizes = {"decoder_layers": 4 if kind == "transformer" else 0, "decoder_embed_dim": 512}
        sizes |= {"decoder_ffn_embed_dim": 2048, "decoder_attention_heads": 8}
        multitask[name] = {"decoder_type": kind, "dict": f"{path}/spm_unigram_fr.txt", "data": path}
        multitask[name] |= {"loss_weight": 4.0, "decoder_args": sizes}
    (folder / "config_mtl_asr_st_ctcst.yaml").write_text(yaml.safe_dump(multitask))


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with what the authors publish, fr-en/ and public.pt, a vocoder, and what was made of them:
    data/ by `configs`, model.pt by `rewrite`. The checkpoints are removed at the end, since they take room.
    """
    compat.apply()
    folder = tmp_path_factory.mktemp("interop")
    write_public_data(folder / "fr-en")
    vocoder, vocoder_config = write_vocoder(folder, NUM_UNITS)
    command = ["configs", str(folder / "fr-en"), str(folder / "data")]
    convert.main([*command, "--vocoder", str(vocoder), "--vocoder-cfg", str(vocoder_config)])
    save_public_checkpoint(folder / "public.pt", folder / "data")
    command = ["rewrite", str(folder / "public.pt"), str(folder / "model.pt")]
    convert.main([*command, "--data", str(folder / "data")])
    yield folder
    for name in ("public.pt", "model.pt"):
        (folder / name).unlink()


def save_public_checkpoint(path: Path, data: Path) -> None:
    """Weights by a rule, in the form in which fairseq-train saves, with the authors' paths."""
    command = [str(data), "--arch", "streamspeech", "--task", "speech_to_speech_ctc", *public_flags()]
    command += ["--target-is-code", "--target-code-size", str(NUM_UNITS), "--vocoder", "code_hifigan"]
    command += ["--criterion", "speech_to_unit_2pass_ctc_asr_st", "--config-yaml", "config_gcmvn.yaml"]
    command += ["--multitask-config-yaml", "config_mtl_asr_st_ctcst.yaml"]
    cfg = convert_namespace_to_omegaconf(options.parse_args_and_arch(options.get_training_parser(), command))
    model = tasks.setup_task(cfg.task).build_model(cfg.model)
    fill(model)
    stored = OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)
    assert isinstance(stored, dict)
    for section in ("model", "task"):
        settings: dict[str, Any] = stored[section].__dict__
        settings["data"] = f"{AUTHOR}/data/fr-en/fbank2unit"
        settings["user_dir"] = "researches/ctc_unity"
        settings["save_dir"] = f"{AUTHOR}/checkpoints/streamspeech.simul-s2st.fr-en"
        for ours in ("constant_unit_positions", "mt_decoder_dropout", "gen_chunk_size"):
            settings.pop(ours, None)  # public checkpoints do not know these
    history = {"criterion_name": "", "optimizer_name": "FairseqAdam", "lr_scheduler_state": {}}
    state = {
        "args": None,
        "cfg": stored,
        "model": model.state_dict(),
        "criterion": {},
        "optimizer_history": [{**history, "num_updates": 80000}],
        "task_state": {},
        "extra_state": {"train_iterator": {"epoch": 40}, "val_loss": None},
    }
    torch.save(state, path)


def test_inspect_knows_it(public: Path, capsys: pytest.CaptureFixture[str]) -> None:
    convert.main(["inspect", str(public / "public.pt")])
    printed = capsys.readouterr().out
    assert "all 654 names and shapes are those of public StreamSpeech" in printed
    assert "updates: 80000, epoch: 40" in printed
    assert "target_unigram_decoder: 6000" in printed
    assert f"cfg.model.data = {AUTHOR}/data/fr-en/fbank2unit  (not on this machine)" in printed


def test_another_checkpoint_is_refused_with_a_list_that_can_be_read() -> None:
    expected = public_weights()
    found = {
        name: value for name, value in expected.items() if not name.startswith("encoder.conformer_layers.11.")
    }
    for index in range(400):
        found[f"encoder.w2v.layers.{index // 4}.part{index % 4}"] = torch.zeros(1)
    for name, value in expected.items():
        if name.startswith("decoder.layers."):
            found[name] = value.new_empty((*value.shape, 2))
    with pytest.raises(CheckpointMismatchError) as caught:
        check_fits(expected, found)
    message = str(caught.value)
    assert "missing: 37\n    encoder.conformer_layers.11.*  (37 names)" in message
    assert "unexpected: 400\n    encoder.w2v.*  (400 names)" in message
    shape = "expected [512, 512], found [512, 512, 2]"
    assert f"decoder.layers.{{0-1}}.self_attn.k_proj.weight: {shape}  (2 names)" in message
    assert len(message.splitlines()) < 30


def test_it_warm_starts_echostream(public: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        model = build(
            "echostream",
            fake_task(PUBLIC_TASKS, text_entries=6000, unit_entries=1005),
            load_pretrained_streamspeech_from=str(public / "public.pt"),
            conv_version="s2t_transformer",
            input_projection=True,
        )
    assert "warm start from" in caplog.text
    plan = "0 <- 0, 1 <- 1, 2 <- 2, 3 put in, 4 <- 3, 5 <- 4, 6 <- 5, 7 put in, 8 <- 6"
    assert f"encoder layers: {plan}" in caplog.text
    stays = caplog.text.split("stays random", 1)[1].split("not used", 1)[0]
    assert {line.split("layers.")[1].split(".")[0] for line in stays.splitlines() if "layers." in line} == {
        "{3,7,11,15}"
    }
    assert model.encoder.linear.weight.shape == (256, 256)


@pytest.mark.parametrize("agent", AGENTS)
def test_it_streams_through_the_agents(
    agent: str, public: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "speech.wav", noise(16000), 16000)
    (tmp_path / "source.txt").write_text(f"{tmp_path / 'speech.wav'}\n")
    (tmp_path / "target.txt").write_text("▁word1 ▁word2\n")
    command = ["simuleval", "--agent", str(ROOT / "agent" / f"{agent}.echostream.agent.py")]
    command += ["--model-path", str(public / "model.pt"), "--data-bin", str(public / "data")]
    command += ["--source", str(tmp_path / "source.txt"), "--target", str(tmp_path / "target.txt")]
    command += ["--source-segment-size", "320", "--latency-metrics", "AL", "--max-len", "20"]
    command += ["--output", str(tmp_path / "output"), "--no-progress-bar", *AGENTS[agent]]
    monkeypatch.setattr("sys.argv", command)
    simuleval.utils.agent.EVALUATION_SYSTEM_LIST.clear()
    simuleval.cli.main()
    (line,) = (tmp_path / "output" / "instances.log").read_text().splitlines()
    instance = json.loads(line)
    assert instance["prediction_length"] > 0
    assert instance["source_length"] == pytest.approx(1000)
