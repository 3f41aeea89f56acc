"""Questions with est ce que: French keeps the order of the statement, English moves or adds an auxiliary."""

from __future__ import annotations

from echostream.corpus import english, french
from echostream.corpus.clause import Clause, Kind, Rendered
from echostream.corpus.lexicon import Phrase, Verb
from echostream.corpus.phrases import PRONOUNS, Action, NounPhrase, Subject
from echostream.corpus.selections import ANY, GOODS, POINTED, active, modals, objects
from echostream.corpus.templates import fr_past, fr_present


def present_question(s: Subject, a: Action, place: Phrase) -> Rendered:
    """`est ce qu'il lave la voiture au port`: `is he washing the car at the harbor`."""
    fr = ["est ce que", *fr_present(s, a.verb), *a.object.fr, place.fr]
    return fr, [english.BE[s.person], s.en, a.verb.en_gerund, a.object.en, place.en]


def past_question(s: Subject, a: Action, time: Phrase) -> Rendered:
    """`est ce que tu as vendu le cheval hier`: `did you sell the horse yesterday`."""
    fr = ["est ce que", *fr_past(s, a.verb), *a.object.fr, time.fr]
    return fr, ["did", s.en, a.verb.en, a.object.en, time.en]


def future_question(s: Subject, a: Action, time: Phrase) -> Rendered:
    """`est ce que marie va peindre le salon demain`: `is marie going to paint the living room tomorrow`."""
    fr = ["est ce que", s.fr, french.ALLER[s.person], a.verb.infinitive, *a.object.fr, time.fr]
    return fr, [english.BE[s.person], s.en, "going to", a.verb.en, a.object.en, time.en]


def modal_question(s: Subject, m: Verb, a: Action) -> Rendered:
    """`est ce que nous pouvons goûter le fromage`: `can we taste the cheese`."""
    fr = ["est ce que", *fr_present(s, m), a.verb.infinitive, *a.object.fr]
    ask = [m.en, s.en] if m.en in {"can", "must"} else [english.DO[s.person], s.en, m.en]
    return fr, [*ask, a.verb.en, a.object.en]


def where_question(s: Subject, a: Action, time: Phrase) -> Rendered:
    """`où est ce qu'elle a acheté ce pull hier`: `where did she buy this sweater yesterday`."""
    fr = ["où est ce que", *fr_past(s, a.verb), *a.object.fr, time.fr]
    return fr, ["where did", s.en, a.verb.en, a.object.en, time.en]


def when_question(s: Subject, a: Action, place: Phrase) -> Rendered:
    """`quand est ce que tu vas photographier les chats à rome`: `when are you going to photograph …`."""
    fr = ["quand est ce que", s.fr, french.ALLER[s.person], a.verb.infinitive, *a.object.fr, place.fr]
    return fr, ["when", english.BE[s.person], s.en, "going to", a.verb.en, a.object.en, place.en]


def who_question(a: Action, time: Phrase) -> Rendered:
    """`qui a caché mes clés ce matin`: `who hid my keys this morning`."""
    return ["qui a", a.verb.participle, *a.object.fr, time.fr], ["who", a.verb.en_past, a.object.en, time.en]


def what_question(s: Subject, v: Verb, place: Phrase) -> Rendered:
    """`qu'est ce que vous allez manger à lyon`: `what are you going to eat in lyon`."""
    fr = ["que est ce que", s.fr, french.ALLER[s.person], v.infinitive, place.fr]
    return fr, ["what", english.BE[s.person], s.en, "going to", v.en, place.en]


def price_question(phrase: NounPhrase, place: Phrase) -> Rendered:
    """`combien coûtent ces verres à vienne`: `how much do these glasses cost in vienna`."""
    fr = ["combien", "coûtent" if phrase.plural else "coûte", *phrase.fr, place.fr]
    return fr, ["how much", english.DO[phrase.person], phrase.en, "cost", place.en]


QUESTION_CLAUSES = (
    Clause(
        "present_question",
        Kind.QUESTION,
        lambda b: (b.subjects(), active(b, ANY), b.places()),
        present_question,
    ),
    Clause(
        "past_question",
        Kind.QUESTION,
        lambda b: (b.subjects(), b.actions(ANY), b.phrases("past_times")),
        past_question,
    ),
    Clause(
        "future_question",
        Kind.QUESTION,
        lambda b: (b.subjects(), active(b, ANY), b.phrases("future_times")),
        future_question,
    ),
    Clause(
        "modal_question",
        Kind.QUESTION,
        lambda b: (b.subjects(), modals(b, negated=True), active(b, ANY)),
        modal_question,
    ),
    Clause(
        "where_question",
        Kind.QUESTION,
        lambda b: (b.subjects(), active(b, ANY), b.phrases("past_times")),
        where_question,
    ),
    Clause(
        "when_question", Kind.QUESTION, lambda b: (b.subjects(), active(b, ANY), b.places()), when_question
    ),
    Clause("who_question", Kind.QUESTION, lambda b: (active(b, ANY), b.phrases("past_times")), who_question),
    Clause(
        "what_question",
        Kind.QUESTION,
        lambda b: (PRONOUNS, [v for v in b.verbs("verbs") if not v.stative], b.places()),
        what_question,
    ),
    Clause(
        "price_question",
        Kind.QUESTION,
        lambda b: (objects(b, POINTED, GOODS[:6]), b.places()),
        price_question,
    ),
)
