"""A bad manifest row is an error that names the file, the line and the id."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fairseq.data import Dictionary

from echostream.data.manifest import (
    ManifestError,
    MissingManifestError,
    read_speech_manifest,
    read_text_targets,
    read_tsv,
)
from tests.data.tiny_corpus import TinyCorpus, build, zip_audio


@pytest.fixture
def corpus(tmp_path: Path) -> TinyCorpus:
    return build(tmp_path / "corpus")


@pytest.fixture
def dictionary() -> Dictionary:
    units = Dictionary()
    for unit in range(20):
        units.add_symbol(str(unit))
    units.add_symbol("<blank>")
    return units


def edit(path: Path, change: Callable[[list[list[str]]], None]) -> None:
    """Change the cells of a TSV; row 0 is the header."""
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    change(rows)
    path.write_text("\n".join("\t".join(row) for row in rows) + "\n", encoding="utf-8")


def set_cell(row: int, column: int, value: str) -> Callable[[list[list[str]]], None]:
    def change(rows: list[list[str]]) -> None:
        rows[row][column] = value

    return change


def test_reads_a_good_manifest(corpus: TinyCorpus, dictionary: Dictionary) -> None:
    samples = read_speech_manifest(corpus.manifest, corpus.root, dictionary)
    assert [sample.id for sample in samples] == ["s0", "s1", "s2", "s3"]
    assert [sample.line for sample in samples] == [2, 3, 4, 5]
    assert samples[0].src_audio == (corpus.root / "audio" / "s0.wav").as_posix()
    assert samples[0].src_num_frames == 98
    assert len(samples[0].units.split()) == samples[0].num_units == 6
    assert samples[0].src_lang == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_cell(0, 3, "units"), r"train\.tsv: line 1: missing column tgt_audio"),
        (set_cell(0, 3, "id"), r"line 1: missing column tgt_audio"),
        (set_cell(2, 1, "audio/none.wav"), r"line 3 \(id 's1'\): missing audio: .*none\.wav"),
        (set_cell(2, 1, ""), r"line 3 \(id 's1'\): src_audio is empty"),
        (
            set_cell(2, 2, "12.5"),
            r"line 3 \(id 's1'\): src_n_frames must be a positive whole number, not '12\.5'",
        ),
        (set_cell(2, 2, "0"), r"src_n_frames must be a positive whole number, not '0'"),
        (set_cell(3, 4, "-6"), r"line 4 \(id 's2'\): tgt_n_frames must be a positive whole number"),
        (set_cell(4, 3, " "), r"line 5 \(id 's3'\): the target is empty"),
        (set_cell(4, 3, "1 20 3"), r"line 5 \(id 's3'\): unit 20 is not in the unit dictionary"),
        (set_cell(4, 3, "1 <unk> 3"), r"unit <unk> is not in the unit dictionary"),
        (set_cell(4, 3, "1 <blank>"), r"unit <blank> is not in the unit dictionary"),
        (set_cell(4, 0, "s1"), r"line 5: id 's1' stands on line 3 already"),
        (set_cell(4, 0, ""), r"line 5: the id is empty"),
        (lambda rows: rows[2].pop(), r"line 3: 4 columns, but the header has 5"),
        (lambda rows: rows.__delitem__(slice(1, None)), r"holds no row below the header"),
    ],
)
def test_bad_rows(
    corpus: TinyCorpus, dictionary: Dictionary, change: Callable[[list[list[str]]], None], message: str
) -> None:
    edit(corpus.manifest, change)
    with pytest.raises(ManifestError, match=message):
        read_speech_manifest(corpus.manifest, corpus.root, dictionary)


def test_empty_audio_file(corpus: TinyCorpus, dictionary: Dictionary) -> None:
    (corpus.root / "audio" / "s2.wav").write_bytes(b"")
    with pytest.raises(ManifestError, match=r"line 4 \(id 's2'\): empty audio file"):
        read_speech_manifest(corpus.manifest, corpus.root, dictionary)


def test_archives(corpus: TinyCorpus, dictionary: Dictionary) -> None:
    locations = zip_audio(corpus.root)
    edit(corpus.manifest, set_cell(1, 1, locations["s0.wav"]))
    assert read_speech_manifest(corpus.manifest, corpus.root, dictionary)[0].src_audio.endswith(
        locations["s0.wav"]
    )
    for bad, message in [
        ("none.zip:0:10", "missing archive"),
        ("train.tsv:0:10", "not a zip archive"),
        ("audio.zip:40:0", "empty entry"),
        ("audio.zip:40:999999999", "the entry lies beyond the end"),
    ]:
        edit(corpus.manifest, set_cell(1, 1, bad))
        with pytest.raises(ManifestError, match=rf"line 2 \(id 's0'\): {message}"):
            read_speech_manifest(corpus.manifest, corpus.root, dictionary)


def test_missing_and_unreadable_manifest(corpus: TinyCorpus) -> None:
    with pytest.raises(MissingManifestError, match=r"none\.tsv: no such manifest") as caught:
        read_tsv(corpus.root / "none.tsv", ("id",))
    assert isinstance(caught.value, FileNotFoundError)
    corpus.manifest.write_bytes("id\ttexte\nx\tcaf\xe9\n".encode("latin-1"))
    with pytest.raises(ManifestError, match=r"train\.tsv: not UTF-8"):
        read_tsv(corpus.manifest, ("id",))


def test_quotes_are_ordinary_characters(tmp_path: Path) -> None:
    path = tmp_path / "text.tsv"
    path.write_text('id\ttgt_text\na\t"▁say "▁no\nb\t▁l\'"eau\n\n', encoding="utf-8")
    assert [row["tgt_text"] for _, row in read_tsv(path, ("id",))] == ['"▁say "▁no', "▁l'\"eau"]


def test_text_targets(corpus: TinyCorpus) -> None:
    path = corpus.root / "src_unigram" / "train.tsv"
    texts = read_text_targets(path, ["s1", "s0"], corpus.manifest)
    assert texts == {"s1": "▁au ▁marché", "s0": "▁je ▁vais"}
    with pytest.raises(ManifestError, match=r"no row for 2 id\(s\) of .*train\.tsv: 'x', 'y'"):
        read_text_targets(path, ["s1", "x", "y"], corpus.manifest)
    edit(path, set_cell(2, 1, "  "))
    with pytest.raises(ManifestError, match=r"line 3 \(id 's1'\): tgt_text is empty"):
        read_text_targets(path, ["s1"], corpus.manifest)
