"""The unit vocoder: agreement with fairseq, public checkpoints, receptive field, and bad input."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from echostream.vocoder.checkpoint import load_generator
from echostream.vocoder.code_hifigan import CodeHiFiGANVocoder
from echostream.vocoder.config import GeneratorConfig, read_config_file
from echostream.vocoder.errors import VocoderError
from echostream.vocoder.generator import CodeGenerator
from echostream.vocoder.receptive_field import duration_receptive_field_units, generator_receptive_field
from tests.vocoder.small_vocoder import SMALL, public_config, random_state, save, without

STATE_DICT_FACTS = Path(__file__).parent / "data" / "code_hifigan_state_dict.json"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return save(random_state(SMALL), tmp_path / "g_00000001")


@pytest.fixture
def vocoder(checkpoint: Path) -> CodeHiFiGANVocoder:
    return CodeHiFiGANVocoder(checkpoint, SMALL)


def fairseq_output(
    config: dict[str, Any], state: dict[str, Tensor], code: Tensor, dur_prediction: bool
) -> tuple[Tensor, Tensor | None]:
    """What fairseq's generator makes of the same weights, and the durations that its predictor implies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fairseq.models.text_to_speech.codehifigan import CodeGenerator as FairseqGenerator

        reference = FairseqGenerator(config)
        reference.load_state_dict(state)
        reference.eval()
    with torch.no_grad():
        waveform = reference(code=code, dur_prediction=dur_prediction).flatten()
        if not dur_prediction:
            return waveform, None
        log_durations = reference.dur_predictor(reference.dict(code))
    return waveform, (log_durations.exp() - 1).round().long().clamp(min=1)


def assert_agrees(config: dict[str, Any], path: Path, num_units: int, dur_prediction: bool) -> None:
    state = random_state(config)
    ours = CodeHiFiGANVocoder(save(state, path), config)
    code = torch.randint(config["num_embeddings"], (1, num_units), generator=torch.Generator().manual_seed(3))
    expected, expected_durations = fairseq_output(config, state, code, dur_prediction)
    waveform, durations = ours({"code": code}, dur_prediction)
    assert expected.std() > 1e-4
    assert waveform.shape == (int(durations.sum()) * config["code_hop_size"],)
    assert durations.shape == code.shape
    if expected_durations is not None:
        assert len(expected_durations.unique()) > 2, "the case must have durations that differ"
        assert torch.equal(durations, expected_durations)
    torch.testing.assert_close(waveform, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(waveform / expected.std(), expected / expected.std(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("dur_prediction", [False, True])
@pytest.mark.parametrize("num_units", [1, 2, 23])
def test_small_vocoder_agrees_with_fairseq(tmp_path: Path, num_units: int, dur_prediction: bool) -> None:
    if num_units == 23 or not dur_prediction:
        assert_agrees(SMALL, tmp_path / "g", num_units, dur_prediction)
        return
    state = random_state(SMALL)
    code = torch.arange(num_units).unsqueeze(0)
    expected, expected_durations = fairseq_output(SMALL, state, code, dur_prediction)
    waveform, durations = CodeHiFiGANVocoder(save(state, tmp_path / "g"), SMALL)({"code": code}, True)
    assert expected_durations is not None
    assert torch.equal(durations, expected_durations)
    torch.testing.assert_close(waveform, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dur_prediction", [False, True])
def test_public_vocoder_agrees_with_fairseq(tmp_path: Path, dur_prediction: bool) -> None:
    assert_agrees(public_config(), tmp_path / "g", 7, dur_prediction)


def test_state_dict_is_the_public_one() -> None:
    facts = json.loads(STATE_DICT_FACTS.read_text())
    state = CodeGenerator(GeneratorConfig.from_dict(public_config())).state_dict()
    assert [(key, list(tensor.shape)) for key, tensor in state.items()] == [
        (entry["key"], entry["shape"]) for entry in facts["entries"]
    ]
    assert sum(tensor.numel() for tensor in state.values()) == facts["n_params"]


def test_without_duration_prediction_each_unit_is_one_frame(vocoder: CodeHiFiGANVocoder) -> None:
    waveform, durations = vocoder({"code": torch.tensor([[4, 4, 9]])})
    assert durations.tolist() == [[1, 1, 1]]
    assert waveform.shape == (3 * vocoder.code_hop_samples,)
    assert not waveform.requires_grad


def test_durations_given_equal_durations_predicted(vocoder: CodeHiFiGANVocoder) -> None:
    code = torch.arange(12).unsqueeze(0)
    predicted, durations = vocoder({"code": code}, dur_prediction=True)
    with torch.no_grad():
        given = vocoder.forward_from_durations(code, durations)
    frame_level = vocoder({"code": code.repeat_interleave(durations[0], dim=1)})[0]
    assert torch.equal(given, predicted)
    assert torch.equal(frame_level, predicted)


def test_input_stays_as_it_is_and_other_integer_types_work(vocoder: CodeHiFiGANVocoder) -> None:
    x = {"code": torch.tensor([[1, 2, 3]], dtype=torch.int32)}
    waveform, _ = vocoder(x, dur_prediction=True)
    assert list(x) == ["code"]
    assert x["code"].dtype == torch.int32
    assert torch.equal(waveform, vocoder({"code": x["code"].long()}, dur_prediction=True)[0])


def test_half_precision_is_close(checkpoint: Path, vocoder: CodeHiFiGANVocoder) -> None:
    code = torch.arange(10).unsqueeze(0)
    half = CodeHiFiGANVocoder(checkpoint, SMALL, fp16=True)
    assert half.model.conv_pre.effective_weight().dtype == torch.float16
    waveform, expected = half({"code": code})[0], vocoder({"code": code})[0]
    assert waveform.dtype == torch.float32
    assert (waveform - expected).abs().max() < 0.02 * expected.abs().max()


def test_training_mode_of_a_parent_does_not_change_samples(vocoder: CodeHiFiGANVocoder) -> None:
    code = torch.arange(20).unsqueeze(0)
    expected, expected_durations = vocoder({"code": code}, dur_prediction=True)
    vocoder.train()
    waveform, durations = vocoder({"code": code}, dur_prediction=True)
    assert torch.equal(durations, expected_durations)
    assert torch.equal(waveform, expected)


def test_loading_and_synthesis_give_no_warning(checkpoint: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CodeHiFiGANVocoder(checkpoint, SMALL)({"code": torch.tensor([[1, 2]])}, dur_prediction=True)


def test_removing_weight_norm_keeps_the_samples(checkpoint: Path) -> None:
    generator = load_generator(checkpoint, SMALL)
    code = torch.arange(9).unsqueeze(0)
    before = generator(code)
    generator.remove_weight_norm()
    generator.remove_weight_norm()
    assert not any(key.endswith(("weight_g", "weight_v")) for key in generator.state_dict())
    torch.testing.assert_close(generator(code), before)


def measured_receptive_field(config: dict[str, Any], num_frames: int) -> tuple[int, int]:
    """Frames on each side that have a gradient from any sample of the middle frame."""
    generator = CodeGenerator(GeneratorConfig.from_dict(config)).double().eval()
    hop, middle = generator.config.code_hop_samples, num_frames // 2
    features = torch.randn(1, config["embedding_dim"], num_frames, dtype=torch.float64, requires_grad=True)
    generator.synthesize(features)[0, 0, middle * hop : (middle + 1) * hop].square().sum().backward()
    assert features.grad is not None
    touched = features.grad[0].abs().sum(0).nonzero().flatten()
    return middle - int(touched[0]), int(touched[-1]) - middle


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"resblock_kernel_sizes": [7, 3]},
        {"upsample_rates": [8, 5], "upsample_kernel_sizes": [16, 11]},
        {"upsample_rates": [2, 2, 10], "upsample_kernel_sizes": [2, 6, 20]},
    ],
)
def test_receptive_field_is_exact(changes: dict[str, Any]) -> None:
    torch.manual_seed(0)
    config = {**SMALL, **changes}
    field = generator_receptive_field(GeneratorConfig.from_dict(config))
    assert measured_receptive_field(config, 121) == (field.left_frames, field.right_frames)


def test_receptive_field_of_the_public_config_is_21_frames(checkpoint: Path) -> None:
    torch.manual_seed(0)
    field = generator_receptive_field(GeneratorConfig.from_dict(public_config()))
    assert (field.left_frames, field.right_frames) == (21, 21)
    # Channels do not matter to the receptive field.
    assert measured_receptive_field({**public_config(), "upsample_initial_channel": 64}, 51) == (21, 21)


def test_samples_of_the_middle_need_no_more_than_the_receptive_field(vocoder: CodeHiFiGANVocoder) -> None:
    code = torch.randint(30, (1, 90), generator=torch.Generator().manual_seed(1))
    left, right = vocoder.receptive_field.left_frames, vocoder.receptive_field.right_frames
    hop = vocoder.code_hop_samples
    whole, _ = vocoder({"code": code})
    part, _ = vocoder({"code": code[:, 40 - left : 45 + right]})
    torch.testing.assert_close(part[left * hop : (left + 5) * hop], whole[40 * hop : 45 * hop])


def test_duration_depends_on_two_units_on_each_side() -> None:
    torch.manual_seed(0)
    generator = CodeGenerator(GeneratorConfig.from_dict(SMALL)).double().eval()
    assert generator.dur_predictor is not None
    features = torch.randn(1, 16, 21, dtype=torch.float64, requires_grad=True)
    generator.dur_predictor(features)[0, 10].backward()
    assert features.grad is not None
    touched = features.grad[0].abs().sum(0).nonzero().flatten().tolist()
    reach = duration_receptive_field_units()
    assert touched == list(range(10 - reach, 11 + reach))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ({}, "needs"),
        ({"code": torch.tensor([[1, 30]])}, "unit 30 is outside .* 0 to 29"),
        ({"code": torch.tensor([[1, -1]])}, "unit -1 is outside"),
        ({"code": torch.zeros(1, 0, dtype=torch.long)}, "empty"),
        ({"code": torch.tensor([1, 2])}, "shape"),
        ({"code": torch.tensor([[1, 2], [1, 2]])}, "shape"),
        ({"code": torch.tensor([[1.0, 2.0]])}, "integers"),
        ({"code": torch.tensor([[1]]), "spkr": torch.tensor([[0]])}, "spkr"),
    ],
)
def test_bad_units_are_refused(vocoder: CodeHiFiGANVocoder, x: dict[str, Tensor], message: str) -> None:
    with pytest.raises(VocoderError, match=message):
        vocoder(x)


@pytest.mark.parametrize("durations", [[[1, 0, 2]], [[1, 2]], [[1, -3, 2]]])
def test_bad_durations_are_refused(vocoder: CodeHiFiGANVocoder, durations: list[list[int]]) -> None:
    with pytest.raises(VocoderError, match="durations must be"):
        vocoder.forward_from_durations(torch.tensor([[1, 2, 3]]), torch.tensor(durations))


def test_duration_prediction_without_predictor_is_refused(tmp_path: Path) -> None:
    config = without(SMALL, "dur_predictor_params")
    vocoder = CodeHiFiGANVocoder(save(random_state(config), tmp_path / "g"), config)
    code = torch.tensor([[1, 2]])
    assert vocoder({"code": code})[0].shape == (80,)
    with pytest.raises(VocoderError, match="no duration predictor"):
        vocoder({"code": code}, dur_prediction=True)


def test_damaged_duration_predictor_is_reported(tmp_path: Path) -> None:
    state = random_state(SMALL)
    state["dur_predictor.proj.bias"] = torch.tensor([1000.0])
    vocoder = CodeHiFiGANVocoder(save(state, tmp_path / "g"), SMALL)
    with pytest.raises(VocoderError, match="not finite"):
        vocoder({"code": torch.tensor([[1, 2]])}, dur_prediction=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_embeddings": 31}, r"dict.weight is \[31, 16\] by the config but \[30, 16\] in the checkpoint"),
        (
            {"upsample_initial_channel": 64},
            r"conv_pre.weight_g is \[64, 1, 1\] by the config but \[32, 1, 1\]",
        ),
        (
            {"resblock_kernel_sizes": [3, 5, 7], "resblock_dilation_sizes": [[1, 3, 5]] * 3},
            r"resblocks\.\d.*; and \d+ more",
        ),
        ({"dur_predictor_params": None}, r"dur_predictor\.\S+ of the checkpoint has no place in the config"),
    ],
)
def test_config_of_another_checkpoint_is_refused(
    checkpoint: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(VocoderError, match=message):
        CodeHiFiGANVocoder(checkpoint, {**SMALL, **changes})


def test_missing_weight_is_named(tmp_path: Path) -> None:
    state = without(random_state(SMALL), "ups.1.bias")
    with pytest.raises(VocoderError, match=r"ups\.1\.bias \[8\] is missing from the checkpoint"):
        CodeHiFiGANVocoder(save(state, tmp_path / "g"), SMALL)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_embeddings": None}, "'num_embeddings' is missing"),
        ({"num_embeddings": "1000"}, "'num_embeddings' must be a positive integer"),
        ({"upsample_rates": []}, "'upsample_rates'"),
        ({"upsample_rates": [5, 4]}, "2 'upsample_rates' but 3"),
        ({"upsample_kernel_sizes": [10, 8, 4]}, "kernel 10 with rate 5"),
        ({"upsample_initial_channel": 36}, "halved"),
        ({"resblock_kernel_sizes": [3, 4]}, "must be odd"),
        ({"resblock_dilation_sizes": [[1, 3, 5]]}, "3 dilations for each of the 2"),
        ({"resblock_dilation_sizes": [[1, 3], [1, 3]]}, "3 dilations"),
        ({"model_in_dim": 80}, "'model_in_dim' is 80 but 'embedding_dim' is 16"),
        ({"code_hop_size": 320}, "'code_hop_size' is 320 but the product"),
        ({"resblock": "2"}, "'resblock'"),
        ({"f0": True}, "pitch"),
        ({"multispkr": "_"}, "several speakers"),
        ({"embedder_params": {"dim": 3}}, "speaker embeddings"),
        ({"dur_predictor_params": {"encoder_embed_dim": 16}}, "'var_pred_hidden_dim' is missing"),
        ({"dur_predictor_params": {**SMALL["dur_predictor_params"], "encoder_embed_dim": 8}}, "is 8 but"),
        ({"dur_predictor_params": {**SMALL["dur_predictor_params"], "var_pred_kernel_size": 5}}, "must be 3"),
        ({"dur_predictor_params": {**SMALL["dur_predictor_params"], "var_pred_dropout": 1.5}}, "dropout"),
    ],
)
def test_bad_config_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(VocoderError, match=message):
        GeneratorConfig.from_dict({**SMALL, **changes})


def test_options_that_are_switched_off_are_accepted() -> None:
    off = {"f0": False, "multispkr": None, "embedder_params": None, "resblock": "1", "num_workers": 4}
    assert GeneratorConfig.from_dict({**SMALL, **off}) == GeneratorConfig.from_dict(SMALL)


def test_config_file_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        read_config_file(tmp_path / "none.json")
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    with pytest.raises(VocoderError, match="not valid JSON"):
        read_config_file(bad)
    bad.write_text("[1]")
    with pytest.raises(VocoderError, match="must hold a JSON object, not list"):
        read_config_file(bad)
