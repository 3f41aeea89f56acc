"""French and English forms by hand; sampling without duplicates; what is held out stays held out."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from echostream.corpus import english, french
from echostream.corpus import templates as t
from echostream.corpus.choices import AllOf, Evenly
from echostream.corpus.clause import Template
from echostream.corpus.frames import MAX_WORDS
from echostream.corpus.grammar import Grammar, Sentence, main, normalize, sample_splits
from echostream.corpus.lexicon import LEXICON_PATH, Lexicon, Phrase, load_lexicon
from echostream.corpus.phrases import PhraseBook
from echostream.corpus.template_table import HELDOUT_TEMPLATES, TRAIN_TEMPLATES
from tests.corpus.sentence_parts import adjective, noun, pronoun, texts, verb

Draw = Callable[[dict[str, int], int], dict[str, list[Sentence]]]

SIZES = {"train": 3000, "dev": 100, "test": 100, "test_hard": 300}


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return load_lexicon()


@pytest.fixture(scope="module")
def draw(lexicon: Lexicon) -> Draw:
    """`sample_splits` with grammars that are built once."""
    grammar, hard_grammar = Grammar(lexicon, heldout=False), Grammar(lexicon, heldout=True)

    def sample(sizes: dict[str, int], seed: int) -> dict[str, list[Sentence]]:
        return sample_splits(sizes, seed, lexicon=lexicon, grammar=grammar, hard_grammar=hard_grammar)

    return sample


@pytest.fixture(scope="module")
def book(lexicon: Lexicon) -> PhraseBook:
    return PhraseBook(lexicon, allow_heldout=True)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (["je", "ai", "acheté"], "j'ai acheté"),
        (["je", "ne", "aime", "pas"], "je n'aime pas"),
        (["la", "école"], "l'école"),
        (["le", "hôtel"], "l'hôtel"),
        (["le", "homard"], "le homard"),
        (["le", "onze"], "le onze"),
        (["de", "huit", "heures"], "de huit heures"),
        (["de", "yaourts"], "de yaourts"),
        (["ce", "que", "elle", "a"], "ce qu'elle a"),
        (["le", "œuf"], "l'œuf"),
        (["je", "y", "vais"], "j'y vais"),
        (["le", "yoga"], "le yoga"),
        (["de", "", "eau froide"], "d'eau froide"),
        (["si", "il pleut"], "s'il pleut"),
        (["si", "elle dort"], "si elle dort"),
        (["lorsque", "ils", "chantent"], "lorsqu'ils chantent"),
    ],
)
def test_elision(lexicon: Lexicon, tokens: list[str], expected: str) -> None:
    assert french.join_french(tokens, lexicon.no_elision) == expected


@pytest.mark.parametrize(
    ("preposition", "phrase", "expected"),
    [
        ("à", ["le", "marché"], "au marché"),
        ("à", ["la", "gare"], "à la gare"),
        ("à", ["le", "hôtel"], "à l'hôtel"),
        ("à", ["les", "amis"], "aux amis"),
        ("à", ["le", "homard"], "au homard"),
        ("près de", ["le", "parc"], "près du parc"),
        ("de", ["les", "voisins"], "des voisins"),
        ("de", ["mon", "frère"], "de mon frère"),
        ("de", ["alice"], "d'alice"),
        ("devant", ["le", "musée"], "devant le musée"),
    ],
)
def test_contraction(lexicon: Lexicon, preposition: str, phrase: list[str], expected: str) -> None:
    words = french.contract(preposition, phrase, lexicon.no_elision)
    assert french.join_french(words, lexicon.no_elision) == expected


@pytest.mark.parametrize(
    ("word", "determiner", "adjective_fr", "fr", "en"),
    [
        ("hôtel", "the", "beau", "le bel hôtel", "the beautiful hotel"),
        ("hôtel", "this", None, "cet hôtel", "this hotel"),
        ("hôtel", "this", "nouveau", "ce nouvel hôtel", "this new hotel"),
        ("église", "this", "vieux", "cette vieille église", "this old church"),
        ("écharpe", "my", None, "mon écharpe", "my scarf"),
        ("écharpe", "my", "joli", "ma jolie écharpe", "my pretty scarf"),
        ("écharpe", "two", "blanc", "deux écharpes blanches", "two white scarves"),
        ("robe", "some", "petit", "de petites robes", "some small dresses"),
        ("robe", "some", "rouge", "des robes rouges", "some red dresses"),
        ("chaussure", "the_plural", "marron", "les chaussures marron", "the brown shoes"),
        ("gâteau", "several", "délicieux", "plusieurs gâteaux délicieux", "several delicious cakes"),
        ("cheval", "these", "vieux", "ces vieux chevaux", "these old horses"),
        ("eau", "some_mass", "frais", "de l'eau fraîche", "some fresh water"),
        ("pain", "some_mass", "bon", "du bon pain", "some good bread"),
        ("orange", "a", None, "une orange", "an orange"),
        ("uniforme", "a", "gris", "un uniforme gris", "a grey uniform"),
        ("uniforme", "a", None, "un uniforme", "a uniform"),
        ("voiture", "their", "cher", "leur voiture chère", "their expensive car"),
        ("couteau", "our_plural", "bleu", "nos couteaux bleus", "our blue knives"),
    ],
)
def test_noun_phrase(
    book: PhraseBook, word: str, determiner: str, adjective_fr: str | None, fr: str, en: str
) -> None:
    chosen = adjective(book.lexicon, adjective_fr) if adjective_fr else None
    phrase = book.noun_phrase(noun(book.lexicon, word), determiner, chosen)
    assert french.join_french(phrase.fr, book.lexicon.no_elision) == fr
    assert phrase.en == en


def test_indefinite_articles_disappear_after_de(book: PhraseBook) -> None:
    time = Phrase("aujourd'hui", "today")
    apples = book.noun_phrase(noun(book.lexicon, "pomme"), "some")
    water = book.noun_phrase(noun(book.lexicon, "eau"), "some_mass")
    ticket = book.noun_phrase(noun(book.lexicon, "billet"), "a")
    key = book.noun_phrase(noun(book.lexicon, "pain"), "the")
    expected = [
        "j'ai besoin de pommes",
        "j'ai besoin d'eau",
        "j'ai besoin d'un billet",
        "j'ai besoin du pain",
    ]
    for phrase, fr in zip((apples, water, ticket, key), expected, strict=True):
        assert texts(book, t.need(pronoun("je"), phrase, time))[0] == f"{fr} aujourd'hui"


@pytest.mark.parametrize(
    ("function", "word", "expected"),
    [
        (english.third_person, "look for", "looks for"),
        (english.third_person, "try", "tries"),
        (english.third_person, "buy", "buys"),
        (english.third_person, "wash", "washes"),
        (english.third_person, "have dinner", "has dinner"),
        (english.gerund, "write", "writing"),
        (english.gerund, "pay for", "paying for"),
        (english.gerund, "see", "seeing"),
        (english.plural, "city", "cities"),
        (english.plural, "watch", "watches"),
        (english.plural, "living room", "living rooms"),
        (english.indefinite_article, "hour", "an"),
        (english.indefinite_article, "old car", "an"),
        (english.indefinite_article, "university", "a"),
        (french.plural, "journal", "journaux"),
        (french.plural, "bleu", "bleus"),
        (french.plural, "bras", "bras"),
        (french.feminine, "curieux", "curieuse"),
        (french.feminine, "léger", "légère"),
    ],
)
def test_word_forms(function: object, word: str, expected: str) -> None:
    assert callable(function)
    assert function(word) == expected


def test_irregular_verbs_must_be_listed() -> None:
    assert french.regular_present("parler") == ("parle", "parles", "parle", "parlons", "parlez", "parlent")
    with pytest.raises(ValueError, match="present="):
        french.regular_present("boire")


@pytest.mark.parametrize(
    ("infinitive", "person", "expected"),
    [
        ("nager", 0, "nageais"),
        ("nager", 3, "nagions"),
        ("étudier", 3, "étudiions"),
        ("courir", 5, "couraient"),
    ],
)
def test_imperfect(lexicon: Lexicon, infinitive: str, person: int, expected: str) -> None:
    assert french.imperfect(verb(lexicon, infinitive).present, person) == expected


def test_imperfect_of_cedilla_and_present_participle(lexicon: Lexicon) -> None:
    begin = ("commence", "commences", "commence", "commençons", "commencez", "commencent")
    assert [french.imperfect(begin, person) for person in (2, 4)] == ["commençait", "commenciez"]
    assert french.present_participle(begin) == "commençant"
    assert french.present_participle(verb(lexicon, "dormir").present) == "dormant"


def test_splits_are_disjoint_and_without_duplicates(draw: Draw) -> None:
    drawn = draw(SIZES, 3)
    assert {name: len(sentences) for name, sentences in drawn.items()} == SIZES
    for side in ("fr", "en"):
        counts = Counter(getattr(sentence, side) for split in drawn.values() for sentence in split)
        easy = Counter(getattr(s, side) for name in ("train", "dev", "test") for s in drawn[name])
        assert max(easy.values()) == 1
        assert max(counts.values()) == 1


def test_heldout_words_and_templates_never_occur_in_train(draw: Draw) -> None:
    drawn = draw(SIZES | {"train": 20000}, 1)
    for side in ("fr", "en"):
        known = {
            word
            for name in ("train", "dev", "test")
            for s in drawn[name]
            for word in getattr(s, side).split()
        }
        for sentence in drawn["test_hard"]:
            assert set(getattr(sentence, side).split()) - known, sentence
    easy_templates = {sentence.template for name in ("train", "dev", "test") for sentence in drawn[name]}
    assert easy_templates == {template.name for template in TRAIN_TEMPLATES}
    hard_templates = {sentence.template for sentence in drawn["test_hard"]}
    assert hard_templates <= {template.name for template in HELDOUT_TEMPLATES}
    assert not easy_templates & {template.name for template in HELDOUT_TEMPLATES}
    assert len(easy_templates) >= 300
    assert len(hard_templates) >= 50


def test_text_is_normalized_and_of_the_expected_length(draw: Draw) -> None:
    drawn = draw(SIZES, 2)
    every = [sentence for split in drawn.values() for sentence in split]
    assert all(normalize(s.fr) == s.fr and normalize(s.en) == s.en for s in every)
    num_words = [len(sentence.fr.split()) for sentence in drawn["train"]]
    assert 10 < sum(num_words) / len(num_words) < 11.5
    assert max(num_words) <= MAX_WORDS
    assert sum(number > 12 for number in num_words) < len(num_words) / 3
    assert sum(number < 5 for number in num_words) < len(num_words) / 200
    assert normalize("Où est l\N{RIGHT SINGLE QUOTATION MARK}Hôtel ? Là-bas…") == "où est l'hôtel là bas"


def test_the_grammar_is_large(lexicon: Lexicon, draw: Draw) -> None:
    assert Grammar(lexicon, heldout=False).num_combinations > 10**9
    words = {word for s in draw({"train": 8000}, 1)["train"] for word in s.fr.split()}
    assert len(words) > 1500


def test_sampling_is_reproducible_and_evaluation_sets_do_not_depend_on_train(draw: Draw) -> None:
    first, second = draw(SIZES, 5), draw(SIZES, 5)
    assert first == second
    smaller = draw(SIZES | {"train": 10}, 5)
    assert (smaller["dev"], smaller["test"]) == (first["dev"], first["test"])
    assert smaller["test_hard"] == first["test_hard"]
    assert draw(SIZES, 6)["train"] != first["train"]


def few_sentences() -> tuple[Template, ...]:
    places = [Phrase("à paris", "in paris"), Phrase("à rome", "in rome"), Phrase("à rome", "in rome again")]
    return (
        Template("tiny", lambda b: (["il pleut", "il neige"], places), lambda w, p: ([w, p.fr], [w, p.en])),
    )


def test_more_than_exists_is_an_error(lexicon: Lexicon) -> None:
    grammar = Grammar(lexicon, heldout=False, templates=few_sentences())
    assert len(list(grammar.stream(random.Random(0)))) == 4  # six combinations, two of them the same French
    assert (
        len(
            sample_splits({"train": 3, "test": 1}, 1, lexicon=lexicon, grammar=grammar, hard_grammar=grammar)[
                "train"
            ]
        )
        == 3
    )
    with pytest.raises(ValueError, match="only 4 distinct ones exist"):
        sample_splits({"train": 5}, 1, lexicon=lexicon, grammar=grammar, hard_grammar=grammar)
    with pytest.raises(ValueError, match="at most 6"):
        sample_splits({"train": 7}, 1, lexicon=lexicon, grammar=grammar, hard_grammar=grammar)


@pytest.mark.parametrize(
    ("sizes", "message"), [({"trian": 1}, "unknown split"), ({"dev": -1}, "must not be negative")]
)
def test_bad_sizes(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sample_splits(sizes, seed=1)


def test_bad_lexicon_entries_are_named(tmp_path: Path) -> None:
    text = LEXICON_PATH.read_text(encoding="utf-8")
    for old, new, message in (
        ("[pomme, f, apple]", "[pomme, x, apple]", "pomme.*gender"),
        ("present=bois bois boit buvons buvez boivent", "present=bois", "six present forms"),
        ("transport:", "trnsport:", "missing: transport"),
    ):
        path = tmp_path / "lexicon.yaml"
        path.write_text(text.replace(old, new), encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            load_lexicon(path)


def test_choices_index_every_combination() -> None:
    combined = AllOf(lambda a, b: a + b, ["xyz", Evenly([["1"], [], ["2", "3"]])])
    assert set(combined) == {a + b for a in "xyz" for b in "123"}
    assert Evenly([["a"], ["b", "c"]])[-1] == "c"
    shares = Counter(Evenly(["a", "bcd"]))
    assert shares["a"] == shares["b"] + shares["c"] + shares["d"]
    assert combined[:2] == [combined[0], combined[1]]
    with pytest.raises(IndexError):
        combined[len(combined)]


def test_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--train", "2", "--test-hard", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["train", "train", "test_hard"]
    assert main(["--train", str(10**30)]) == 1
    assert "ask for fewer" in capsys.readouterr().err
