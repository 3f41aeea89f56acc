"""Negated clauses: French puts ne … pas around the verb, English adds `not` to an auxiliary."""

from __future__ import annotations

from echostream.corpus import english, french
from echostream.corpus.clause import Clause, Kind, Rendered
from echostream.corpus.lexicon import Phrase
from echostream.corpus.phrases import DEFINITE, Action, NounPhrase, Subject
from echostream.corpus.selections import GOODS, ORDER, THINGS, active, bare, objects
from echostream.corpus.templates import placed


def past_negative(front: bool, time: Phrase, s: Subject, a: Action) -> Rendered:
    """`hier elle n'a pas trouvé la clé`: `she did not find the key yesterday`."""
    clause = [s.fr, "ne", french.AVOIR[s.person], "pas", a.verb.participle, *a.object.fr]
    return placed(front, time.fr, clause), [s.en, "did not", a.verb.en, a.object.en, time.en]


def past_not_yet(s: Subject, a: Action) -> Rendered:
    """`nous n'avons pas encore lu cette lettre`: `we have not read this letter yet`."""
    fr = [s.fr, "ne", french.AVOIR[s.person], "pas encore", a.verb.participle, *a.object.fr]
    return fr, [s.en, english.HAVE[s.person], "not", a.verb.en_participle, a.object.en, "yet"]


def present_negative(s: Subject, a: Action, time: Phrase) -> Rendered:
    """`il ne cherche pas ma valise maintenant`: `he is not looking for my suitcase now`."""
    fr = [s.fr, "ne", a.verb.present[s.person], "pas", *a.object.fr, time.fr]
    return fr, [s.en, english.BE[s.person], "not", a.verb.en_gerund, a.object.en, time.en]


def future_negative(front: bool, time: Phrase, s: Subject, a: Action) -> Rendered:
    """`demain je ne vais pas vendre mon vélo`: `i am not going to sell my bicycle tomorrow`."""
    clause = [s.fr, "ne", french.ALLER[s.person], "pas", a.verb.infinitive, *a.object.fr]
    en = [s.en, english.BE[s.person], "not going to", a.verb.en, a.object.en, time.en]
    return placed(front, time.fr, clause), en


def there_is_none(phrase: NounPhrase, place: Phrase) -> Rendered:
    """`il n'y a plus de pain à la gare`: `there is no more bread at the station`."""
    noun = phrase.noun
    fr = ["il n'y a plus de", noun.fr if noun.mass else noun.fr_plural, place.fr]
    en = ["there is" if noun.mass else "there are", "no more", noun.en if noun.mass else noun.en_plural]
    return fr, [*en, place.en]


def no_need(s: Subject, phrase: NounPhrase, time: Phrase) -> Rendered:
    """`tu n'as pas besoin de ce billet aujourd'hui`: `you do not need this ticket today`."""
    fr = [s.fr, "ne", french.AVOIR[s.person], "pas besoin", *phrase.after("de"), time.fr]
    return fr, [s.en, english.DO[s.person], "not need", phrase.en, time.en]


NEGATIVE_CLAUSES = (
    Clause(
        "past_negative",
        Kind.PAST,
        lambda b: (ORDER, b.phrases("past_times"), b.subjects(), b.actions(DEFINITE)),
        past_negative,
    ),
    Clause("past_not_yet", Kind.FACT, lambda b: (b.subjects(), active(b, DEFINITE)), past_not_yet),
    Clause(
        "present_negative",
        Kind.NOW,
        lambda b: (b.subjects(), active(b, DEFINITE), b.phrases("present_times")),
        present_negative,
    ),
    Clause(
        "future_negative",
        Kind.FUTURE,
        lambda b: (ORDER, b.phrases("future_times"), b.subjects(), active(b, DEFINITE)),
        future_negative,
    ),
    Clause(
        "there_is_none",
        Kind.FACT,
        lambda b: (bare(b, ("the",), (*THINGS[:4], "food", "food_mass", "drink")), b.places()),
        there_is_none,
    ),
    Clause(
        "no_need",
        Kind.NOW,
        lambda b: (b.subjects(), objects(b, DEFINITE, (*GOODS, "food_mass")), b.phrases("present_times")),
        no_need,
    ),
)
