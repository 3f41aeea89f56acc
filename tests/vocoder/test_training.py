"""Training the unit vocoder: data, resuming, the exported checkpoint, the command line, and bad input."""

import json
import math
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch

from echostream.data.audio import AudioError
from echostream.vocoder.checkpoint import load_checkpoint_file
from echostream.vocoder.code_hifigan import CodeHiFiGANVocoder
from echostream.vocoder.config import GeneratorConfig, read_config_file
from echostream.vocoder.errors import VocoderError
from echostream.vocoder.trainer import STATE_FILE, Budget, VocoderTrainer
from echostream.vocoder.training import main
from echostream.vocoder.training_config import PRESETS, RunConfig, TrainingConfig
from echostream.vocoder.unit_audio import SegmentSampler, UnitAudioItem, load_waveform, read_unit_audio_list

HOP = 320
PITCHES_HZ = (0.0, 220.0, 330.0, 500.0)
TINY: dict[str, Any] = {
    "num_embeddings": len(PITCHES_HZ),
    "embedding_dim": 8,
    "model_in_dim": 8,
    "upsample_initial_channel": 16,
    "upsample_rates": [20, 16],
    "upsample_kernel_sizes": [40, 32],
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3, 5]],
    "code_hop_size": HOP,
    "sampling_rate": 16000,
    "dur_predictor_params": {
        "encoder_embed_dim": 8,
        "var_pred_hidden_dim": 8,
        "var_pred_kernel_size": 3,
        "var_pred_dropout": 0.1,
    },
    "training": {
        "batch_size": 2,
        "segment_frames": 8,
        "learning_rate": 0.01,
        "warmup_updates": 3,
        "mel_resolutions": [[512, 128, 20]],
        "dev_interval_updates": 5,
        "dev_utterances": 2,
    },
}
ADVERSARIAL = {
    "adversarial_from_update": 2,
    "discriminator_periods": [2, 3],
    "discriminator_scales": 1,
    "discriminator_channels": 1,
}


def with_training(**changes: Any) -> dict[str, Any]:
    return {**TINY, "training": {**TINY["training"], **changes}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Utterances of tones: unit u is a tone of its own pitch and lasts u + 2 frames."""
    root = tmp_path_factory.mktemp("data")
    (root / "vocoder").mkdir()
    (root / "wav").mkdir()
    rng = np.random.default_rng(0)
    lines = []
    for index in range(6):
        units = [int(unit) for unit in rng.permutation(4)]
        code = [unit for unit in units for _ in range(unit + 2)]
        time = np.arange(HOP) / 16000
        tones = [0.3 * np.sin(2 * np.pi * PITCHES_HZ[unit] * time) for unit in code]
        sf.write(root / "wav" / f"{index}.wav", np.concatenate(tones), 16000)
        entry = {"audio": f"wav/{index}.wav", "code": " ".join(map(str, code)), "duration": len(code) * 0.02}
        lines.append(json.dumps(entry))
    (root / "vocoder" / "train.jsonl").write_text("\n".join(lines[:4]) + "\n")
    (root / "vocoder" / "dev.jsonl").write_text("\n".join(lines[4:]) + "\n")
    return root


def trainer(data: Path, output: Path, config: dict[str, Any] = TINY, seed: int = 1) -> VocoderTrainer:
    run = RunConfig.from_dict(config)
    train, dev = (
        read_unit_audio_list(data / "vocoder" / f"{s}.jsonl", run.generator) for s in ("train", "dev")
    )
    return VocoderTrainer(run, train, dev, output, seed=seed)


def read_log(output: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]


def weights(output: Path, update: int) -> dict[str, torch.Tensor]:
    generator = load_checkpoint_file(output / f"g_{update:08d}")["generator"]
    assert isinstance(generator, dict)
    return generator


def test_training_lowers_both_errors_and_learns_the_durations(data: Path, tmp_path: Path) -> None:
    job = trainer(data, tmp_path)
    before = job.evaluate()
    path = job.train(Budget(40))
    log = read_log(tmp_path)
    assert [entry["update"] for entry in log] == list(range(5, 41, 5))
    assert log[-1]["dev_mel_l1"] < 0.6 * before["dev_mel_l1"]
    assert log[-1]["dev_duration_error_frames"] < 0.7 * before["dev_duration_error_frames"]
    assert log[-1]["train_mel"] < log[0]["train_mel"]
    assert path == tmp_path / "g_00000040"


def test_exported_checkpoint_is_in_the_public_format(data: Path, tmp_path: Path) -> None:
    path = trainer(data, tmp_path).train(Budget(3))
    config = read_config_file(tmp_path / "config.json")
    assert "training" not in config
    vocoder = CodeHiFiGANVocoder(path, config)
    waveform, durations = vocoder({"code": torch.tensor([[0, 1, 2]])}, dur_prediction=True)
    assert waveform.shape == (int(durations.sum()) * HOP,)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fairseq.models.text_to_speech.codehifigan import CodeGenerator as FairseqGenerator

        reference = FairseqGenerator(config)
        reference.load_state_dict(load_checkpoint_file(path)["generator"])
    code = torch.tensor([[0, 0, 3, 1]])
    expected = reference.eval()(code=code).flatten()
    torch.testing.assert_close(vocoder({"code": code})[0], expected.detach(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("training", [{}, ADVERSARIAL])
def test_resumed_run_equals_unbroken_run(data: Path, tmp_path: Path, training: dict[str, Any]) -> None:
    config, budget = with_training(dev_interval_updates=4, **training), Budget(8)
    trainer(data, tmp_path / "whole", config).train(budget)
    first = trainer(data, tmp_path / "parts", config)
    for _ in range(4):
        first._set_learning_rate(budget)
        first.train_update()
    first.save()
    second = trainer(data, tmp_path / "parts", config)
    assert second.update == 4
    second.train(budget)
    whole, parts = weights(tmp_path / "whole", 8), weights(tmp_path / "parts", 8)
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_seed_decides_the_run(data: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        trainer(data, tmp_path / name, seed=seed).train(Budget(2))
    a, b, c = (weights(tmp_path / name, 2) for name in "abc")
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not torch.equal(a["conv_pre.weight_v"], c["conv_pre.weight_v"])


def test_finished_run_is_not_trained_again(data: Path, tmp_path: Path) -> None:
    path = trainer(data, tmp_path).train(Budget(5))
    again = trainer(data, tmp_path).train(Budget(5))
    assert again == path
    assert again.is_file()
    assert len(read_log(tmp_path)) == 1


def test_adversarial_losses_join_at_their_update(data: Path, tmp_path: Path) -> None:
    job = trainer(data, tmp_path, with_training(**ADVERSARIAL))
    names = [sorted(job.train_update()) for _ in range(4)]
    plain = ["duration", "mel"]
    assert names == [plain, plain, *[["adversarial", "discriminator", "duration", "features", "mel"]] * 2]


def test_generator_losses_leave_the_discriminators_alone(data: Path, tmp_path: Path) -> None:
    job = trainer(data, tmp_path, with_training(**{**ADVERSARIAL, "adversarial_from_update": 0}))
    job.run = RunConfig.from_dict(
        with_training(**{**ADVERSARIAL, "adversarial_from_update": 0, "discriminator_learning_rate": 0.0})
    )
    assert job.discriminators is not None
    assert job.discriminator_optimizer is not None
    for group in job.discriminator_optimizer.param_groups:
        group["lr"] = 0.0
    before = {key: value.clone() for key, value in job.discriminators.state_dict().items()}
    job.train_update()
    assert all(torch.equal(before[key], value) for key, value in job.discriminators.state_dict().items())


def test_only_the_newest_exports_are_kept(data: Path, tmp_path: Path) -> None:
    trainer(data, tmp_path, with_training(dev_interval_updates=1, kept_exports=2)).train(Budget(4))
    names = sorted(path.name for path in tmp_path.iterdir())
    newest = load_checkpoint_file(tmp_path / "checkpoint.pt")["generator"]
    assert all(torch.equal(newest[key], tensor) for key, tensor in weights(tmp_path, 4).items())
    assert names == ["checkpoint.pt", "config.json", "g_00000003", "g_00000004", "log.jsonl", STATE_FILE]


def test_minutes_end_a_run(data: Path, tmp_path: Path) -> None:
    job = trainer(data, tmp_path)
    job.train(Budget(10_000, max_minutes=0.005))
    assert 1 <= job.update < 1000
    assert job.seconds >= 0.3
    assert Budget(100, 2.0).progress(25, 60.0) == 0.5
    assert Budget(100, 2.0).progress(75, 60.0) == 0.75


def test_learning_rate_rises_and_falls(data: Path, tmp_path: Path) -> None:
    job = trainer(data, tmp_path)
    rates = []
    for update in range(100):
        job.update = update
        rates.append(job._set_learning_rate(Budget(100)))
    assert rates[0] == pytest.approx(0.01 / 3, rel=1e-3)
    assert rates.index(max(rates)) == 2
    assert all(before > after for before, after in pairwise(rates[2:]))
    assert rates[-1] == pytest.approx(0.01 * TrainingConfig().final_learning_rate, rel=0.02)


def test_state_of_another_run_is_refused(data: Path, tmp_path: Path) -> None:
    trainer(data, tmp_path).train(Budget(1))
    with pytest.raises(VocoderError, match="another config or seed"):
        trainer(data, tmp_path, seed=2)
    with pytest.raises(VocoderError, match="another config or seed"):
        trainer(data, tmp_path, with_training(batch_size=3))
    (tmp_path / STATE_FILE).write_bytes(b"broken")
    with pytest.raises(VocoderError, match=r"state\.pt"):
        trainer(data, tmp_path)


def test_loss_that_is_not_finite_stops_the_run(data: Path, tmp_path: Path) -> None:
    job = trainer(data, tmp_path)
    with torch.no_grad():
        job.generator.conv_post.bias.fill_(math.nan)
    with pytest.raises(VocoderError, match="not finite at update 0"):
        job.train_update()


def test_segments_pair_units_with_their_samples(data: Path) -> None:
    config = GeneratorConfig.from_dict(TINY)
    items = read_unit_audio_list(data / "vocoder" / "train.jsonl", config)
    sampler = SegmentSampler(items, config, 6)
    batch = sampler.draw(16, torch.Generator().manual_seed(0))
    assert batch.code.shape == (16, 6)
    assert batch.waveform.shape == (16, 1, 6 * HOP)
    assert len({tuple(row) for row in batch.code.tolist()}) > 4
    time = torch.arange(HOP) / 16000
    for row, waveform in zip(batch.code, batch.waveform, strict=True):
        tones = [0.3 * torch.sin(2 * math.pi * PITCHES_HZ[int(unit)] * time) for unit in row]
        torch.testing.assert_close(waveform[0], torch.cat(tones), rtol=0, atol=1e-3)


def test_reduced_units_and_counts() -> None:
    units, counts = UnitAudioItem(Path("a.wav"), torch.tensor([3, 3, 1, 3, 3, 3])).reduced()
    assert units.tolist() == [3, 1, 3]
    assert counts.tolist() == [2, 1, 3]


def test_sampler_leaves_out_what_is_too_short(data: Path) -> None:
    config = GeneratorConfig.from_dict(TINY)
    items = read_unit_audio_list(data / "vocoder" / "train.jsonl", config)
    short = UnitAudioItem(items[0].audio, items[0].code[:4])
    assert SegmentSampler([short, items[1]], config, 8).items == [items[1]]
    with pytest.raises(VocoderError, match=r"the longest has 4.*lower 'segment_frames'"):
        SegmentSampler([short], config, 8)


def test_units_of_another_recording_are_refused(data: Path) -> None:
    config = GeneratorConfig.from_dict(TINY)
    item = read_unit_audio_list(data / "vocoder" / "train.jsonl", config)[0]
    code, samples = load_waveform(UnitAudioItem(item.audio, item.code[:-3]), config)
    assert len(samples) == len(code) * HOP
    with pytest.raises(VocoderError, match="must be of this recording"):
        load_waveform(UnitAudioItem(item.audio, item.code[:-4]), config)


def test_empty_recording_is_refused(tmp_path: Path) -> None:
    sf.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    with pytest.raises(AudioError, match=r"empty\.wav"):
        load_waveform(
            UnitAudioItem(tmp_path / "empty.wav", torch.tensor([1])), GeneratorConfig.from_dict(TINY)
        )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 is not JSON"),
        ("[]", "line 2 must be an object"),
        ('{"code": "1"}', "line 2 must be an object"),
        ('{"audio": "wav/0.wav"}', '"code" is empty'),
        ('{"audio": "wav/0.wav", "code": "1 x"}', '"code" must be integers'),
        ('{"audio": "wav/0.wav", "code": "1 4"}', "unit 4 is outside 0 to 3"),
        ('{"audio": "wav/0.wav", "code": "-1 2"}', "unit -1 is outside"),
    ],
)
def test_bad_line_is_named(data: Path, tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "list.jsonl"
    path.write_text('{"audio": "wav/0.wav", "code": "1 2"}\n' + line + "\n")
    with pytest.raises(VocoderError, match=message):
        read_unit_audio_list(path, GeneratorConfig.from_dict(TINY), data)


def test_missing_files_are_named(data: Path, tmp_path: Path) -> None:
    config = GeneratorConfig.from_dict(TINY)
    with pytest.raises(FileNotFoundError, match=r"none\.jsonl"):
        read_unit_audio_list(tmp_path / "none.jsonl", config)
    path = tmp_path / "list.jsonl"
    path.write_text("\n")
    with pytest.raises(VocoderError, match="is empty"):
        read_unit_audio_list(path, config)
    path.write_text('{"audio": "wav/none.wav", "code": "1"}\n')
    with pytest.raises(FileNotFoundError, match=r"line 1: recording not found: .*none\.wav"):
        read_unit_audio_list(path, config, data)


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"batchsize": 3}, r"unknown keys \['batchsize'\]"),
        ({"batch_size": 0}, "'batch_size' must be at least 1"),
        ({"batch_size": 2.5}, "'batch_size' must be int"),
        ({"learning_rate": "fast"}, "'learning_rate' must be float"),
        ({"learning_rate": -1.0}, "'learning_rate' must be float >= 0"),
        ({"mel_resolutions": [[512, 128]]}, "'mel_resolutions' must be"),
        ({"mel_resolutions": 3}, "'mel_resolutions' must be a list"),
        ({"mel_resolutions": [[4096, 128, 20]]}, "raise 'segment_frames'"),
        ({"discriminator_periods": 3}, "'discriminator_periods' must be a list"),
        (
            {"adversarial_from_update": 1, "discriminator_periods": [], "discriminator_scales": 0},
            "needs periods or scales",
        ),
    ],
)
def test_bad_training_settings_are_refused(training: dict[str, Any], message: str) -> None:
    with pytest.raises(VocoderError, match=message):
        RunConfig.from_dict(with_training(**training))


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_presets_are_complete_but_for_the_number_of_units(preset: str) -> None:
    with pytest.raises(VocoderError, match="'num_embeddings' is missing"):
        RunConfig.from_dict({}, preset)
    run = RunConfig.from_dict({"num_embeddings": 77, "training": {"batch_size": 3}}, preset)
    assert run.generator.num_embeddings == 77
    assert run.generator.code_hop_samples == HOP
    assert run.training.batch_size == 3
    default = TrainingConfig.from_dict(PRESETS[preset]["training"])
    assert run.training.learning_rate == default.learning_rate
    with pytest.raises(VocoderError, match="unknown vocoder preset"):
        RunConfig.from_dict({}, "huge")


def test_command_line_trains_and_resumes(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "cfg.json"
    config.write_text(json.dumps(without_units(TINY)))
    lists = ["--train", str(data / "vocoder" / "train.jsonl"), "--dev", str(data / "vocoder" / "dev.jsonl")]
    common = [*lists, "--config", str(config), "--output", str(tmp_path / "run"), "--num-embeddings", "4"]
    assert main([*common, "--max-updates", "5"]) == 0
    printed = capsys.readouterr().out
    assert "update 5" in printed
    assert str(tmp_path / "run" / "g_00000005") in printed
    assert main([*common, "--max-updates", "8"]) == 0
    assert [entry["update"] for entry in read_log(tmp_path / "run")] == [5, 8]
    vocoder = CodeHiFiGANVocoder(
        tmp_path / "run" / "g_00000008", read_config_file(tmp_path / "run" / "config.json")
    )
    assert vocoder.num_embeddings == 4
    assert main([*common, "--max-updates", "8", "--seed", "2"]) == 1
    assert main([*lists, "--config", str(tmp_path / "none.json"), "--output", str(tmp_path / "other")]) == 1
    assert main([*lists, "--config", str(config), "--output", str(tmp_path / "other")]) == 1
    assert not (tmp_path / "other").exists()
    assert "none.json" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*lists, "--output", str(tmp_path / "other")])
    assert "--preset, --config, or both" in capsys.readouterr().err


def without_units(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != "num_embeddings"}
