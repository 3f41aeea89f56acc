"""Short clauses and openings that frames put around a clause, in the tense that the clause asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from echostream.corpus import english, french
from echostream.corpus.choices import AllOf, Evenly
from echostream.corpus.clause import Kind, Words
from echostream.corpus.lexicon import Adjective, Phrase, Verb
from echostream.corpus.phrases import PRONOUNS, PhraseBook, Subject
from echostream.corpus.templates import en_present, en_progressive, en_will, fr_past, fr_present

# avoir with a noun -> to be with an adjective
AVOIR_STATES = (
    Phrase("faim", "hungry"),
    Phrase("soif", "thirsty"),
    Phrase("froid", "cold"),
    Phrase("chaud", "warm"),
    Phrase("peur", "afraid"),
    Phrase("sommeil", "sleepy"),
    Phrase("raison", "right"),
    Phrase("tort", "wrong"),
)
# six French present forms, English base form
MOVEMENTS = (
    (("arrive", "arrives", "arrive", "arrivons", "arrivez", "arrivent"), "arrive"),
    (("rentre", "rentres", "rentre", "rentrons", "rentrez", "rentrent"), "come home"),
    (("pars", "pars", "part", "partons", "partez", "partent"), "leave"),
    (("reviens", "reviens", "revient", "revenons", "revenez", "reviennent"), "come back"),
)
OPINIONS = (
    (("pense", "penses", "pense", "pensons", "pensez", "pensent"), "think"),
    (("crois", "crois", "croit", "croyons", "croyez", "croient"), "believe"),
    (("sais", "sais", "sait", "savons", "savez", "savent"), "know"),
)
SPEECH = (("dit", "says"), ("explique", "explains"), ("répète", "repeats"), ("raconte", "tells us"))
REFUSABLE = frozenset({"want to", "can", "must"})


@dataclass(frozen=True)
class Remark(Phrase):
    """A phrase beside a clause; the clause must not hold the French word `once` too."""

    once: str = ""


def _remark(fr: Words, en: Words, *, heldout: bool = False, once: str = "") -> Remark:
    # The sentence is elided as a whole, later.
    return Remark(" ".join(word for word in fr if word), english.join_english(en), heldout, once)


def _verb_remark(fr: Words, en: Words, verb: Verb) -> Remark:
    return _remark(fr, en, heldout=verb.heldout, once=verb.present[2])


def adjective_state(s: Subject, adjective: Adjective, *, past: bool) -> Remark:
    """`elle est fatiguée`: `she is tired`; or was."""
    form = adjective.form(feminine=s.feminine, plural=s.plural)
    fr_be, en_be = (french.ETRE_IMPERFECT, english.BE_PAST) if past else (french.ETRE, english.BE)
    fr, en = [s.fr, fr_be[s.person], form], [s.en, en_be[s.person], adjective.en]
    return _remark(fr, en, heldout=adjective.heldout, once=form)


def avoir_state(s: Subject, state: Phrase, *, past: bool) -> Remark:
    """`nous avons faim`: `we are hungry`; or were."""
    fr_have = french.AVOIR_IMPERFECT if past else french.AVOIR
    en_be = english.BE_PAST if past else english.BE
    return _remark([s.fr, fr_have[s.person], state.fr], [s.en, en_be[s.person], state.en])


def states(b: PhraseBook, kind: Kind) -> Sequence[Remark]:
    """How somebody is, in the past beside a clause in the past."""
    past = kind is Kind.PAST
    return Evenly(
        [
            AllOf(lambda s, a: adjective_state(s, a, past=past), [PRONOUNS, b.feelings()]),
            AllOf(lambda s, n: avoir_state(s, n, past=past), [PRONOUNS, AVOIR_STATES]),
        ]
    )


def going_on(b: PhraseBook, kind: Kind) -> Sequence[Remark]:
    """`elle travaille`: `she is working`; in the past `elle travaillait`: `she was working`."""

    def remark(s: Subject, v: Verb) -> Remark:
        if kind is Kind.PAST:
            fr = [s.fr, french.imperfect(v.present, s.person)]
            return _verb_remark(fr, [s.en, english.BE_PAST[s.person], v.en_gerund], v)
        return _verb_remark(fr_present(s, v), en_progressive(s, v), v)

    return AllOf(remark, [PRONOUNS, b.verbs("intransitive_verbs")])


def habits(b: PhraseBook, _: Kind) -> Sequence[Remark]:
    """`elle travaille`: `she works`, as after when."""
    return AllOf(
        lambda s, v: _verb_remark(fr_present(s, v), en_present(s, v), v),
        [PRONOUNS, b.verbs("intransitive_verbs")],
    )


def same_tense(b: PhraseBook, kind: Kind) -> Sequence[Remark]:
    """A second event in the tense of the clause: going on, a habit, past or future."""
    if kind is Kind.NOW:
        return going_on(b, kind)
    if kind is Kind.HABIT:
        return habits(b, kind)
    return outcomes(b, kind)


def outcomes(b: PhraseBook, kind: Kind) -> Sequence[Remark]:
    """What follows: `elle a dormi`: `she slept` beside the past, `elle va dormir` beside anything else."""

    def remark(s: Subject, v: Verb) -> Remark:
        if kind is Kind.PAST:
            return _verb_remark(fr_past(s, v), [s.en, v.en_past], v)
        return _verb_remark([s.fr, french.ALLER[s.person], v.infinitive], en_will(s, v), v)

    return AllOf(remark, [PRONOUNS, b.verbs("intransitive_verbs")])


def refusals(b: PhraseBook, kind: Kind) -> Sequence[Remark]:
    """`elle ne peut pas dormir`: `she cannot sleep`; beside the past `elle n'a pas dormi`."""
    verbs = b.verbs("intransitive_verbs")
    if kind is Kind.PAST:
        return AllOf(
            lambda s, v: _verb_remark(
                [s.fr, "ne", french.AVOIR[s.person], "pas", v.participle], [s.en, "did not", v.en], v
            ),
            [PRONOUNS, verbs],
        )
    modals = [modal for modal in b.verbs("modals") if modal.en in REFUSABLE]

    def remark(s: Subject, m: Verb, v: Verb) -> Remark:
        fr = [s.fr, "ne", m.present[s.person], "pas", v.infinitive]
        return _verb_remark(fr, [s.en, *english.negated_modal(m.en, s.person), v.en], v)

    return AllOf(remark, [PRONOUNS, modals, verbs])


def movements(b: PhraseBook, _: Kind) -> Sequence[Remark]:
    """`ma sœur arrive`: `my sister arrives`."""

    def remark(s: Subject, movement: tuple[tuple[str, ...], str]) -> Remark:
        forms, en = movement
        en_form = english.third_person(en) if s.person == 2 else en
        return _remark([s.fr, forms[s.person]], [s.en, en_form], heldout=s.heldout, once=forms[s.person])

    return AllOf(remark, [b.subjects(), MOVEMENTS])


def weather(b: PhraseBook, _: Kind) -> Sequence[Remark]:
    """`il pleut`: `it rains`."""
    return [Remark(w.fr, w.en, w.heldout) for w in b.phrases("weather")]


def opinions(b: PhraseBook, _: Kind) -> Sequence[Remark]:
    """`tu crois que`: `you believe that`."""

    def remark(s: Subject, opinion: tuple[tuple[str, ...], str]) -> Remark:
        forms, en = opinion
        en_form = english.third_person(en) if s.person == 2 else en
        return _remark([s.fr, forms[s.person], "que"], [s.en, en_form, "that"])

    return AllOf(remark, [PRONOUNS, OPINIONS])


def speakers(b: PhraseBook, _: Kind) -> Sequence[Remark]:
    """`ma sœur dit que`: `my sister says that`."""
    return AllOf(
        lambda p, verb: _remark(
            [*p.fr, verb[0], "que"], [p.en, verb[1], "that"], heldout=p.heldout, once=p.noun.fr
        ),
        [b.people(), SPEECH],
    )


def sources(b: PhraseBook, _: Kind) -> Sequence[Remark]:
    """`selon ma sœur`: `according to my sister`."""
    return AllOf(
        lambda p: _remark(["selon", *p.fr], ["according to", p.en], heldout=p.heldout, once=p.noun.fr),
        [b.people()],
    )


def names(b: PhraseBook, _: Kind) -> Sequence[Remark]:
    """Names of people who are spoken to."""
    return [Remark(p.fr[0], p.en, p.heldout, p.fr[0]) for p in b.people() if p.noun.kind == "name"]


def led_by(fr: str, en: str, remarks: Sequence[Remark]) -> Sequence[Remark]:
    """Remarks with a connector in front: `parce que elle est fatiguée`: `because she is tired`."""
    return AllOf(lambda r: Remark(f"{fr} {r.fr}", f"{en} {r.en}", r.heldout, r.once), [remarks])
