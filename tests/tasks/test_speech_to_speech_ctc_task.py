"""The task's dictionaries, arguments and batches."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from echostream.data.data_config import MissingConfigError
from echostream.tasks.speech_to_speech_ctc import SpeechToSpeechCTCTask
from tests.data.tiny_corpus import TinyCorpus, build, edit_yaml


@pytest.fixture
def corpus(tmp_path: Path) -> TinyCorpus:
    return build(tmp_path / "corpus", num_sentences=11)


def setup_task(corpus: TinyCorpus, **changes: Any) -> SpeechToSpeechCTCTask:
    arguments = {
        "data": str(corpus.root),
        "config_yaml": "config.yaml",
        "multitask_config_yaml": "config_mtl.yaml",
        "target_is_code": True,
        "target_code_size": 20,
        "n_frames_per_step": 1,
        "eval_inference": False,
        "infer_target_lang": "",
        "seed": 1,
        "max_source_positions": 6000,
        "max_target_positions": 1200,
    }
    return SpeechToSpeechCTCTask.setup_task(Namespace(**{**arguments, **changes}))


def test_unit_dictionary(corpus: TinyCorpus) -> None:
    task = setup_task(corpus)
    dictionary = task.target_dictionary
    assert len(dictionary) == 4 + 20 + 1
    assert [dictionary.index(str(unit)) for unit in (0, 19)] == [4, 23]
    assert dictionary.index(task.blank_symbol) == 24
    assert len(SpeechToSpeechCTCTask.build_unit_dictionary(1000)) == 1005


def test_multitasks(corpus: TinyCorpus) -> None:
    task = setup_task(corpus)
    assert list(task.multitask_tasks) == ["target_unigram", "source_unigram", "ctc_target_unigram"]
    first_pass = [name for name, text in task.multitask_tasks.items() if text.is_first_pass_decoder]
    assert first_pass == ["target_unigram"]
    assert task.target_dictionary_mt is task.multitask_tasks["target_unigram"].target_dictionary
    assert task.multitask_tasks["source_unigram"].target_dictionary.bos() == 0, "blank of the text CTC heads"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target_is_code": False}, "--target-is-code"),
        ({"target_code_size": None}, "--target-code-size"),
        ({"target_code_size": 0}, "--target-code-size"),
        ({"n_frames_per_step": 5}, "--n-frames-per-step must be 1"),
        ({"eval_inference": True}, "--eval-inference is not supported"),
        ({"infer_target_lang": "en"}, "--infer-target-lang is not supported"),
        ({"train_subset": "valid"}, "--train-subset"),
        ({"multitask_config_yaml": None}, "--multitask-config-yaml is needed"),
        ({"config_yaml": "none.yaml"}, r"none\.yaml: no such configuration file"),
    ],
)
def test_bad_arguments(corpus: TinyCorpus, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        setup_task(corpus, **changes)


def test_missing_dictionary_is_an_error(corpus: TinyCorpus) -> None:
    edit_yaml(
        corpus.root / "config_mtl.yaml",
        {"source_unigram": {"decoder_type": "ctc", "dict": "x.txt", "data": "src_unigram"}},
    )
    with pytest.raises(MissingConfigError, match=r"source_unigram: dict: no such dictionary"):
        setup_task(corpus)


@pytest.mark.parametrize("multiple", [1, 8])
@pytest.mark.parametrize("limit", [{"max_sentences": 8}, {"max_tokens": 900}])
def test_no_batch_is_dropped(corpus: TinyCorpus, multiple: int, limit: dict[str, int]) -> None:
    task = setup_task(corpus)
    task.load_dataset("dev")
    iterator = task.get_batch_iterator(task.dataset("dev"), required_batch_size_multiple=multiple, **limit)
    found = sorted(
        index for batch in iterator.next_epoch_itr(shuffle=False) for index in batch["id"].tolist()
    )
    assert found == list(range(11))


def test_generator_takes_one_model_and_no_language_model(corpus: TinyCorpus) -> None:
    task = setup_task(corpus)
    with pytest.raises(ValueError, match="not an ensemble of 2"):
        task.build_generator([None, None], Namespace(beam=1))
    with pytest.raises(ValueError, match="--lm-path"):
        task.build_generator([None], Namespace(beam=1), extra_gen_cls_kwargs={"lm_model": object()})
