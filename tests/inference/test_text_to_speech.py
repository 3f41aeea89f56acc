"""Speech from a text that grows: the same however it comes, and what the model computes of the whole."""

from collections.abc import Iterable
from dataclasses import replace
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
from echostream.inference.subwords import SentencePieceSplitter, load_splitter
from echostream.inference.text_to_speech import SpeechSynthesizer
from echostream.inference.vocoder_loading import load_vocoder
from echostream.policy.ctc_alignment import collapse
from echostream.streaming import StreamFinishedError
from tests.inference.streams import heard, said
from tests.inference.text_checkpoint import SENTENCES, make_text_checkpoint
from tests.inference.tiny_checkpoint import TinyCheckpoint

TEXT = "the cat sleeps on the mat and a bird sings"
OPTIONS = SessionOptions(lagging_k2=1)
ARCHITECTURES = ("echostream", "streamspeech")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TinyCheckpoint]:
    folder = tmp_path_factory.mktemp("text_checkpoints")
    return {arch: make_text_checkpoint(folder / arch, arch) for arch in ARCHITECTURES}


@pytest.fixture(scope="module")
def models(tiny: dict[str, TinyCheckpoint]) -> dict[str, LoadedModel]:
    return {arch: load_model(made.checkpoint, data_bin=made.folder) for arch, made in tiny.items()}


def synthesizer(loaded: LoadedModel, options: SessionOptions = OPTIONS, **more: Any) -> SpeechSynthesizer:
    return SpeechSynthesizer(loaded, load_vocoder(None, None, loaded), options, load_splitter(loaded), **more)


def speak(made: SpeechSynthesizer, texts: Iterable[str]) -> list[StepOutput]:
    session = made.start()
    return [*(session.step(text) for text in texts), session.step("", is_final=True)]


@pytest.mark.parametrize(
    ("arch", "settings"),
    [
        ("echostream", {"lagging_k2": 0}),
        ("echostream", {"lagging_k2": 2, "stride_n2": 3, "hold_back_frames": 5}),
        ("echostream", {"dur_prediction": True}),
        ("streamspeech", {}),
    ],
)
def test_delivery_does_not_change_the_outcome(
    models: dict[str, LoadedModel], arch: str, settings: dict[str, Any]
) -> None:
    made = synthesizer(models[arch], replace(OPTIONS, **settings))
    words = TEXT.split()
    alone = speak(made, words)
    together = [made.start().step(f"  {TEXT}\n", is_final=True)]
    mixed = speak(made, ["", words[0], "\t", " ".join(words[1:4]), "", "  ".join(words[4:])])
    assert said(alone) == said(together) == said(mixed)
    np.testing.assert_array_equal(heard(alone), heard(together))
    np.testing.assert_array_equal(heard(alone), heard(mixed))
    assert said(alone)[1] == TEXT
    assert any(output.waveform.size for output in alone[:-1])
    starts = [output.waveform_start_samples for output in alone]
    assert starts == [sum(output.waveform.size for output in alone[:index]) for index in range(len(alone))]
    assert [output.is_final for output in alone] == [False] * len(words) + [True]


@torch.no_grad()
@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize(("lagging_k2", "stride_n2"), [(0, 1), (1, 1), (2, 3)])
def test_it_is_what_the_model_computes_of_the_whole_text(
    models: dict[str, LoadedModel], arch: str, lagging_k2: int, stride_n2: int
) -> None:
    loaded = models[arch]
    vocoder = load_vocoder(None, None, loaded)
    right = vocoder.receptive_field.right_frames
    options = SessionOptions(lagging_k2=lagging_k2, stride_n2=stride_n2, hold_back_frames=right)
    outputs = speak(synthesizer(loaded, options, source_silence_ms=700), TEXT.split())
    assert loaded.cmvn is not None
    features = loaded.cmvn(extract_fbank(np.zeros(11200, dtype=np.float32))).unsqueeze(0)
    encoder_out = loaded.model.encoder(features, torch.tensor([features.size(1)]), chunk_size=8)
    tokens = [token for word in TEXT.split() for token in load_splitter(loaded)(word)]
    previous = torch.tensor([[loaded.text_vocabulary.eos, *tokens]])
    _, states = loaded.model.decode_text(previous, encoder_out)
    logits = loaded.model.text_to_units(states, streaming_config={"k2": lagging_k2, "n2": stride_n2})
    labels = collapse(logits[0].argmax(dim=-1), loaded.unit_blank).tolist()
    symbols = [loaded.unit_vocabulary.symbols[label] for label in labels]
    units = [int(symbol) for symbol in symbols if symbol.isdecimal()]
    assert said(outputs)[2:] == (tuple(tokens), tuple(units))
    assert len(set(units)) > 3
    waveform, _ = vocoder({"code": torch.tensor([units])})
    np.testing.assert_allclose(heard(outputs), waveform.numpy(), atol=1e-5, rtol=0)


def test_a_word_costs_the_same_late_in_a_text(
    models: dict[str, LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = models["echostream"]
    made = synthesizer(loaded)
    work: dict[str, list[int]] = {
        "encoder": [],
        "mt_decoder": [],
        "text_to_unit_encoder": [],
        "unit_decoder": [],
    }
    for name, sizes in work.items():
        module = getattr(loaded.model, name)
        original = module.streaming_forward

        def counting(
            x: torch.Tensor, *args: Any, original: Any = original, sizes: list[int] = sizes, **kwargs: Any
        ) -> torch.Tensor:
            sizes.append(x.size(1))
            result: torch.Tensor = original(x, *args, **kwargs)
            return result

        monkeypatch.setattr(module, "streaming_forward", counting)
    session = made.start()
    num_words, num_tokens, num_bytes = 0, 0, []
    for index in range(6):
        output = session.step(TEXT + ".")
        num_words += len(output.target_words)
        num_tokens += len(output.tokens)
        assert output.num_segments == index + 1
        num_bytes.append(session.state.num_bytes)
    assert num_words == 6 * len(TEXT.split())
    assert work["encoder"] == []  # silence was heard once, before
    for name in ("mt_decoder", "text_to_unit_encoder", "unit_decoder"):
        assert sum(work[name]) == num_tokens + 6, name
        assert max(work[name]) <= 12, name
    assert num_bytes == [num_bytes[0]] * 6


def test_sentences_start_afresh(models: dict[str, LoadedModel]) -> None:
    made = synthesizer(models["echostream"])
    both = speak(made, ["the cat sleeps.", "a dog", "sleeps"])
    assert [output.num_segments for output in both] == [1, 1, 1, 2]
    first, second = speak(made, ["the cat sleeps."]), speak(made, ["a dog sleeps"])
    np.testing.assert_array_equal(heard(both), np.concatenate([heard(first), heard(second)]))
    assert said(both)[3] == said(first)[3] + said(second)[3]


def test_a_sentence_without_end_is_cut_at_a_word(models: dict[str, LoadedModel]) -> None:
    loaded = models["echostream"]
    made = synthesizer(loaded, replace(OPTIONS, max_len=16))
    outputs = speak(made, [TEXT])
    splitter = load_splitter(loaded)
    assert outputs[-1].num_segments >= 2
    assert said(outputs)[2] == tuple(token for word in TEXT.split() for token in splitter(word))
    with pytest.raises(ValueError, match=r"'catcatcat.*max-len is 16"):
        made.start().step("cat" * 15)


def test_sessions_share_the_model(models: dict[str, LoadedModel]) -> None:
    made = synthesizer(models["streamspeech"])
    texts = TEXT.split(), SENTENCES[2].split()
    alone = [speak(made, words) for words in texts]
    sessions = [made.start() for _ in texts]
    outputs: list[list[StepOutput]] = [[], []]
    for index in range(max(map(len, texts))):
        for words, session, heard_so_far in zip(texts, sessions, outputs, strict=True):
            heard_so_far.append(session.step(" ".join(words[index : index + 1])))
    for session, heard_so_far, expected in zip(sessions, outputs, alone, strict=True):
        heard_so_far.append(session.step("", is_final=True))
        np.testing.assert_array_equal(heard(heard_so_far), heard(expected))


def test_unknown_letters_are_unknown_subwords(models: dict[str, LoadedModel]) -> None:
    loaded = models["echostream"]
    splitter = load_splitter(loaded)
    assert loaded.text_vocabulary.unk in splitter("ß")
    assert loaded.text_vocabulary.unk not in splitter("cat")
    assert min(splitter("<s></s><pad>")) >= loaded.text_vocabulary.unk
    assert splitter("\u200b") == []
    outputs = speak(synthesizer(loaded), ["the ß", "\u200b", "sleeps"])
    assert said(outputs)[1] == "the ß \u200b sleeps"
    assert heard(outputs).size


def test_no_text_is_no_speech(models: dict[str, LoadedModel]) -> None:
    [output] = [synthesizer(models["echostream"]).start().step(" \n", is_final=True)]
    assert output.is_final
    assert (output.units, output.waveform.size, output.num_segments) == ((), 0, 0)


def test_bad_input_leaves_the_session_valid(models: dict[str, LoadedModel]) -> None:
    made = synthesizer(models["echostream"], replace(OPTIONS, max_len=30))
    expected = speak(made, ["the cat", "sleeps"])
    session = made.start()
    outputs = [session.step("the cat")]
    with pytest.raises(TypeError, match="text is expected, not bytes"):
        session.step(b"sleeps")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max-len is 30"):
        session.step("sleeps " + "man" * 20, is_final=True)
    outputs += [session.step("sleeps"), session.step("", is_final=True)]
    np.testing.assert_array_equal(heard(outputs), heard(expected))
    with pytest.raises(StreamFinishedError, match="start another session"):
        session.step("again")


@pytest.mark.parametrize(
    ("silence_ms", "message"), [(-1, "negative"), (0, "no encoder frame"), (10, "at least")]
)
def test_silence_must_be_heard(models: dict[str, LoadedModel], silence_ms: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        synthesizer(models["echostream"], source_silence_ms=silence_ms)


def test_the_splitter_must_be_that_of_the_dictionary(
    models: dict[str, LoadedModel], tiny: dict[str, TinyCheckpoint], tmp_path: Path
) -> None:
    loaded = models["echostream"]
    with pytest.raises(FileNotFoundError, match="none"):
        load_splitter(loaded, tmp_path / "none.model")
    (tmp_path / "bad.model").write_bytes(b"no model")
    with pytest.raises(ValueError, match=r"bad\.model: not a sentencepiece model"):
        load_splitter(loaded, tmp_path / "bad.model")
    short = replace(loaded.text_vocabulary, symbols=loaded.text_vocabulary.symbols[:-2])
    with pytest.raises(ValueError, match="2 of its pieces"):
        SentencePieceSplitter(tiny["echostream"].folder / "dict.model", short)
    with pytest.raises(ValueError, match="sentencepiece model's path"):
        load_splitter(replace(loaded, task=None))
    beside = tiny["echostream"].folder / "dict.model"
    hidden = beside.rename(beside.with_suffix(".hidden"))
    try:
        with pytest.raises(FileNotFoundError, match=r"dict\.model: .*--tgt-splitter-path"):
            load_splitter(loaded)
    finally:
        hidden.rename(beside)
