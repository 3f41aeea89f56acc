"""French and English forms by hand; sampling without duplicates; what is held out stays held out."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from echostream.corpus import english, french
from echostream.corpus import templates as t
from echostream.corpus.choices import AllOf, OneOf
from echostream.corpus.grammar import Grammar, Sentence, main, normalize, sample_splits
from echostream.corpus.lexicon import LEXICON_PATH, Adjective, Lexicon, Noun, Phrase, Verb, load_lexicon
from echostream.corpus.phrases import PRONOUNS, Action, Described, PhraseBook, Subject
from echostream.corpus.template_table import HELDOUT_TEMPLATES, TRAIN_TEMPLATES
from echostream.corpus.templates import Template

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


def noun(lexicon: Lexicon, fr: str) -> Noun:
    return next(item for item in lexicon.nouns if item.fr == fr)


def adjective(lexicon: Lexicon, masculine: str) -> Adjective:
    return next(item for item in lexicon.adjectives if item.masculine == masculine)


def verb(lexicon: Lexicon, infinitive: str) -> Verb:
    verbs = (*lexicon.verbs, *lexicon.intransitive_verbs, *lexicon.motion_verbs, *lexicon.modals)
    return next(item for item in verbs if item.infinitive == infinitive)


def pronoun(fr: str) -> Subject:
    return next(item for item in PRONOUNS if item.fr == fr)


def action(book: PhraseBook, verb_fr: str, noun_fr: str, determiner: str) -> Action:
    phrase = book.noun_phrase(noun(book.lexicon, noun_fr), determiner)
    return Action(verb(book.lexicon, verb_fr), phrase)


def texts(book: PhraseBook, rendered: t.Rendered) -> tuple[str, str]:
    assert rendered is not None
    return french.join_french(rendered[0], book.lexicon.no_elision), english.join_english(rendered[1])


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


def test_clauses(book: PhraseBook) -> None:
    lexicon = book.lexicon
    yesterday, often = Phrase("hier", "yesterday"), Phrase("souvent", "often")
    market = Phrase("au marché", "at the market")
    robe = action(book, "acheter", "robe", "a")
    cases = [
        (
            t.past(True, yesterday, pronoun("nous"), robe),
            "hier nous avons acheté une robe",
            "we bought a dress yesterday",
        ),
        (
            t.past(False, yesterday, pronoun("je"), robe),
            "j'ai acheté une robe hier",
            "i bought a dress yesterday",
        ),
        (
            t.habit(
                pronoun("elle"),
                often,
                action(book, "manger", "pain", "some_mass"),
                Phrase("le lundi", "on mondays"),
            ),
            "elle mange souvent du pain le lundi",
            "she often eats some bread on mondays",
        ),
        (
            t.present_place(pronoun("tu"), action(book, "adorer", "fromage", "the"), market),
            "tu adores le fromage au marché",
            "you love the cheese at the market",
        ),
        (
            t.present_place(pronoun("ils"), action(book, "chercher", "clé", "our"), market),
            "ils cherchent notre clé au marché",
            "they are looking for our key at the market",
        ),
        (
            t.modal_negative(pronoun("il"), verb(lexicon, "vouloir"), action(book, "lire", "lettre", "the")),
            "il ne veut pas lire la lettre",
            "he does not want to read the letter",
        ),
        (
            t.modal_negative(
                pronoun("vous"), verb(lexicon, "pouvoir"), action(book, "oublier", "clé", "the")
            ),
            "vous ne pouvez pas oublier la clé",
            "you cannot forget the key",
        ),
        (
            t.negative(
                pronoun("je"), ("plus", "no longer"), action(book, "utiliser", "radio", "this"), yesterday
            ),
            "je n'utilise plus cette radio hier",
            "i no longer use this radio yesterday",
        ),
        (
            t.dative(True, yesterday, pronoun("il"), "me", action(book, "apporter", "cadeau", "a")),
            "hier il m'a apporté un cadeau",
            "he brought me a gift yesterday",
        ),
        (
            t.clitic_object(pronoun("je"), ("le", "it"), often, verb(lexicon, "acheter"), market),
            "je l'achète souvent au marché",
            "i often buy it at the market",
        ),
    ]
    for rendered, fr, en in cases:
        assert texts(book, rendered) == (fr, en)


def test_participles_agree(book: PhraseBook) -> None:
    lexicon, degree = book.lexicon, Phrase("très", "very")
    described = Described(
        book.noun_phrase(noun(lexicon, "robe"), "the_plural"), adjective(lexicon, "élégant")
    )
    assert (
        t.relative(pronoun("elle"), verb(lexicon, "prendre"), described, degree) is None
    )  # no class of its objects
    poem = Described(book.noun_phrase(noun(lexicon, "lettre"), "the"), adjective(lexicon, "long"))
    assert texts(book, t.relative(pronoun("elle"), verb(lexicon, "prendre"), poem, degree)) == (
        "la lettre qu'elle a prise est très longue",
        "the letter that she took is very long",
    )
    assert texts(book, t.relative(pronoun("elle"), verb(lexicon, "acheter"), described, degree)) == (
        "les robes qu'elle a achetées sont très élégantes",
        "the dresses that she bought are very elegant",
    )
    sister = book.noun_phrase(noun(lexicon, "sœur"), "my")
    to_paris = (Phrase("à paris", "paris"), True)
    rendered = t.motion_past(
        True, Phrase("hier", "yesterday"), pronoun("elles"), verb(lexicon, "arriver"), to_paris, sister
    )
    assert texts(book, rendered) == (
        "hier elles sont arrivées à paris avec ma sœur",
        "they arrived in paris with my sister yesterday",
    )


def test_possessor_and_comparison_reorder(book: PhraseBook) -> None:
    teacher = book.noun_phrase(noun(book.lexicon, "professeur"), "the")
    described = Described(
        book.noun_phrase(noun(book.lexicon, "valise"), "the"), adjective(book.lexicon, "lourd")
    )
    assert texts(book, t.possession(described, teacher)) == (
        "la valise du professeur est lourde",
        "the teacher's suitcase is heavy",
    )
    assert texts(book, t.comparison(described, teacher)) == (
        "la valise est plus lourde que celle du professeur",
        "the suitcase is heavier than the teacher's",
    )


def test_choices_that_do_not_go_together_are_refused(book: PhraseBook) -> None:
    give = action(book, "apporter", "cadeau", "a")
    assert t.dative(True, Phrase("hier", "yesterday"), pronoun("je"), "me", give) is None
    person = book.noun_phrase(noun(book.lexicon, "frère"), "my")
    brother = Subject("mon frère", "my brother", 2, False)
    place = (Phrase("à paris", "paris"), True)
    assert (
        t.motion_past(True, Phrase("hier", "yesterday"), brother, verb(book.lexicon, "aller"), place, person)
        is None
    )


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
    assert {sentence.template for sentence in drawn["test_hard"]} == {item.name for item in HELDOUT_TEMPLATES}
    assert not easy_templates & {item.name for item in HELDOUT_TEMPLATES}


def test_text_is_normalized_and_of_the_expected_length(draw: Draw) -> None:
    drawn = draw(SIZES, 2)
    every = [sentence for split in drawn.values() for sentence in split]
    assert all(normalize(s.fr) == s.fr and normalize(s.en) == s.en for s in every)
    mean_words = sum(len(sentence.fr.split()) for sentence in drawn["train"]) / SIZES["train"]
    assert 7.5 < mean_words < 9.5
    assert normalize("Où est l\N{RIGHT SINGLE QUOTATION MARK}Hôtel ? Là-bas…") == "où est l'hôtel là bas"


def test_the_grammar_is_large(lexicon: Lexicon, draw: Draw) -> None:
    assert Grammar(lexicon, heldout=False).num_combinations > 10**9
    words = {word for s in draw({"train": 8000}, 1)["train"] for word in s.fr.split()}
    assert len(words) > 900


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


def test_choices_index_every_combination_once() -> None:
    combined = AllOf(lambda a, b: a + b, ["xyz", OneOf([["1"], [], ["2", "3"]])])
    assert len(combined) == 9
    assert sorted(combined) == sorted(a + b for a in "xyz" for b in "123")
    assert OneOf([["a"], ["b", "c"]])[-1] == "c"
    assert combined[:2] == [combined[0], combined[1]]
    with pytest.raises(IndexError):
        combined[9]


def test_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--train", "2", "--test-hard", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["train", "train", "test_hard"]
    assert main(["--train", str(10**15)]) == 1
    assert "ask for fewer" in capsys.readouterr().err
