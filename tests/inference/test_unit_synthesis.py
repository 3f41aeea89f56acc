"""Units and samples of one stream: new ones only, and equal to the end of a whole synthesis."""

import numpy as np
import pytest
import torch

from echostream.inference.unit_synthesis import UnitDecoder, UnitSynthesizer
from echostream.vocoder.code_hifigan import CodeHiFiGANVocoder
from echostream.vocoder.config import GeneratorConfig
from echostream.vocoder.generator import CodeGenerator
from tests.inference.fakes import DIM, UNIT_SYMBOLS, FakeModel, FakeStreamingEncoder, FakeVocoder, vocabulary
from tests.inference.tiny_checkpoint import VOCODER_CONFIG

CPU = torch.device("cpu")


def decoder(lagging_k: int = 0, stride_n: int = 1) -> UnitDecoder:
    model = FakeModel(FakeStreamingEncoder())
    return UnitDecoder(
        model,
        vocabulary(UNIT_SYMBOLS),
        blank=len(UNIT_SYMBOLS) - 1,
        lagging_k=lagging_k,
        stride_n=stride_n,
        is_masked=True,
    )


@torch.inference_mode()
def test_units_of_a_growing_text_are_those_of_the_whole_text() -> None:
    features = torch.randn(9, 1, DIM, generator=torch.Generator().manual_seed(1))
    whole = decoder().extend(features, is_final=True)
    stream = decoder()
    pieces = [stream.extend(features[:count], is_final=count == 9) for count in (1, 4, 4, 9)]
    assert [unit for piece in pieces for unit in piece] == whole == stream.units
    assert pieces[2] == []
    assert all(0 <= unit < 20 for unit in whole)
    stream.reset()
    assert stream.extend(features, is_final=True) == whole


@torch.inference_mode()
def test_lag_and_stride_hold_units_back() -> None:
    features = torch.randn(9, 1, DIM, generator=torch.Generator().manual_seed(1))
    late = decoder(lagging_k=2, stride_n=3)
    assert late.extend(features[:4], is_final=False) == []
    assert late.extend(features[:5], is_final=False) == decoder().extend(features[:3], is_final=True)
    late.extend(features, is_final=True)
    assert late.units == decoder().extend(features, is_final=True)


@pytest.mark.parametrize(("is_masked", "expected"), [(True, {"k2": 2, "n2": 3}), (False, None)])
def test_the_training_mask_is_passed_on(is_masked: bool, expected: dict[str, int] | None) -> None:
    units = decoder(lagging_k=2, stride_n=3)
    units.is_masked = is_masked
    units.extend(torch.randn(9, 1, DIM), is_final=False)
    assert isinstance(units.model, FakeModel)
    assert units.model.unit_configs == [expected]


def test_new_samples_are_the_end_of_a_synthesis_of_all_units() -> None:
    vocoder = FakeVocoder()
    synthesizer = UnitSynthesizer(vocoder, dur_prediction=True, device=CPU)
    units = [unit % 20 for unit in range(50)]
    expected, durations = vocoder({"code": torch.tensor([units])}, True)
    num_samples = int(durations[0, -7:].sum()) * 4
    np.testing.assert_array_equal(synthesizer.synthesize(units, 7), expected[-num_samples:].numpy())
    assert vocoder.num_units_seen[-1] < 15
    assert synthesizer.synthesize(units, 0).size == 0
    assert synthesizer.synthesize(units[:3], 3).size == 4 * (1 + 2 + 3)


@pytest.fixture(scope="module")
def real_vocoder(tmp_path_factory: pytest.TempPathFactory) -> CodeHiFiGANVocoder:
    torch.manual_seed(0)
    generator = CodeGenerator(GeneratorConfig.from_dict(VOCODER_CONFIG))
    path = tmp_path_factory.mktemp("vocoder") / "g"
    torch.save({"generator": generator.state_dict()}, path)
    return CodeHiFiGANVocoder(path, VOCODER_CONFIG)


@pytest.mark.parametrize("dur_prediction", [False, True])
def test_bounded_context_gives_the_samples_of_a_whole_synthesis(
    real_vocoder: CodeHiFiGANVocoder, dur_prediction: bool
) -> None:
    units = torch.randint(0, 20, (60,), generator=torch.Generator().manual_seed(2)).tolist()
    whole, durations = real_vocoder({"code": torch.tensor([units])}, dur_prediction)
    num_samples = int(durations[0, -6:].sum()) * 320
    synthesizer = UnitSynthesizer(real_vocoder, dur_prediction=dur_prediction, device=CPU)
    new = synthesizer.synthesize(units, 6)
    assert new.size == num_samples
    np.testing.assert_allclose(new, whole[-num_samples:].numpy(), atol=1e-5)
    assert np.abs(new).max() > 1e-3
