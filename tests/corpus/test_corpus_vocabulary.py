"""Subword vocabularies: as large as the text allows, reproducible, readable by fairseq."""

from pathlib import Path

import pytest
from fairseq.data import Dictionary

from echostream.corpus import vocabulary
from echostream.corpus.grammar import sample_splits
from echostream.corpus.vocabulary import (
    ALPHABETS,
    SPECIALS,
    VOCAB_TYPES,
    flatten_word_counts,
    load_vocabulary,
    train_vocabulary,
    write_pieces,
)

each_type = pytest.mark.parametrize("vocab_type", VOCAB_TYPES)


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    return [sentence.fr for sentence in sample_splits({"train": 200}, seed=1)["train"]]


@each_type
def test_ids_agree_between_sentencepiece_and_fairseq(
    sentences: list[str], tmp_path: Path, vocab_type: str
) -> None:
    prefix = tmp_path / "spm"
    assert train_vocabulary(sentences, 120, prefix, vocab_type=vocab_type) == 120
    model = load_vocabulary(tmp_path / "spm.model")
    dictionary = Dictionary.load(str(tmp_path / "spm.txt"))
    assert len(dictionary) == len(model) == 120
    assert [model.id_to_piece(index) for index in range(4)] == list(SPECIALS)
    assert [dictionary[index] for index in range(120)] == [model.id_to_piece(index) for index in range(120)]
    assert (dictionary.bos(), dictionary.pad(), dictionary.eos(), dictionary.unk()) == (0, 1, 2, 3)
    lines = (tmp_path / "spm.vocab").read_text(encoding="utf-8").splitlines()
    assert [line.split("\t")[0] for line in lines] == [model.id_to_piece(index) for index in range(120)]
    for sentence in sentences[:20]:
        pieces = model.encode(sentence, out_type=str)
        assert dictionary.encode_line(" ".join(pieces), add_if_not_exist=False)[:-1].tolist() == model.encode(
            sentence
        )
        assert model.decode(pieces) == sentence


@each_type
def test_files_do_not_depend_on_the_folder(sentences: list[str], tmp_path: Path, vocab_type: str) -> None:
    for folder in ("a", "b"):
        train_vocabulary(sentences, 100, tmp_path / folder / "spm", vocab_type=vocab_type)
    for ending in (".model", ".vocab", ".txt"):
        assert (tmp_path / "a" / f"spm{ending}").read_bytes() == (
            tmp_path / "b" / f"spm{ending}"
        ).read_bytes()


@each_type
def test_a_small_text_gets_the_largest_possible_vocabulary(tmp_path: Path, vocab_type: str) -> None:
    said: list[str] = []
    text = ["le train part", "le bus part"]
    size = train_vocabulary(text, 5000, tmp_path / "spm", vocab_type=vocab_type, log=said.append)
    assert 10 < size < 60
    assert f"a vocabulary of {size}, not 5000" in said[0]
    same = train_vocabulary(text, size, tmp_path / "same", vocab_type=vocab_type, log=said.append)
    assert same == size
    assert len(said) == 1


@each_type
def test_required_characters_are_pieces(tmp_path: Path, vocab_type: str) -> None:
    train_vocabulary(
        ["le train part", "le bus part"],
        500,
        tmp_path / "spm",
        vocab_type=vocab_type,
        required_characters=ALPHABETS["fr"],
    )
    model = load_vocabulary(tmp_path / "spm.model")
    assert model.unk_id() not in model.encode("où est l'œuf de zoé")


@each_type
def test_errors(sentences: list[str], tmp_path: Path, vocab_type: str) -> None:
    with pytest.raises(ValueError, match=r"vocabulary of 10 cannot hold all characters: give at least \d+"):
        train_vocabulary(sentences, 10, tmp_path / "spm", vocab_type=vocab_type)
    with pytest.raises(ValueError, match="no text"):
        train_vocabulary(["", " "], 100, tmp_path / "spm")
    with pytest.raises(FileNotFoundError, match="no sentencepiece model"):
        load_vocabulary(tmp_path / "none.model")
    assert list(tmp_path.iterdir()) == []


def test_pieces_of_a_split(sentences: list[str], tmp_path: Path) -> None:
    train_vocabulary(sentences, 120, tmp_path / "spm")
    counts = write_pieces(
        tmp_path / "spm.model", {"a": sentences[0], "b": sentences[1]}, tmp_path / "train.tsv"
    )
    lines = (tmp_path / "train.tsv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "id\ttgt_text"
    assert [line.split("\t")[0] for line in lines[1:]] == ["a", "b"]
    for line, text in zip(lines[1:], sentences[:2], strict=True):
        pieces = line.split("\t")[1].split(" ")
        assert "".join(pieces).replace("▁", " ").strip() == text
        assert counts[line.split("\t")[0]] == len(pieces)
    with pytest.raises(ValueError, match="the text of a is empty"):
        write_pieces(tmp_path / "spm.model", {"a": ""}, tmp_path / "dev.tsv")


def test_command_line(sentences: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text.txt"
    text.write_text("\n".join(sentences), encoding="utf-8")
    arguments = ["--text", str(text), "--prefix", str(tmp_path / "new" / "spm")]
    assert vocabulary.main([*arguments, "--vocab-size", "100", "--alphabet", "fr"]) == 0
    assert "100 pieces" in capsys.readouterr().out
    assert vocabulary.main([*arguments, "--vocab-size", "100", "--vocab-type", "bpe"]) == 0
    assert vocabulary.main([*arguments, "--vocab-size", "5"]) == 1
    assert "give at least" in capsys.readouterr().err
    assert vocabulary.main(["--text", str(tmp_path / "none"), "--prefix", str(tmp_path / "x")]) == 1
    assert "no text file" in capsys.readouterr().err


def test_flattened_word_counts() -> None:
    sentences = ["le train part", "le bus part", *["le bus"] * 7]
    flat = flatten_word_counts(sentences, 0.5)
    assert {word: flat.count(word) for word in set(flat)} == {"le": 3, "bus": 3, "part": 1, "train": 1}
    assert flatten_word_counts(sentences, 1.0).count("le") == 9
    assert flatten_word_counts(reversed(sentences), 0.5) == flat
