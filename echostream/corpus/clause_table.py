"""The plain clauses with the choices that fill them; held-out ones occur in the split test_hard only."""

from __future__ import annotations

from echostream.corpus import templates as t
from echostream.corpus.clause import Clause, Kind
from echostream.corpus.phrases import DEFINITE, PRONOUNS
from echostream.corpus.selections import (
    ANY,
    ARTICLES,
    CLITICS,
    GOODS,
    INTRODUCED,
    NEGATIONS,
    ORDER,
    POINTED,
    THINGS,
    active,
    bare,
    dative,
    modals,
    objects,
)

PLAIN_CLAUSES = (
    Clause("present_place", Kind.NOW, lambda b: (b.subjects(), b.actions(ANY), b.places()), t.present_place),
    Clause(
        "present_time",
        Kind.NOW,
        lambda b: (ORDER, b.phrases("present_times"), b.subjects(), b.actions(ANY)),
        t.present_time,
    ),
    Clause(
        "habit",
        Kind.HABIT,
        lambda b: (b.subjects(), b.phrases("frequency_adverbs"), b.actions(ANY), b.places()),
        t.habit,
    ),
    Clause(
        "routine",
        Kind.HABIT,
        lambda b: (ORDER, b.phrases("habit_times"), b.subjects(), b.actions(ANY)),
        t.routine,
    ),
    Clause(
        "past", Kind.PAST, lambda b: (ORDER, b.phrases("past_times"), b.subjects(), b.actions(ANY)), t.past
    ),
    Clause("past_place", Kind.PAST, lambda b: (b.subjects(), active(b, ANY), b.places()), t.past_place),
    Clause(
        "past_adverb",
        Kind.PAST,
        lambda b: (b.subjects(), b.phrases("past_adverbs"), b.actions(ANY)),
        t.past_adverb,
    ),
    Clause(
        "near_future",
        Kind.FUTURE,
        lambda b: (ORDER, b.phrases("future_times"), b.subjects(), active(b, ANY)),
        t.near_future,
    ),
    Clause("modal", Kind.MODAL, lambda b: (b.subjects(), modals(b, negated=False), active(b, ANY)), t.modal),
    Clause(
        "modal_negative",
        Kind.MODAL,
        lambda b: (b.subjects(), modals(b, negated=True), active(b, DEFINITE)),
        t.modal_negative,
    ),
    Clause(
        "negative",
        Kind.HABIT,
        lambda b: (b.subjects(), NEGATIONS, b.actions(DEFINITE), b.places()),
        t.negative,
    ),
    Clause("possession", Kind.FACT, lambda b: (b.described(ARTICLES, THINGS), b.people()), t.possession),
    Clause("there_is", Kind.FACT, lambda b: (objects(b, INTRODUCED, THINGS[:7]), b.places()), t.there_is),
    Clause(
        "description",
        Kind.FACT,
        lambda b: (b.described(POINTED, (*THINGS, "job")), b.phrases("degree_adverbs")),
        t.description,
    ),
    Clause("where_is", Kind.QUESTION, lambda b: (objects(b, ("the",), ("place",)), b.places()), t.where_is),
    Clause(
        "motion_habit",
        Kind.HABIT,
        lambda b: (
            ORDER,
            b.phrases("habit_times"),
            b.subjects(),
            b.verbs("motion_verbs"),
            b.destinations(),
            [None, *b.phrases("transport")],
        ),
        t.motion_habit,
    ),
    Clause(
        "motion_past",
        Kind.PAST,
        lambda b: (
            ORDER,
            b.phrases("past_times"),
            b.subjects(),
            b.verbs("motion_verbs"),
            b.destinations(),
            b.people(),
        ),
        t.motion_past,
    ),
    Clause(
        "clitic_object",
        Kind.HABIT,
        lambda b: (b.subjects(), CLITICS, b.phrases("frequency_adverbs"), b.verbs("verbs"), b.places()),
        t.clitic_object,
    ),
    Clause(
        "dative",
        Kind.PAST,
        lambda b: (ORDER, b.phrases("past_times"), b.subjects(), tuple(t.OBJECT_CLITICS), dative(b)),
        t.dative,
    ),
    Clause("comparison", Kind.FACT, lambda b: (b.described(POINTED, THINGS[:7]), b.people()), t.comparison),
    Clause(
        "timetable",
        Kind.FACT,
        lambda b: (
            ORDER,
            b.phrases("future_times"),
            b.nouns("carrier"),
            b.phrases("numbers"),
            b.phrases("cities"),
        ),
        t.timetable,
    ),
    Clause(
        "departure_question",
        Kind.QUESTION,
        lambda b: (b.nouns("carrier"), b.phrases("cities"), b.phrases("future_times")),
        t.departure_question,
    ),
    Clause(
        "need",
        Kind.NOW,
        lambda b: (b.subjects(), objects(b, ANY, GOODS), b.phrases("present_times")),
        t.need,
    ),
    Clause("polite", Kind.REQUEST, lambda b: (active(b, ANY), b.places()), t.polite),
    Clause("can_you", Kind.REQUEST, lambda b: (active(b, DEFINITE), b.phrases("future_times")), t.can_you),
    Clause(
        "when_weather",
        Kind.FACT,
        lambda b: (b.phrases("weather"), b.subjects(), b.verbs("intransitive_verbs"), b.places()),
        t.when_weather,
    ),
    Clause(
        "around_event",
        Kind.FACT,
        lambda b: (b.phrases("after_times"), b.subjects(), active(b, ANY)),
        t.around_event,
    ),
    Clause(
        "relative",
        Kind.FACT,
        lambda b: (b.subjects(), b.verbs("verbs"), b.described(ARTICLES, GOODS), b.phrases("degree_adverbs")),
        t.relative,
    ),
    Clause(
        "price",
        Kind.FACT,
        lambda b: (objects(b, POINTED, GOODS[:6]), b.phrases("prices"), b.places()),
        t.price,
    ),
    Clause(
        "manner",
        Kind.NOW,
        lambda b: (b.subjects(), b.verbs("intransitive_verbs"), b.phrases("manner_adverbs"), b.places()),
        t.manner,
    ),
    Clause(
        "manner_past",
        Kind.PAST,
        lambda b: (b.subjects(), b.verbs("intransitive_verbs"), b.phrases("manner_adverbs"), b.places()),
        t.manner_past,
    ),
    Clause(
        "feeling",
        Kind.FACT,
        lambda b: (b.subjects(), b.phrases("degree_adverbs"), b.feelings(), b.phrases("present_times")),
        t.feeling,
    ),
    Clause("obligation", Kind.MODAL, lambda b: (active(b, ANY), b.phrases("after_times")), t.obligation),
)

HELDOUT_PLAIN_CLAUSES = (
    Clause(
        "pain",
        Kind.FACT,
        lambda b: (b.subjects(), bare(b, ("the",), ("body",)), b.phrases("present_times")),
        t.pain,
    ),
    Clause(
        "pleasing",
        Kind.FACT,
        lambda b: (objects(b, POINTED, ("clothes", "place", "text", "thing", "room")), b.people()),
        t.pleasing,
    ),
    Clause(
        "since",
        Kind.FACT,
        lambda b: (b.phrases("numbers"), b.subjects(), b.verbs("intransitive_verbs"), b.places()),
        t.since,
    ),
    Clause(
        "equality",
        Kind.FACT,
        lambda b: (b.described(POINTED, GOODS), bare(b, ("the", "my", "this"), GOODS)),
        t.equality,
    ),
    Clause("why", Kind.QUESTION, lambda b: (PRONOUNS, active(b, ANY), b.phrases("present_times")), t.why),
    Clause("cleft", Kind.PAST, lambda b: (b.people(), active(b, ANY), b.phrases("past_times")), t.cleft),
    Clause("just_done", Kind.FACT, lambda b: (b.subjects(), active(b, ANY), b.places()), t.just_done),
    Clause(
        "before_doing",
        Kind.FACT,
        lambda b: (b.subjects(), active(b, ANY), b.verbs("intransitive_verbs"), b.places()),
        t.before_doing,
    ),
    Clause(
        "without_doing",
        Kind.PAST,
        lambda b: (b.phrases("past_times"), b.subjects(), active(b, ANY)),
        t.without_doing,
    ),
)
