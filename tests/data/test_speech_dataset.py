"""The dataset reads any kind of source and makes fairseq's samples."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from echostream.data.audio import AudioError
from echostream.data.data_config import SpeechDataConfig, TextTasksConfig
from echostream.data.fbank import GlobalCMVN
from echostream.data.manifest import ManifestError
from echostream.data.source_features import load_source_features
from echostream.data.speech_to_speech_dataset import SpeechToUnitDataset, TextTargets, load_speech_dataset
from echostream.tasks.speech_to_speech_ctc import SpeechToSpeechCTCTask
from tests.data.tiny_corpus import TinyCorpus, build, edit_yaml, write_tsv, zip_audio


@pytest.fixture
def corpus(tmp_path: Path) -> TinyCorpus:
    return build(tmp_path / "corpus")


def load(corpus: TinyCorpus, split: str = "dev") -> SpeechToUnitDataset:
    tasks = TextTasksConfig(corpus.root / "config_mtl.yaml").get_all_tasks()
    return load_speech_dataset(
        corpus.root,
        SpeechDataConfig(corpus.root / "config.yaml"),
        split,
        is_train_split=split.startswith("train"),
        dictionary=SpeechToSpeechCTCTask.build_unit_dictionary(20),
        text_tasks=tasks,
    )


def write_npy(corpus: TinyCorpus, features: np.ndarray) -> str:
    np.save(corpus.root / "features.npy", features)
    return (corpus.root / "features.npy").as_posix()


def test_features_are_normalised_fbank(corpus: TinyCorpus) -> None:
    dataset = load(corpus)
    sample, texts = dataset[1]
    expected = torch.from_numpy(load_source_features((corpus.root / "audio" / "s1.wav").as_posix()))
    cmvn = GlobalCMVN.from_npz(corpus.root / "gcmvn.npz")
    torch.testing.assert_close(sample.source, cmvn(expected), atol=1e-5, rtol=0)
    assert sample.source.shape[0] == dataset.n_frames[1]
    units = corpus.manifest.read_text(encoding="utf-8").splitlines()[2].split("\t")[3]
    assert sample.target.tolist() == [int(unit) + 4 for unit in units.split()] + [2]
    assert texts["target_unigram"].tolist()[-1] == 2, "the text decoder's targets end with </s>"
    assert 2 not in texts["source_unigram"].tolist(), "CTC targets have no </s>"


def test_specaugment_only_in_training(corpus: TinyCorpus) -> None:
    plain, augmented = load(corpus, "dev")[0][0].source, load(corpus, "train")[0][0].source
    assert plain.shape == augmented.shape
    assert not torch.equal(plain, augmented)
    assert torch.equal(plain, load(corpus, "dev")[0][0].source)


def test_random_transforms_depend_on_epoch_and_utterance_alone(corpus: TinyCorpus) -> None:
    """A resumed training sees what an uninterrupted one does, whatever the loader processes."""
    dataset = load(corpus, "train")
    first = dataset[0][0].source
    np.random.seed(99)
    assert torch.equal(dataset[0][0].source, first)
    dataset[1]
    assert np.random.randint(10**9) == np.random.RandomState(99).randint(10**9)
    loader: torch.utils.data.DataLoader[Any] = torch.utils.data.DataLoader(
        dataset, batch_size=4, collate_fn=dataset.collater, num_workers=1, persistent_workers=True
    )
    seen = []
    for epoch in (1, 2):
        dataset.set_epoch(epoch)
        (batch,) = loader
        seen.append(batch["net_input"]["src_tokens"])
        here = dataset.collater([dataset[index] for index in range(4)])
        assert torch.equal(seen[-1], here["net_input"]["src_tokens"])
    assert not torch.equal(*seen)


def test_collated_batch(corpus: TinyCorpus) -> None:
    dataset = load(corpus)
    batch = dataset.collater([dataset[index] for index in range(4)])
    assert batch["id"].tolist() == [3, 2, 1, 0], "longest source first"
    assert batch["net_input"]["src_tokens"].shape == (4, dataset.n_frames[3], 80)
    assert batch["net_input"]["src_lengths"].tolist() == [dataset.n_frames[index] for index in (3, 2, 1, 0)]
    assert batch["target_lengths"].tolist() == [7, 7, 7, 7]
    assert batch["ntokens"] == 28
    mt = batch["multitask"]["target_unigram"]
    assert mt["target_lengths"].tolist() == [6, 5, 5, 3]
    first = mt["net_input"]["prev_output_tokens"][3, 0].item()
    assert first == 2, "the decoder's input starts with </s>"


def test_any_audio_gives_the_same_features(corpus: TinyCorpus) -> None:
    path = corpus.root / "audio" / "s0.wav"
    samples, _ = soundfile.read(path, dtype="float32")
    reference = load_source_features(path.as_posix())
    soundfile.write(corpus.root / "stereo.flac", np.stack([samples, samples], axis=1), 16000)
    np.testing.assert_allclose(
        load_source_features((corpus.root / "stereo.flac").as_posix()), reference, atol=1e-3
    )
    location = zip_audio(corpus.root)["s0.wav"]
    np.testing.assert_array_equal(load_source_features((corpus.root / location).as_posix()), reference)
    times = np.arange(2 * 48000) / 48000
    soundfile.write(corpus.root / "tone48.wav", 0.3 * np.sin(2 * np.pi * 440 * times), 48000)
    soundfile.write(corpus.root / "tone16.wav", 0.3 * np.sin(2 * np.pi * 440 * times[::3]), 16000)
    tones = [load_source_features((corpus.root / f"tone{rate}.wav").as_posix()) for rate in (48, 16)]
    assert tones[0].shape == tones[1].shape == (198, 80)
    loud = tones[1] > 8
    assert np.abs(tones[0] - tones[1])[loud].max() < 0.1


def test_features_computed_before(corpus: TinyCorpus) -> None:
    features = np.arange(5 * 80, dtype=np.float32).reshape(5, 80)
    location = write_npy(corpus, features)
    np.testing.assert_array_equal(load_source_features(location), features)
    entry = (corpus.root / "features.npy").read_bytes()
    (corpus.root / "packed.bin").write_bytes(b"prefix" + entry)
    packed = f"{corpus.root / 'packed.bin'}:6:{len(entry)}"
    np.testing.assert_array_equal(load_source_features(packed), features)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros((5, 40), np.float32), r"features must be \[frames, 80\]"),
        (np.zeros((0, 80), np.float32), r"features must be \[frames, 80\]"),
        (np.full((5, 80), np.nan, np.float32), "not finite"),
        (np.array([{"a": 1}], dtype=object), "not a readable npy file"),
    ],
)
def test_bad_features(corpus: TinyCorpus, features: np.ndarray, message: str) -> None:
    with pytest.raises(AudioError, match=message) as caught:
        load_source_features(write_npy(corpus, features))
    assert "features.npy" in str(caught.value)


def test_bad_audio_is_named(corpus: TinyCorpus) -> None:
    soundfile.write(corpus.root / "short.wav", np.zeros(399, np.float32), 16000)
    with pytest.raises(AudioError, match=r"short\.wav: 399 samples are less than one window"):
        load_source_features((corpus.root / "short.wav").as_posix())
    (corpus.root / "text.wav").write_text("no audio", encoding="utf-8")
    with pytest.raises(AudioError, match=r"text\.wav"):
        load_source_features((corpus.root / "text.wav").as_posix())


def test_missing_text_of_an_id(corpus: TinyCorpus) -> None:
    write_tsv(corpus.root / "src_unigram" / "dev.tsv", ("id", "tgt_text"), [("s0", "▁je")])
    with pytest.raises(ManifestError, match=r"src_unigram/dev\.tsv: no row for 3 id\(s\)"):
        load(corpus)


def test_unknown_pieces(corpus: TinyCorpus, caplog: pytest.LogCaptureFixture) -> None:
    texts = corpus.root / "src_unigram" / "dev.tsv"
    rows: list[tuple[object, ...]] = [(f"s{number}", "▁je ▁xyz") for number in range(4)]
    write_tsv(texts, ("id", "tgt_text"), rows)
    with caplog.at_level(logging.WARNING):
        load(corpus)
    assert "4 of 8 pieces are unknown, the first is '▁xyz' of id 's0'" in caplog.text
    write_tsv(texts, ("id", "tgt_text"), [(f"s{number}", "▁xyz") for number in range(4)])
    with pytest.raises(ManifestError, match="no piece is in"):
        load(corpus)


def test_asking_for_another_id_is_an_error(corpus: TinyCorpus) -> None:
    config = TextTasksConfig(corpus.root / "config_mtl.yaml").get_single_task("source_unigram")
    targets = TextTargets(config, "dev", ["s0"], corpus.manifest)
    with pytest.raises(ManifestError, match="no row for id 's9'"):
        targets.get("s9")


def test_several_splits(corpus: TinyCorpus) -> None:
    dataset = load(corpus, "train,dev")
    assert len(dataset) == 8
    assert len(dataset.collater([dataset[0], dataset[7]])["id"]) == 2


def test_waveform_transforms_are_applied(corpus: TinyCorpus) -> None:
    path = (corpus.root / "audio" / "s0.wav").as_posix()

    def louder(source: np.ndarray, sample_rate: int) -> tuple[np.ndarray, int]:
        assert sample_rate == 16000
        assert source.ndim == 2
        assert 1000 < np.abs(source).max() < 32768, "fairseq's transforms expect the range of 16-bit samples"
        return 2 * source, sample_rate

    difference = load_source_features(path, louder) - load_source_features(path)
    np.testing.assert_allclose(difference, np.log(4), atol=1e-2)


def test_config_without_normalisation(corpus: TinyCorpus) -> None:
    edit_yaml(corpus.root / "config.yaml", {"transforms": None, "global_cmvn": None})
    path = (corpus.root / "audio" / "s0.wav").as_posix()
    np.testing.assert_array_equal(load(corpus)[0][0].source.numpy(), load_source_features(path))
