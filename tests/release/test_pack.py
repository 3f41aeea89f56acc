"""A release says what the trained model says, and holds nothing else."""

import hashlib
import json
import re
import shutil
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch.nn import Module

from echostream.compat import CheckpointError, load_checkpoint
from echostream.evaluation.asr_bleu import write_asr_bleu
from echostream.inference.translator import StreamingTranslator
from echostream.inference.translator_loading import load_translator
from echostream.release.__main__ import main
from echostream.release.pack import Parts, ReleaseError, pack
from echostream.release.weights import half_precision
from tests.evaluation.result_folders import REFERENCES, write_run
from tests.inference.fakes import noise
from tests.inference.streams import heard, run, said
from tests.release.conftest import Packed


@pytest.fixture(scope="module")
def translators(packed: Packed) -> tuple[StreamingTranslator, StreamingTranslator]:
    """Of the trained model, and of the release."""
    tiny = packed.tiny
    return (
        load_translator(tiny.checkpoint, data_bin=tiny.folder),
        load_translator(packed.folder / "model.pt", data_bin=packed.folder),
    )


def test_it_says_what_the_trained_model_says(
    translators: tuple[StreamingTranslator, StreamingTranslator],
) -> None:
    original, released = (
        run(translator.start(chunk_ms=320, dur_prediction=True), noise(40000, seed=3))
        for translator in translators
    )
    assert said(released) == said(original)
    assert said(released)[1]
    speech = heard(original)
    assert speech.size > 16000
    np.testing.assert_allclose(heard(released), speech, atol=2e-3 * np.abs(speech).max())


def modules(translator: StreamingTranslator) -> list[Module]:
    """The model and the vocoder."""
    parts: list[Any] = [translator.loaded.model, translator.vocoder]
    assert all(isinstance(part, Module) for part in parts)
    return parts


def test_the_weights_are_stored_in_half_and_loaded_in_single_precision(
    packed: Packed, translators: tuple[StreamingTranslator, StreamingTranslator]
) -> None:
    model = load_checkpoint(packed.folder / "model.pt")["model"]
    vocoder = torch.load(packed.folder / "vocoder" / "checkpoint.pt", weights_only=True)["generator"]
    for weights in (model, vocoder):
        assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    for original, released in zip(modules(translators[0]), modules(translators[1]), strict=True):
        expected = original.state_dict()
        for name, weight in released.state_dict().items():
            assert weight.dtype == torch.float32
            torch.testing.assert_close(weight, expected[name], rtol=2e-3, atol=1e-5)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Namespace):
        yield from strings(vars(value))
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from (*strings(key), *strings(inner))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from strings(inner)


def test_neither_paths_nor_the_training_are_left_in_it(packed: Packed) -> None:
    before, after = (load_checkpoint(path) for path in (packed.tiny.checkpoint, packed.folder / "model.pt"))
    assert any(Path(text).is_absolute() for text in strings(before["cfg"]))
    assert not [text for text in strings(after) if Path(text).is_absolute()]
    assert set(after["cfg"]) == {"task", "model"}
    assert "last_optimizer_state" not in after
    for path in packed.folder.rglob("*"):
        assert path.is_dir() or str(packed.tiny.folder).encode() not in path.read_bytes()


def test_equal_weights_are_stored_once() -> None:
    weight = torch.randn(5, 3)
    halved = half_precision({"embedding": weight, "projection": weight.clone(), "count": torch.tensor([3])})
    assert halved["embedding"].data_ptr() == halved["projection"].data_ptr()
    assert halved["count"].dtype == torch.int64
    with pytest.raises(CheckpointError, match="large: has values that half precision cannot hold"):
        half_precision({"large": torch.tensor([1e6])})


def test_the_samples_are_the_first_short_sentences(packed: Packed) -> None:
    folder = packed.folder / "samples"
    lines = {
        name: (folder / f"{name}.txt").read_text().splitlines() for name in ("wav_list", "src", "target")
    }
    assert lines == {
        "wav_list": ["sample_1.wav", "sample_2.wav"],
        "src": ["un", "trois"],
        "target": ["un in English", "trois in English"],
    }
    infos = [soundfile.info(folder / name) for name in lines["wav_list"]]
    assert [(info.duration, info.subtype) for info in infos] == [(1.0, "PCM_16"), (2.0, "PCM_16")]


def test_the_checksums_are_of_all_files(packed: Packed) -> None:
    lines = (packed.folder / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    found = {
        path.relative_to(packed.folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in packed.folder.rglob("*")
        if path.is_file() and path.name != "SHA256SUMS"
    }
    assert sums == found
    assert "model.pt" in sums
    assert packed.size_bytes == sum(
        path.stat().st_size for path in packed.folder.rglob("*") if path.is_file()
    )


def test_a_release_is_replaced_and_its_card_kept(packed: Packed, tmp_path: Path) -> None:
    output = tmp_path / "demo"
    output.mkdir()
    (output / "README.md").write_text("the card")
    results = write_run(tmp_path / "runs" / "model.s2tt", 320, REFERENCES, [500.0] * len(REFERENCES))
    write_asr_bleu(tmp_path, ["one two three four"], ["one two three four"], recogniser="nobody")
    pack(replace(packed.parts, results=[results.parent, tmp_path]), output)
    scores = json.loads((output / "scores.json").read_text())
    (speech,) = scores["offline"]
    assert speech["scores"] == {"BLEU": pytest.approx(100), "WER": 0}
    assert "nobody" in speech["quality"]
    (entry,) = scores["simultaneous"]
    assert entry["results"] == "runs/model.s2tt"
    assert entry["chunk_ms"] == 320
    assert entry["scores"]["BLEU"] == pytest.approx(100)
    assert entry["scores"]["AL"] == 500
    before = (output / "SHA256SUMS").read_text()
    with pytest.raises(ReleaseError, match="more than 100000: the model has"):
        pack(packed.parts, output, max_bytes=100_000)
    assert (output / "SHA256SUMS").read_text() == before
    pack(packed.parts, output)
    assert not (output / "scores.json").exists()
    assert (output / "README.md").read_text() == "the card"
    assert output.stat().st_mode == tmp_path.joinpath("runs").stat().st_mode
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_other_files_are_not_replaced(packed: Packed, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ReleaseError, match="holds files that are no release; choose another --output"):
        pack(packed.parts, tmp_path)
    assert (tmp_path / "thesis.tex").is_file()


def arguments(parts: Parts, output: Path) -> list[str]:
    paths = {
        "model": parts.model,
        "data": parts.data,
        "vocoder": parts.vocoder,
        "vocoder-cfg": parts.vocoder_config,
    }
    names = {"config-yaml": parts.config_yaml, "multitask-config-yaml": parts.multitask_config_yaml}
    options = {**paths, **names, "output": output, "samples": parts.num_samples}
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]


def test_what_is_missing_or_unfit_is_named(
    packed: Packed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "demo"
    data = tmp_path / "data"
    shutil.copytree(packed.tiny.folder, data)
    (data / "dict.txt").unlink()
    for parts, message in (
        (replace(packed.parts, model=tmp_path / "none.pt"), "no such checkpoint"),
        (replace(packed.parts, vocoder=packed.tiny.checkpoint), "holds no 'generator'"),
        (replace(packed.parts, num_samples=4), "only 3 utterances are at most 5 s long, not 4"),
        (replace(packed.parts, data=data), "dict.txt: no such file, but a YAML file beside it names it"),
    ):
        with pytest.raises(SystemExit, match=message):
            main(arguments(parts, output))
        assert not output.exists()
    main(arguments(packed.parts, output))
    assert re.search(r"/demo: \d\.\d MB\n$", capsys.readouterr().out)
