"""Clauses that hold a second verb or move a part: relatives, clefts, infinitives, gerunds, reflexives."""

from __future__ import annotations

from echostream.corpus import english, french
from echostream.corpus.clause import Clause, Kind, Rendered
from echostream.corpus.lexicon import Adjective, Phrase, Verb
from echostream.corpus.phrases import DEFINITE, PRONOUNS, Action, Described, NounPhrase, Subject
from echostream.corpus.selections import ANY, ARTICLES, GOODS, ORDER, POINTED, active, bare, likings
from echostream.corpus.templates import (
    MOTION_PREPOSITIONS,
    en_present,
    en_progressive,
    en_will,
    fr_past,
    fr_past_etre,
    fr_present,
    placed,
)

# French participle with its preposition -> English.
CATENATIVES = (
    Phrase("commencé à", "started to"),
    Phrase("oublié de", "forgot to"),
    Phrase("décidé de", "decided to"),
    Phrase("essayé de", "tried to"),
    Phrase("réussi à", "managed to"),
    Phrase("refusé de", "refused to"),
    Phrase("appris à", "learned to"),
    Phrase("accepté de", "agreed to"),
)


def injury(front: bool, time: Phrase, s: Subject, part: NounPhrase) -> Rendered:
    """`hier elle s'est blessée au genou`: `she hurt her knee yesterday`."""
    owner = english.POSSESSIVES.get(s.en, "her" if s.feminine else "his")
    participle = french.agree("blessé", is_feminine=s.feminine, is_plural=s.plural)
    fr = [s.fr, french.REFLEXIVES[s.person], french.ETRE[s.person], participle, *part.after("à")]
    return placed(front, time.fr, fr), [s.en, "hurt", owner, part.noun.en, time.en]


def care(who: NounPhrase, part: NounPhrase, owner: NounPhrase, place: Phrase) -> Rendered:
    """`ma tante soigne le bras de paul à la gare`: `my aunt is treating paul's arm at the station`."""
    if who.noun == owner.noun:
        return None
    fr = [*who.fr, "soigne", *part.fr, *owner.after("de"), place.fr]
    return fr, [who.en, "is treating", f"{owner.en}'s", part.noun.en, place.en]


def purpose(s: Subject, v: Verb, to: tuple[Phrase, bool], a: Action) -> Rendered:
    """`je suis allé au marché pour vendre la vache`: `i went to the market to sell the cow`."""
    place, is_city = to
    fr = [*fr_past_etre(s, v), place.fr, "pour", a.verb.infinitive, *a.object.fr]
    en = [s.en, v.en_past, MOTION_PREPOSITIONS[v.en][is_city], place.en, "to", a.verb.en, a.object.en]
    return fr, en


def catenative(s: Subject, first: Phrase, a: Action, time: Phrase) -> Rendered:
    """`nous avons oublié de payer les billets hier`: `we forgot to pay for the tickets yesterday`."""
    fr = [s.fr, french.AVOIR[s.person], first.fr, a.verb.infinitive, *a.object.fr, time.fr]
    return fr, [s.en, first.en, a.verb.en, a.object.en, time.en]


def gerund(s: Subject, a: Action, v: Verb) -> Rendered:
    """`il prépare la soupe en chantant`: `he is preparing the soup while singing`."""
    fr = [*fr_present(s, a.verb), *a.object.fr, "en", french.present_participle(v.present)]
    return fr, [*en_progressive(s, a.verb), a.object.en, "while", v.en_gerund]


def imperfect_place(front: bool, time: Phrase, s: Subject, v: Verb, place: Phrase) -> Rendered:
    """`hier soir elle travaillait à la banque`: `she was working at the bank last night`."""
    fr = placed(front, time.fr, [s.fr, french.imperfect(v.present, s.person), place.fr])
    return fr, [s.en, english.BE_PAST[s.person], v.en_gerund, place.en, time.en]


def cleft_time(time: Phrase, s: Subject, a: Action) -> Rendered:
    """`c'est demain que je vais vendre la moto`: `it is tomorrow that i am going to sell the motorcycle`."""
    fr = ["c'est", time.fr, "que", s.fr, french.ALLER[s.person], a.verb.infinitive, *a.object.fr]
    return fr, ["it is", time.en, "that", *en_will(s, a.verb), a.object.en]


def cleft_place(place: Phrase, s: Subject, a: Action) -> Rendered:
    """`c'est à rome que tu as perdu ton sac`: `it is in rome that you lost your bag`."""
    fr = ["c'est", place.fr, "que", *fr_past(s, a.verb), *a.object.fr]
    return fr, ["it is", place.en, "that", s.en, a.verb.en_past, a.object.en]


def cleft_object(a: Action, s: Subject) -> Rendered:
    """`c'est cette jupe que ma sœur va acheter`: `it is this skirt that my sister is going to buy`."""
    fr = ["c'est", *a.object.fr, "que", s.fr, french.ALLER[s.person], a.verb.infinitive]
    return fr, ["it is", a.object.en, "that", *en_will(s, a.verb)]


def relative_person(
    who: NounPhrase, v: Verb, place: Phrase, degree: Phrase, adjective: Adjective
) -> Rendered:
    """`le guide qui travaille au château est très patient`: `the guide who works at the castle is …`."""
    fr = [*who.fr, "qui", v.present[2], place.fr, "est", degree.fr]
    en = [who.en, "who", english.third_person(v.en), place.en, "is", degree.en, adjective.en]
    return [*fr, adjective.form(feminine=who.feminine, plural=False)], en


def relative_goal(s: Subject, a: Action, other: Subject, v: Verb) -> Rendered:
    """`tu caches les lettres qu'il a écrites`: `you are hiding the letters that he wrote`."""
    if v == a.verb or a.object.noun.kind not in v.kinds:
        return None
    participle = french.agree(v.participle, is_feminine=a.object.feminine, is_plural=a.object.plural)
    clause = ["que", other.fr, french.AVOIR[other.person], participle]
    fr = [*fr_present(s, a.verb), *a.object.fr, *clause]
    return fr, [*en_progressive(s, a.verb), a.object.en, "that", other.en, v.en_past]


def contrast(s: Subject, a: Action, other: Action) -> Rendered:
    """`elle adore le thé mais elle déteste le poisson`: `she loves the tea but she hates the fish`."""
    if a.verb == other.verb or a.object.noun == other.object.noun:
        return None
    fr = [*fr_present(s, a.verb), *a.object.fr, "mais", *fr_present(s, other.verb), *other.object.fr]
    return fr, [*en_present(s, a.verb), a.object.en, "but", *en_present(s, other.verb), other.object.en]


# Clauses of the split test_hard only.


def relative_need(d: Described, s: Subject, degree: Phrase) -> Rendered:
    """`la lampe dont il a besoin est très lourde`: `the lamp that he needs is very heavy`."""
    clause = ["dont", s.fr, french.AVOIR[s.person], "besoin"]
    en = [d.phrase.en, "that", s.en, "needs" if s.person == 2 else "need", english.BE[d.phrase.person]]
    fr = [*d.phrase.fr, *clause, french.ETRE[d.phrase.person], degree.fr, d.fr_adjective]
    return fr, [*en, degree.en, d.adjective.en]


def almost_done(front: bool, time: Phrase, s: Subject, a: Action) -> Rendered:
    """`hier j'ai failli oublier mon passeport`: `i almost forgot my passport yesterday`."""
    fr = [s.fr, french.AVOIR[s.person], "failli", a.verb.infinitive, *a.object.fr]
    return placed(front, time.fr, fr), [s.en, "almost", a.verb.en_past, a.object.en, time.en]


def in_progress(s: Subject, a: Action) -> Rendered:
    """`elle est en train de laver le chien`: `she is in the middle of washing the dog`."""
    fr = [s.fr, french.ETRE[s.person], "en train de", a.verb.infinitive, *a.object.fr]
    return fr, [s.en, english.BE[s.person], "in the middle of", a.verb.en_gerund, a.object.en]


def after_doing(a: Action, s: Subject, v: Verb, place: Phrase) -> Rendered:
    """`après avoir lu la lettre il danse à la gare`: `he dances at the station after reading the letter`."""
    fr = ["après avoir", a.verb.participle, *a.object.fr, *fr_present(s, v), place.fr]
    return fr, [*en_present(s, v), place.en, "after", a.verb.en_gerund, a.object.en]


COMPLEX_CLAUSES = (
    Clause(
        "injury",
        Kind.PAST,
        lambda b: (ORDER, b.phrases("past_times"), b.subjects(), bare(b, ("the",), ("body",))),
        injury,
    ),
    Clause(
        "care",
        Kind.NOW,
        lambda b: (b.people(), bare(b, ("the",), ("body",)), b.people(), b.places()),
        care,
    ),
    Clause(
        "purpose",
        Kind.PAST,
        lambda b: (b.subjects(), b.verbs("motion_verbs"), b.destinations(), active(b, ANY)),
        purpose,
    ),
    Clause(
        "catenative",
        Kind.PAST,
        lambda b: (b.subjects(), CATENATIVES, active(b, ANY), b.phrases("past_times")),
        catenative,
    ),
    Clause(
        "gerund", Kind.FACT, lambda b: (b.subjects(), active(b, ANY), b.verbs("intransitive_verbs")), gerund
    ),
    Clause(
        "imperfect_place",
        Kind.PAST,
        lambda b: (
            ORDER,
            b.phrases("past_times"),
            b.subjects(),
            b.verbs("intransitive_verbs"),
            b.places(),
        ),
        imperfect_place,
    ),
    Clause(
        "cleft_time",
        Kind.FACT,
        lambda b: (b.phrases("future_times"), b.subjects(), active(b, ANY)),
        cleft_time,
    ),
    Clause("cleft_place", Kind.FACT, lambda b: (b.places(), b.subjects(), active(b, ANY)), cleft_place),
    Clause(
        "cleft_object", Kind.FACT, lambda b: (active(b, ("the", "my", "this")), b.subjects()), cleft_object
    ),
    Clause("contrast", Kind.FACT, lambda b: (PRONOUNS, likings(b, POINTED), likings(b, POINTED)), contrast),
    Clause(
        "relative_person",
        Kind.FACT,
        lambda b: (
            b.noun_phrases(b.nouns("job"), ("the", "this"), bare=True),
            b.verbs("intransitive_verbs"),
            b.places(),
            b.phrases("degree_adverbs"),
            b.feelings(),
        ),
        relative_person,
    ),
    Clause(
        "relative_goal",
        Kind.NOW,
        lambda b: (
            b.subjects(),
            active(b, ARTICLES),
            PRONOUNS,
            [v for v in b.verbs("verbs") if not v.stative],
        ),
        relative_goal,
    ),
)

HELDOUT_COMPLEX_CLAUSES = (
    Clause(
        "relative_need",
        Kind.FACT,
        lambda b: (b.described(ARTICLES, GOODS), b.subjects(), b.phrases("degree_adverbs")),
        relative_need,
    ),
    Clause(
        "almost_done",
        Kind.PAST,
        lambda b: (ORDER, b.phrases("past_times"), b.subjects(), active(b, DEFINITE)),
        almost_done,
    ),
    Clause("in_progress", Kind.NOW, lambda b: (b.subjects(), active(b, ANY)), in_progress),
    Clause(
        "after_doing",
        Kind.FACT,
        lambda b: (active(b, ANY), b.subjects(), b.verbs("intransitive_verbs"), b.places()),
        after_doing,
    ),
)
