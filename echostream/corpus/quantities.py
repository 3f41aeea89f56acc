"""Clauses with numbers: hours, durations and sums."""

from __future__ import annotations

from echostream.corpus.clause import Clause, Kind, Rendered
from echostream.corpus.french import AVOIR
from echostream.corpus.lexicon import Phrase, Verb
from echostream.corpus.phrases import NounPhrase, PhraseBook, Subject
from echostream.corpus.selections import GOODS, ORDER, POINTED, objects
from echostream.corpus.templates import fr_past, placed

PERIODS = (
    Phrase("minutes", "minutes"),
    Phrase("heures", "hours"),
    Phrase("jours", "days"),
    Phrase("semaines", "weeks"),
    Phrase("mois", "months"),
)


def weekdays(b: PhraseBook) -> list[Phrase]:
    """`le mardi`, `le week end`."""
    return [time for time in b.phrases("habit_times") if time.en.startswith("on ")]


def opening(front: bool, time: Phrase, place: NounPhrase, hour: Phrase) -> Rendered:
    """`le mardi le musée ouvre à dix heures`: `the museum opens at ten o'clock on tuesdays`."""
    fr = placed(front, time.fr, [*place.fr, "ouvre à", hour.fr, "heures"])
    return fr, [place.en, "opens at", hour.en, "o'clock", time.en]


def duration(s: Subject, v: Verb, number: Phrase, period: Phrase, place: Phrase) -> Rendered:
    """`tu as étudié pendant six mois à rome`: `you studied in rome for six months`."""
    fr = [*fr_past(s, v), "pendant", number.fr, period.fr, place.fr]
    return fr, [s.en, v.en_past, place.en, "for", number.en, period.en]


def paid(front: bool, time: Phrase, s: Subject, number: Phrase, phrase: NounPhrase) -> Rendered:
    """`hier ils ont payé trente euros pour la jupe`: `they paid thirty euros for the skirt yesterday`."""
    pay = [s.fr, AVOIR[s.person], "payé", number.fr, "euros pour", *phrase.fr]
    return placed(front, time.fr, pay), [s.en, "paid", number.en, "euros for", phrase.en, time.en]


QUANTITY_CLAUSES = (
    Clause(
        "opening",
        Kind.FACT,
        lambda b: (ORDER, weekdays(b), objects(b, ("the",), ("place",)), b.phrases("numbers")),
        opening,
    ),
    Clause(
        "duration",
        Kind.PAST,
        lambda b: (b.subjects(), b.verbs("intransitive_verbs"), b.phrases("numbers"), PERIODS, b.places()),
        duration,
    ),
    Clause(
        "paid",
        Kind.PAST,
        lambda b: (
            ORDER,
            b.phrases("past_times"),
            b.subjects(),
            b.phrases("prices"),
            objects(b, POINTED, GOODS),
        ),
        paid,
    ),
)
