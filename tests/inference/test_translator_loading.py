"""From files to a translator, and what can be wrong with a vocoder."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from echostream.inference.loaded_model import LoadedModel
from echostream.inference.loading import load_model
from echostream.inference.options import Output, SessionOptions
from echostream.inference.translator_loading import load_translator
from echostream.inference.vocoder_loading import load_vocoder
from tests.inference.fakes import noise
from tests.inference.streams import heard, run, said
from tests.inference.tiny_checkpoint import TinyCheckpoint, make_checkpoint, write_vocoder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyCheckpoint:
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint"), "echostream")


@pytest.fixture(scope="module")
def loaded(tiny: TinyCheckpoint) -> LoadedModel:
    return load_model(tiny.checkpoint, data_bin=tiny.folder)


def test_a_translator_from_files(tiny: TinyCheckpoint) -> None:
    configured = load_translator(tiny.checkpoint, data_bin=tiny.folder)
    named = load_translator(
        tiny.checkpoint,
        data_bin=tiny.folder,
        vocoder=tiny.vocoder,
        vocoder_cfg=tiny.vocoder_config,
        config_yaml=tiny.config_name,
        multitask_config_yaml=tiny.multitask_name,
        recompute=True,
    )
    assert configured.options == named.options == SessionOptions()
    assert (configured.recompute, named.recompute) == (False, True)
    outputs = [
        run(translator.start(max_len=10, window_ms=0), noise(16000), [5000] * 3)
        for translator in (configured, named)
    ]
    assert said(outputs[0]) == said(outputs[1])
    assert heard(outputs[0]).size == heard(outputs[1]).size > 0


def test_text_where_no_vocoder_is_known_or_wanted(tiny: TinyCheckpoint, tmp_path: Path) -> None:
    wanted = load_translator(
        tiny.checkpoint, data_bin=tiny.folder, options=SessionOptions(output=Output.TEXT, max_len=10)
    )
    assert wanted.vocoder is None
    assert wanted.options.max_len == 10
    text = (tiny.folder / tiny.config_name).read_text().split("vocoder:")[0]
    silent = tiny.folder / "silent.yaml"
    silent.write_text(text)
    unknown = load_translator(tiny.checkpoint, data_bin=tiny.folder, config_yaml=silent.name)
    assert (unknown.options.output, unknown.vocoder) == (Output.TEXT, None)
    with pytest.raises(ValueError, match=r"names none: .*--vocoder"):
        load_translator(
            tiny.checkpoint, data_bin=tiny.folder, config_yaml=silent.name, options=SessionOptions()
        )


def test_bad_vocoders(tiny: TinyCheckpoint, loaded: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.json.*--vocoder-cfg"):
        load_vocoder(None, "none.json", loaded)
    with pytest.raises(FileNotFoundError, match=r"none\.pt"):
        load_vocoder("none.pt", None, loaded)
    with pytest.raises(ValueError, match="names none"):
        load_vocoder(tiny.vocoder, None, replace(loaded, vocoder_config=None))
    bad = tmp_path / "bad.json"
    for content, message in (("{", r"bad\.json: .*not JSON"), ("[1]", "must be a JSON object")):
        bad.write_text(content)
        with pytest.raises(ValueError, match=message):
            load_vocoder(None, bad, loaded)
    config = json.loads(tiny.vocoder_config.read_text())
    (tmp_path / "other.json").write_text(json.dumps({**config, "upsample_initial_channel": 64}))
    with pytest.raises(ValueError, match="vocoder"):
        load_vocoder(None, tmp_path / "other.json", loaded)
    small, small_config = write_vocoder(tmp_path, num_units=7)
    with pytest.raises(ValueError, match="knows 7 units, but the model writes 20"):
        load_vocoder(small, small_config, loaded)


def test_the_vocoder_is_ready(loaded: LoadedModel) -> None:
    vocoder = load_vocoder(None, None, loaded)
    assert not vocoder.training
    assert vocoder.sample_rate == 16000
