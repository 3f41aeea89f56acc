"""All templates of the grammar with the choices that fill them; held-out ones make the split test_hard."""

from __future__ import annotations

from collections.abc import Sequence

from echostream.corpus import templates as t
from echostream.corpus.lexicon import Verb
from echostream.corpus.phrases import COUNT_DETERMINERS, DEFINITE, PRONOUNS, Action, NounPhrase, PhraseBook
from echostream.corpus.templates import Template

# In front or at the end: where French puts the adverbial. English keeps it at the end.
ORDER = (True, False)
ANY = (*COUNT_DETERMINERS, "some_mass")
POINTED = ("the", "my", "our", "this", "the_plural", "these")
ARTICLES = ("the", "the_plural")
INTRODUCED = ("a", "some", "two", "three", "several", "some_mass")
THINGS = ("clothes", "thing", "fragile", "furniture", "text", "vehicle", "animal", "place", "room", "food")
GOODS = ("clothes", "thing", "fragile", "furniture", "text", "vehicle", "food", "drink")
NEGATIONS = (("plus", "no longer"), ("jamais", "never"))
CLITICS = (("le", "it"), ("la", "it"), ("les", "them"))
DATIVE_VERBS = frozenset({"montrer", "envoyer", "apporter", "vendre", "acheter"})


def _modals(b: PhraseBook, *, negated: bool) -> list[Verb]:
    return [verb for verb in b.verbs("modals") if not (negated and verb.en == "know how to")]


def _active(b: PhraseBook, determiners: Sequence[str]) -> Sequence[Action]:
    return b.actions(determiners, [verb for verb in b.verbs("verbs") if not verb.stative])


def _dative(b: PhraseBook) -> Sequence[Action]:
    return b.actions(ANY, [verb for verb in b.verbs("verbs") if verb.infinitive in DATIVE_VERBS])


def _objects(b: PhraseBook, determiners: Sequence[str], kinds: Sequence[str]) -> Sequence[NounPhrase]:
    return b.noun_phrases(b.nouns(*kinds), determiners)


def _bare(b: PhraseBook, determiners: Sequence[str], kinds: Sequence[str]) -> Sequence[NounPhrase]:
    return b.noun_phrases(b.nouns(*kinds), determiners, bare=True)


TRAIN_TEMPLATES = (
    Template("present_place", lambda b: (b.subjects(), b.actions(ANY), b.places()), t.present_place, 3),
    Template(
        "present_time",
        lambda b: (ORDER, b.phrases("present_times"), b.subjects(), b.actions(ANY)),
        t.present_time,
        2,
    ),
    Template(
        "habit",
        lambda b: (b.subjects(), b.phrases("frequency_adverbs"), b.actions(ANY), b.phrases("habit_times")),
        t.habit,
        3,
    ),
    Template("past", lambda b: (ORDER, b.phrases("past_times"), b.subjects(), b.actions(ANY)), t.past, 4),
    Template("past_place", lambda b: (b.subjects(), _active(b, ANY), b.places()), t.past_place, 2),
    Template(
        "past_adverb", lambda b: (b.subjects(), b.phrases("past_adverbs"), b.actions(ANY)), t.past_adverb, 2
    ),
    Template(
        "near_future",
        lambda b: (ORDER, b.phrases("future_times"), b.subjects(), _active(b, ANY)),
        t.near_future,
        4,
    ),
    Template("modal", lambda b: (b.subjects(), _modals(b, negated=False), _active(b, ANY)), t.modal, 2),
    Template(
        "modal_negative",
        lambda b: (b.subjects(), _modals(b, negated=True), _active(b, DEFINITE)),
        t.modal_negative,
        2,
    ),
    Template(
        "negative",
        lambda b: (b.subjects(), NEGATIONS, b.actions(DEFINITE), b.phrases("habit_times")),
        t.negative,
        2,
    ),
    Template("possession", lambda b: (b.described(ARTICLES, THINGS), b.people()), t.possession, 3),
    Template("there_is", lambda b: (_objects(b, INTRODUCED, THINGS[:7]), b.places()), t.there_is, 2),
    Template(
        "description",
        lambda b: (b.described(POINTED, (*THINGS, "job")), b.phrases("degree_adverbs")),
        t.description,
        2,
    ),
    Template("where_is", lambda b: (_objects(b, ("the",), ("place",)), b.places()), t.where_is),
    Template(
        "motion_habit",
        lambda b: (
            ORDER,
            b.phrases("habit_times"),
            b.subjects(),
            b.verbs("motion_verbs"),
            b.destinations(),
            [None, *b.phrases("transport")],
        ),
        t.motion_habit,
        2,
    ),
    Template(
        "motion_past",
        lambda b: (
            ORDER,
            b.phrases("past_times"),
            b.subjects(),
            b.verbs("motion_verbs"),
            b.destinations(),
            b.people(),
        ),
        t.motion_past,
        2,
    ),
    Template(
        "clitic_object",
        lambda b: (b.subjects(), CLITICS, b.phrases("frequency_adverbs"), b.verbs("verbs"), b.places()),
        t.clitic_object,
        2,
    ),
    Template(
        "dative",
        lambda b: (ORDER, b.phrases("past_times"), b.subjects(), tuple(t.OBJECT_CLITICS), _dative(b)),
        t.dative,
        2,
    ),
    Template("comparison", lambda b: (b.described(POINTED, THINGS[:7]), b.people()), t.comparison, 2),
    Template(
        "timetable",
        lambda b: (
            ORDER,
            b.phrases("future_times"),
            b.nouns("carrier"),
            b.phrases("numbers"),
            b.phrases("cities"),
        ),
        t.timetable,
    ),
    Template(
        "departure_question",
        lambda b: (b.nouns("carrier"), b.phrases("cities"), b.phrases("future_times")),
        t.departure_question,
    ),
    Template(
        "need", lambda b: (b.subjects(), _objects(b, ANY, GOODS), b.phrases("present_times")), t.need, 2
    ),
    Template("polite", lambda b: (_active(b, ANY), b.places()), t.polite, 2),
    Template("can_you", lambda b: (_active(b, DEFINITE), b.phrases("future_times")), t.can_you, 2),
    Template(
        "when_weather",
        lambda b: (b.phrases("weather"), b.subjects(), b.verbs("intransitive_verbs"), b.places()),
        t.when_weather,
        2,
    ),
    Template(
        "around_event", lambda b: (b.phrases("after_times"), b.subjects(), _active(b, ANY)), t.around_event, 2
    ),
    Template(
        "relative",
        lambda b: (b.subjects(), b.verbs("verbs"), b.described(ARTICLES, GOODS), b.phrases("degree_adverbs")),
        t.relative,
        2,
    ),
    Template(
        "price", lambda b: (_objects(b, POINTED, GOODS[:6]), b.phrases("prices"), b.places()), t.price, 2
    ),
    Template(
        "manner",
        lambda b: (b.subjects(), b.verbs("intransitive_verbs"), b.phrases("manner_adverbs"), b.places()),
        t.manner,
        2,
    ),
    Template(
        "feeling",
        lambda b: (b.subjects(), b.phrases("degree_adverbs"), b.feelings(), b.phrases("present_times")),
        t.feeling,
        2,
    ),
    Template("obligation", lambda b: (_active(b, ANY), b.phrases("after_times")), t.obligation, 2),
)

HELDOUT_TEMPLATES = (
    Template(
        "pain",
        lambda b: (b.subjects(), _bare(b, ("the",), ("body",)), b.phrases("present_times")),
        t.pain,
        heldout=True,
    ),
    Template(
        "pleasing",
        lambda b: (_objects(b, POINTED, ("clothes", "place", "text", "thing", "room")), b.people()),
        t.pleasing,
        heldout=True,
    ),
    Template(
        "since",
        lambda b: (b.phrases("numbers"), b.subjects(), b.verbs("intransitive_verbs"), b.places()),
        t.since,
        heldout=True,
    ),
    Template(
        "equality",
        lambda b: (b.described(POINTED, GOODS), _bare(b, ("the", "my", "this"), GOODS)),
        t.equality,
        heldout=True,
    ),
    Template("why", lambda b: (PRONOUNS, _active(b, ANY), b.phrases("present_times")), t.why, heldout=True),
    Template(
        "cleft", lambda b: (b.people(), _active(b, ANY), b.phrases("past_times")), t.cleft, heldout=True
    ),
    Template("just_done", lambda b: (b.subjects(), _active(b, ANY), b.places()), t.just_done, heldout=True),
    Template(
        "before_doing",
        lambda b: (b.subjects(), _active(b, ANY), b.verbs("intransitive_verbs"), b.places()),
        t.before_doing,
        heldout=True,
    ),
    Template(
        "without_doing",
        lambda b: (b.phrases("past_times"), b.subjects(), _active(b, ANY)),
        t.without_doing,
        heldout=True,
    ),
)
