"""Streaming equals recomputing everything from the start under the training masks, end to end.

The reference is the recomputing pipeline: whole forward passes of front end, encoder, heads, decoders and
vocoder at every chunk.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from echostream.data.fbank import extract_fbank
from echostream.inference.loaded_model import LoadedModel
from echostream.inference.loading import load_model
from echostream.inference.options import SessionOptions
from echostream.inference.outputs import StepOutput
from echostream.inference.translator import StreamingTranslator
from echostream.vocoder.code_hifigan import CodeHiFiGANVocoder
from tests.inference.fakes import noise
from tests.inference.streams import heard, run, said, steps_of
from tests.inference.tiny_checkpoint import VOCODER_CONFIG, TinyCheckpoint, make_checkpoint

SIGNAL = noise(56000, 5)
TOLERANCE = 1e-4


def translator(
    loaded: LoadedModel, tiny: TinyCheckpoint, *, recompute: bool = False, **options: Any
) -> StreamingTranslator:
    vocoder = CodeHiFiGANVocoder(tiny.vocoder, VOCODER_CONFIG)
    return StreamingTranslator(
        loaded, vocoder, SessionOptions(max_len=60, window_ms=0, **options), recompute=recompute
    )


@pytest.fixture(scope="module")
def models(checkpoints: dict[str, TinyCheckpoint]) -> dict[str, LoadedModel]:
    return {arch: load_model(tiny.checkpoint, data_bin=tiny.folder) for arch, tiny in checkpoints.items()}


def assert_equal(actual: list[StepOutput], expected: list[StepOutput]) -> None:
    assert said(actual) == said(expected)
    assert said(expected)[3]
    np.testing.assert_allclose(heard(actual), heard(expected), atol=TOLERANCE, rtol=0)
    assert np.abs(heard(expected)).max() > 10 * TOLERANCE


@pytest.mark.parametrize(
    "options",
    [
        {"chunk_ms": 160},
        {"chunk_ms": 320, "dur_prediction": True},
        {"chunk_ms": 320, "segment_length": 4, "hold_back_frames": 3},
        {"chunk_ms": 320, "lagging_k1": 1, "stride_n": 2, "lagging_k2": 2, "stride_n2": 2},
        {"chunk_ms": 640, "dur_prediction": True, "hold_back_frames": 21},
        {"chunk_ms": 320, "waitk_lagging": 2},
        {"chunk_ms": 1280},
        {"chunk_ms": 320, "unit_blank_penalty": 0.1},
    ],
    ids=lambda options: "-".join(f"{name}={value}" for name, value in options.items()),
)
def test_tiny_echostream(
    models: dict[str, LoadedModel], checkpoints: dict[str, TinyCheckpoint], options: dict[str, Any]
) -> None:
    loaded, tiny = models["echostream"], checkpoints["echostream"]
    chunk_samples = 16 * int(options["chunk_ms"])
    sizes = steps_of(chunk_samples, SIGNAL)
    expected = run(translator(loaded, tiny, recompute=True, **options).start(), SIGNAL, sizes)
    actual = run(translator(loaded, tiny, **options).start(), SIGNAL, sizes)
    assert_equal(actual, expected)
    # Each write comes at the same chunk too.
    assert [len(output.tokens) for output in actual] == [len(output.tokens) for output in expected]
    assert [len(output.units) for output in actual] == [len(output.units) for output in expected]
    assert [output.waveform.size for output in actual] == [output.waveform.size for output in expected]
    whole = run(translator(loaded, tiny, **options).start(), SIGNAL)
    assert_equal(whole, expected)


@pytest.mark.parametrize("options", [("--right-context-length", "3"), ("--memory-size", "0")], ids=str)
def test_other_encoders(options: tuple[str, ...], tmp_path: Path) -> None:
    tiny = make_checkpoint(tmp_path / "model", "echostream", flags=options)
    loaded = load_model(tiny.checkpoint, data_bin=tiny.folder)
    for chunk_ms in (160, 320):
        expected = run(translator(loaded, tiny, recompute=True, chunk_ms=chunk_ms).start(), SIGNAL)
        assert_equal(run(translator(loaded, tiny, chunk_ms=chunk_ms).start(), SIGNAL), expected)


@torch.no_grad()
def test_the_reference_is_the_training_forward(
    models: dict[str, LoadedModel], checkpoints: dict[str, TinyCheckpoint]
) -> None:
    """One forward pass with teacher forcing and g(i) of the session's own decisions gives its units."""
    loaded, tiny = models["echostream"], checkpoints["echostream"]
    session = translator(loaded, tiny, recompute=True).start()
    outputs = run(session, SIGNAL, steps_of(5120, SIGNAL))
    parts: Any = session.state.pipeline
    assert loaded.cmvn is not None
    features = loaded.cmvn(extract_fbank(SIGNAL)).unsqueeze(0)
    model: Any = loaded.model
    encoder_out = model.encoder(features, torch.tensor([features.size(1)]), chunk_size=8)
    previous = torch.tensor([[2, *parts.tokens]])[:, : len(parts.visible_frames)]
    visible = torch.tensor([parts.visible_frames])
    logits, states = model.decode_text(previous, encoder_out, visible_frames=visible)
    allowed = logits[0, : len(parts.tokens)].index_fill(1, torch.tensor([0, 1]), -torch.inf)
    allowed[0, 2] = -torch.inf
    assert allowed.argmax(dim=-1).tolist() == parts.tokens
    labels = model.text_to_units(states, streaming_config={"k2": 0, "n2": 1})[0].argmax(dim=-1)
    symbols = [loaded.unit_vocabulary.symbols[label] for label in labels.unique_consecutive().tolist()]
    assert tuple(int(symbol) for symbol in symbols if symbol.isdecimal()) == said(outputs)[3]


@pytest.mark.parametrize("arch", ["echostream", "echostream_mini"])
def test_public_sizes(arch: str, tmp_path: Path) -> None:
    """The presets with random weights, the vocoder of the public configuration's size for the base model."""
    tiny = make_checkpoint(tmp_path, arch, is_tiny=False)
    loaded = load_model(tiny.checkpoint, data_bin=tiny.folder)
    signal = SIGNAL[:32000]
    for chunk_ms in (160, 320, 640):
        options: dict[str, Any] = {"chunk_ms": chunk_ms, "dur_prediction": True}
        expected = run(translator(loaded, tiny, recompute=True, **options).start(), signal)
        assert_equal(run(translator(loaded, tiny, **options).start(), signal), expected)
        if chunk_ms == 320:
            by_ms = run(translator(loaded, tiny, **options).start(), signal, steps_of(16, signal))
            assert_equal(by_ms, expected)
