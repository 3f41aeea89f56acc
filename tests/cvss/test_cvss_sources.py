"""The downloads are read as they are published, and malformed ones are named."""

from collections.abc import Callable
from pathlib import Path

import pytest

from echostream.cvss.pairs import match
from echostream.cvss.sources import CorpusError, Sources, read_transcripts, read_translations
from echostream.cvss.text import normalize_transcript, normalize_translation
from tests.cvss.look_alike import write_covost_table

SENTENCE = 'Il dit : "oui"\tet \\ non'


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    rows = [("a_1.mp3", SENTENCE, "Yes.", "s"), ("a_2.mp3", "Deux ?", "Two?", "s")]
    write_covost_table(tmp_path / "covost_v2.de_en.train.tsv", rows)
    (tmp_path / "train.tsv").write_text("a_2.mp3\ttwo\na_1.mp3\the says yes\n", encoding="utf-8")
    return Sources(tmp_path, tmp_path, "de")


def test_escaped_characters(sources: Sources) -> None:
    assert read_transcripts(sources, "train") == {"a_1.mp3": SENTENCE, "a_2.mp3": "Deux ?"}


def test_translations_keep_their_order(sources: Sources) -> None:
    assert list(read_translations(sources, "train").items()) == [
        ("a_2.mp3", "two"),
        ("a_1.mp3", "he says yes"),
    ]


def test_splits_are_made_from_the_downloads(tmp_path: Path) -> None:
    """As CoVoST 2's own script does: its training set is larger than Common Voice's."""
    whole = ["path\ttranslation\tsplit"]
    labels = ("train", "train_covost", "dev", "dev_covost", "test")
    whole += [f"a_{number}.mp3\tx\t{label}" for number, label in enumerate(labels)]
    (tmp_path / "covost_v2.es_en.tsv").write_text("\n".join(whole) + "\n", encoding="utf-8")
    validated = ["client_id\tpath\tsentence\tup_votes"]
    validated += [f"c\ta_{number}.mp3\tfrase {number}\t2" for number in range(6)]
    (tmp_path / "validated.tsv").write_text("\n".join(validated) + "\n", encoding="utf-8")
    sources = Sources(tmp_path, tmp_path, "es")
    assert read_transcripts(sources, "train") == {"a_0.mp3": "frase 0", "a_1.mp3": "frase 1"}
    assert read_transcripts(sources, "dev") == {"a_2.mp3": "frase 2"}
    assert read_transcripts(sources, "test") == {"a_4.mp3": "frase 4"}


@pytest.mark.parametrize(
    ("reader", "name", "text", "message"),
    [
        (read_transcripts, "covost_v2.de_en.train.tsv", "path\tsentence\na.mp3\n", "line 2: 1 columns"),
        (read_transcripts, "covost_v2.de_en.train.tsv", "path\ttext\na.mp3\tx\n", "no column sentence"),
        (read_transcripts, "covost_v2.de_en.train.tsv", "path\tsentence\n", "holds no row"),
        (read_translations, "train.tsv", "a.mp3\tone\na.mp3\ttwo\n", "line 2: the clip a.mp3 stands"),
        (read_translations, "train.tsv", "a.mp3\tone\nb.mp3\n", "line 2: 1 columns instead of two"),
        (read_translations, "train.tsv", "a.wav\tone\n", "'a.wav' is not the name of an mp3 clip"),
        (read_translations, "train.tsv", "../a.mp3\tone\n", "is not the name of an mp3 clip"),
    ],
)
def test_malformed_tables(
    sources: Sources,
    reader: Callable[[Sources, str], dict[str, str]],
    name: str,
    text: str,
    message: str,
) -> None:
    (sources.cvss_root / name).write_text(text, encoding="utf-8")
    with pytest.raises(CorpusError, match=message):
        reader(sources, "train")


def test_missing_tables(sources: Sources) -> None:
    with pytest.raises(CorpusError, match=r"dev\.tsv: no such file, nor covost_v2\.de_en\.tsv and validated"):
        read_transcripts(sources, "dev")
    with pytest.raises(CorpusError, match="CVSS_ROOT must be the unpacked CVSS-C archive"):
        read_translations(sources, "dev")
    with pytest.raises(CorpusError, match="must be fr, es, de"):
        Sources(sources.covost_root, sources.cvss_root, "it")


def test_pairs_without_words_are_left_out() -> None:
    transcripts = {"a.mp3": "Oui !", "b.mp3": " … ?", "c.mp3": "Non."}
    pairs, left_out = match(transcripts, {"c.mp3": " ", "b.mp3": "what", "a.mp3": "Yes  sir"})
    assert [(pair.id, pair.src_text, pair.tgt_text) for pair in pairs] == [("a", "oui", "yes sir")]
    assert left_out == [("c.mp3", "no word in the translation"), ("b.mp3", "no word in the transcript")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # From the documentation of StreamSpeech's data.
        ("Oh ! parce que maintenant, je m’en vais !", "oh parce que maintenant je men vais"),
        ("Un comité s'est tenu ; numéro cent vingt-huit.", "un comité sest tenu numéro cent vingthuit"),
        ("«\u00a0L'ÉTÉ\u00a0»", "lété"),
        ("e\u0301te\u0301", "été"),
        ("¿Qué? ¡No!", "qué no"),
    ],
)
def test_transcripts_are_normalised(text: str, expected: str) -> None:
    assert normalize_transcript(text) == expected


def test_translations_stay_as_they_are() -> None:
    assert normalize_translation("i'll say  a few words") == "i'll say a few words"
