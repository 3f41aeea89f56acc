"""Frames around a clause, in the tense it asks for; what a frame refuses; one English for each French."""

import random
from dataclasses import replace

import pytest

from echostream.corpus import english, french
from echostream.corpus import templates as t
from echostream.corpus.clause import Clause, Kind, Rendered
from echostream.corpus.frames import HELDOUT_FRAMES, MAX_WORDS, TRAIN_FRAMES, Frame, framed
from echostream.corpus.grammar import Grammar
from echostream.corpus.lexicon import Lexicon, Phrase, load_lexicon
from echostream.corpus.phrases import PhraseBook, Subject
from echostream.corpus.template_table import (
    HELDOUT_CLAUSES,
    HELDOUT_TEMPLATES,
    TRAIN_CLAUSES,
    TRAIN_TEMPLATES,
)
from tests.corpus.sentence_parts import YESTERDAY, action, noun, pronoun

FRAMES = {frame.name: frame for frame in (*TRAIN_FRAMES, *HELDOUT_FRAMES)}


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return load_lexicon()


@pytest.fixture(scope="module")
def book(lexicon: Lexicon) -> PhraseBook:
    return PhraseBook(lexicon, allow_heldout=True)


# frame, kind of clause, French phrase, French and English sentence around `elle C` - `she C`
AROUND = [
    ("think", Kind.NOW, "tu crois que", "tu crois qu'elle C", "you believe that she C"),
    ("say", Kind.NOW, "ma sœur dit que", "ma sœur dit qu'elle C", "my sister says that she C"),
    ("according", Kind.NOW, "selon ma sœur", "selon ma sœur elle C", "she C according to my sister"),
    ("whether", Kind.NOW, "je me demande si", "je me demande si elle C", "i wonder whether she C"),
    ("impersonal", Kind.NOW, "il paraît que", "il paraît qu'elle C", "it seems that she C"),
    ("comment", Kind.NOW, "à mon avis", "à mon avis elle C", "she C in my opinion"),
    ("tag", Kind.NOW, "tu sais", "elle C tu sais", "she C you know"),
    (
        "because",
        Kind.FUTURE,
        "parce que elle est fatiguée",
        "elle C parce qu'elle est fatiguée",
        "she C because she is tired",
    ),
    (
        "because",
        Kind.PAST,
        "parce que elles avaient faim",
        "elle C parce qu'elles avaient faim",
        "she C because they were hungry",
    ),
    (
        "but",
        Kind.NOW,
        "mais il ne peut pas dormir",
        "elle C mais il ne peut pas dormir",
        "she C but he cannot sleep",
    ),
    (
        "but",
        Kind.PAST,
        "mais je ne ai pas dormi",
        "elle C mais je n'ai pas dormi",
        "she C but i did not sleep",
    ),
    ("and", Kind.NOW, "et il dort", "elle C et il dort", "she C and he is sleeping"),
    ("and", Kind.HABIT, "et il dort", "elle C et il dort", "she C and he sleeps"),
    ("and", Kind.PAST, "et il a dormi", "elle C et il a dormi", "she C and he slept"),
    ("and", Kind.FUTURE, "et je vais dormir", "elle C et je vais dormir", "she C and i am going to sleep"),
    ("so", Kind.NOW, "donc je vais dormir", "elle C donc je vais dormir", "she C so i am going to sleep"),
    ("so", Kind.PAST, "donc je ai dormi", "elle C donc j'ai dormi", "she C so i slept"),
    ("even_if", Kind.FUTURE, "même si il pleut", "elle C même s'il pleut", "she C even if it rains"),
    (
        "except_when",
        Kind.HABIT,
        "sauf quand je dors",
        "elle C sauf quand je dors",
        "she C except when i sleep",
    ),
    ("as", Kind.NOW, "comme il dort", "comme il dort elle C", "she C because he is sleeping"),
    ("as", Kind.PAST, "comme il dormait", "comme il dormait elle C", "she C because he was sleeping"),
    ("when", Kind.HABIT, "quand il pleut", "quand il pleut elle C", "she C when it rains"),
    ("while", Kind.NOW, "pendant que il dort", "pendant qu'il dort elle C", "she C while he is sleeping"),
    (
        "while",
        Kind.PAST,
        "pendant que ils dormaient",
        "pendant qu'ils dormaient elle C",
        "she C while they were sleeping",
    ),
    (
        "as_soon_as",
        Kind.FUTURE,
        "dès que ma sœur rentre",
        "dès que ma sœur rentre elle C",
        "she C as soon as my sister comes home",
    ),
    ("if", Kind.FUTURE, "si ils partent", "s'ils partent elle C", "if they leave she C"),
    ("greeting", Kind.QUESTION, "excusez moi", "excusez moi elle C", "excuse me she C"),
    ("address", Kind.REQUEST, "marie", "marie elle C", "marie she C"),
    ("closing", Kind.REQUEST, "merci", "elle C merci", "she C thank you"),
    ("hope", Kind.FUTURE, "j'espère que", "j'espère qu'elle C", "i hope that she C"),
    ("remember", Kind.PAST, "je me souviens que", "je me souviens qu'elle C", "i remember that she C"),
    ("promise", Kind.FUTURE, "je vous promets que", "je vous promets qu'elle C", "i promise you that she C"),
    ("luck", Kind.PAST, "par chance", "par chance elle C", "she C luckily"),
    ("since", Kind.NOW, "puisque il a froid", "puisqu'il a froid elle C", "she C since he is cold"),
    ("whereas", Kind.NOW, "alors que je dors", "elle C alors que je dors", "she C whereas i am sleeping"),
    (
        "otherwise",
        Kind.MODAL,
        "sinon il va dormir",
        "elle C sinon il va dormir",
        "she C otherwise he is going to sleep",
    ),
    ("whenever", Kind.HABIT, "lorsque il dort", "lorsqu'il dort elle C", "she C whenever he sleeps"),
]


@pytest.mark.parametrize(("name", "kind", "phrase_fr", "fr", "en"), AROUND)
def test_frames(book: PhraseBook, name: str, kind: Kind, phrase_fr: str, fr: str, en: str) -> None:
    frame = FRAMES[name]
    assert kind in frame.kinds
    phrase = next(phrase for phrase in frame.phrases(book, kind) if phrase.fr == phrase_fr)
    around = frame.around((["elle", "C"], ["she", "C"]), phrase)
    assert (french.join_french(around[0], book.lexicon.no_elision), english.join_english(around[1])) == (
        fr,
        en,
    )


def test_every_frame_has_an_example() -> None:
    assert {name for name, *_ in AROUND} == set(FRAMES)
    assert len(FRAMES) == len(TRAIN_FRAMES) + len(HELDOUT_FRAMES)


def render_past(frame: Frame, phrase: Phrase, *items: object) -> Rendered:
    clause = Clause("past", Kind.PAST, lambda b: (), t.past)
    return framed(clause, frame).render(*items, phrase)


def test_a_frame_refuses_what_does_not_go_with_it(book: PhraseBook) -> None:
    buy = action(book, "acheter", "robe", "a")
    sister = Subject.of(book.noun_phrase(noun(book.lexicon, "sœur"), "my"))
    says = next(p for p in FRAMES["say"].phrases(book, Kind.PAST) if p.fr == "ma sœur dit que")
    asleep = next(p for p in FRAMES["while"].phrases(book, Kind.PAST) if p.fr == "pendant que il dormait")
    assert render_past(FRAMES["say"], says, True, YESTERDAY, pronoun("il"), buy) is not None
    assert render_past(FRAMES["say"], says, True, YESTERDAY, sister, buy) is None
    # `while he was sleeping yesterday she bought`: whose is `yesterday`?
    assert render_past(FRAMES["while"], asleep, False, YESTERDAY, pronoun("il"), buy) is not None
    assert render_past(FRAMES["while"], asleep, True, YESTERDAY, pronoun("il"), buy) is None
    long_time = Phrase(" ".join(["hier"] * MAX_WORDS), "yesterday")
    assert render_past(FRAMES["say"], says, True, long_time, pronoun("il"), buy) is None


def test_heldout_clauses_and_frames_are_new() -> None:
    train_parts = {part for template in TRAIN_TEMPLATES for part in template.name.split("+")}
    assert train_parts == {item.name for item in (*TRAIN_CLAUSES, *TRAIN_FRAMES)}
    new_parts = {item.name for item in (*HELDOUT_CLAUSES, *HELDOUT_FRAMES)}
    assert not new_parts & train_parts
    for template in HELDOUT_TEMPLATES:
        assert set(template.name.split("+")) & new_parts, template.name
    for templates in (TRAIN_TEMPLATES, HELDOUT_TEMPLATES):
        assert len({template.name for template in templates}) == len(templates)
    assert len(TRAIN_TEMPLATES) >= 300
    assert len(HELDOUT_TEMPLATES) >= 50


def test_the_same_french_has_one_english(lexicon: Lexicon) -> None:
    """Few words, so that sentences come again."""
    rng = random.Random(1)
    words = replace(
        lexicon,
        nouns=tuple(
            next(item for item in lexicon.nouns_of(kind))
            for kind in dict.fromkeys(x.kind for x in lexicon.nouns)
        ),
        verbs=lexicon.verbs[:2],
        intransitive_verbs=lexicon.intransitive_verbs[:1],
        names=lexicon.names[:1],
        phrases={name: phrases[:1] for name, phrases in lexicon.phrases.items()},
    )
    grammar = Grammar(words, heldout=False)
    english_of: dict[str, str] = {}
    num_drawn = 0
    while num_drawn < 5000:
        template = rng.choice(grammar.templates).name
        count = grammar.num_combinations_of(template)
        sentence = grammar.sentence(template, rng.randrange(count)) if count else None
        if sentence is not None:
            num_drawn += 1
            assert english_of.setdefault(sentence.fr, sentence.en) == sentence.en, sentence
    assert len(english_of) < num_drawn
