"""Sentence frames: what stands in front of a clause or after it, often not on the same side in English."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from echostream.corpus import remarks as r
from echostream.corpus.choices import Evenly
from echostream.corpus.clause import Clause, Kind, Rendered, Template, Words
from echostream.corpus.lexicon import Phrase
from echostream.corpus.phrases import PhraseBook
from echostream.corpus.templates import placed

MAX_WORDS = 18
Phrases = Callable[[PhraseBook, Kind], Sequence[Phrase]]


class Side(Enum):
    """Where a frame's phrase stands. `MOVED` is in front in French and at the end in English."""

    FRONT = auto()
    END = auto()
    MOVED = auto()


@dataclass(frozen=True)
class Frame:
    """Phrases that go with clauses of some kinds; they may depend on the kind, for its tense.

    `subordinate` phrases are clauses that end where the main clause starts: an adverbial in front of the main
    clause would seem to belong to them.
    """

    name: str
    kinds: frozenset[Kind]
    phrases: Phrases
    side: Side
    subordinate: bool = False

    def takes(self, own: Sequence[Any], fr_words: Words, phrase: Phrase) -> bool:
        """Whether the phrase goes with a clause of the choices `own` and the given French words.

        Not so where the sentence would be too long, say the word twice that the phrase wants said once, or
        have the clause's adverbial in front (a True from `ORDER`) behind a subordinate clause.
        """
        if len(fr_words) + len(phrase.fr.split()) > MAX_WORDS:
            return False
        if isinstance(phrase, r.Remark) and phrase.once in fr_words:
            return False
        return not (self.subordinate and any(item is True for item in own))

    def around(self, clause: tuple[Words, Words], phrase: Phrase) -> tuple[Words, Words]:
        """French and English with the phrase where it belongs."""
        fr, en = clause
        return placed(self.side is not Side.END, phrase.fr, fr), placed(
            self.side is Side.FRONT, phrase.en, en
        )


def framed(clause: Clause, frame: Frame) -> Template:
    """The template `clause+frame`; its last choice is the frame's phrase."""

    def choices(b: PhraseBook) -> Sequence[Sequence[Any]]:
        return (*b.once(clause.name, clause.choices), frame.phrases(b, clause.kind))

    def render(*items: Any) -> Rendered:
        *own, phrase = items
        rendered = clause.render(*own)
        if rendered is None or not frame.takes(own, " ".join(rendered[0]).split(), phrase):
            return None
        return frame.around(rendered, phrase)

    return Template(f"{clause.name}+{frame.name}", choices, render)


def combinations(clauses: Sequence[Clause], frames: Sequence[Frame]) -> list[Template]:
    """Every clause in every frame that takes its kind."""
    return [framed(clause, frame) for clause in clauses for frame in frames if clause.kind in frame.kinds]


def _fixed(*pairs: tuple[str, str]) -> Phrases:
    phrases = [r.Remark(fr, en, once=fr) for fr, en in pairs]
    return lambda b, kind: phrases


def _led(fr: str, en: str, *sources: Callable[[PhraseBook, Kind], Sequence[r.Remark]]) -> Phrases:
    return lambda b, kind: r.led_by(fr, en, Evenly([source(b, kind) for source in sources]))


STATEMENTS = frozenset({Kind.NOW, Kind.HABIT, Kind.PAST, Kind.FUTURE, Kind.MODAL, Kind.FACT})
TENSED = STATEMENTS - {Kind.FACT}
ASKING = frozenset({Kind.QUESTION, Kind.REQUEST})
NOW, HABIT, PAST, FUTURE, MODAL = Kind.NOW, Kind.HABIT, Kind.PAST, Kind.FUTURE, Kind.MODAL

TRAIN_FRAMES = (
    # Somebody says so.
    Frame("think", STATEMENTS, r.opinions, Side.FRONT),
    Frame("say", STATEMENTS, r.speakers, Side.FRONT),
    Frame("according", STATEMENTS, r.sources, Side.MOVED),
    Frame(
        "whether",
        STATEMENTS,
        _fixed(
            ("je ne sais pas si", "i do not know whether"),
            ("je me demande si", "i wonder whether"),
            ("nous ne savons pas si", "we do not know whether"),
            ("il veut savoir si", "he wants to know whether"),
        ),
        Side.FRONT,
    ),
    Frame(
        "impersonal",
        STATEMENTS,
        _fixed(
            ("il paraît que", "it seems that"),
            ("il est clair que", "it is clear that"),
            ("il est certain que", "it is certain that"),
            ("c'est vrai que", "it is true that"),
            ("peut être que", "maybe"),
            ("on dit que", "people say that"),
        ),
        Side.FRONT,
    ),
    # The speaker's comment; English says it last.
    Frame(
        "comment",
        STATEMENTS,
        _fixed(
            ("bien sûr", "of course"),
            ("malheureusement", "unfortunately"),
            ("heureusement", "fortunately"),
            ("comme d'habitude", "as usual"),
            ("à mon avis", "in my opinion"),
            ("en tout cas", "in any case"),
        ),
        Side.MOVED,
    ),
    Frame(
        "tag",
        STATEMENTS,
        _fixed(
            ("n'est ce pas", "right"),
            ("tu sais", "you know"),
            ("tu vois", "you see"),
            ("c'est tout", "that is all"),
            ("j'en suis sûr", "i am sure of it"),
        ),
        Side.END,
    ),
    # A second clause, joined.
    Frame("because", TENSED, _led("parce que", "because", r.states), Side.END),
    Frame("but", TENSED, _led("mais", "but", r.refusals), Side.END),
    Frame("and", frozenset({NOW, HABIT, PAST, FUTURE}), _led("et", "and", r.same_tense), Side.END),
    Frame("so", frozenset({NOW, PAST, MODAL}), _led("donc", "so", r.outcomes), Side.END),
    Frame(
        "even_if",
        frozenset({HABIT, FUTURE, MODAL}),
        _led("même si", "even if", r.habits, r.weather),
        Side.END,
    ),
    Frame(
        "except_when",
        frozenset({HABIT}),
        _led("sauf quand", "except when", r.habits, r.weather),
        Side.END,
    ),
    # A second clause that French puts first.
    Frame("as", TENSED, _led("comme", "because", r.going_on, r.states), Side.MOVED, subordinate=True),
    Frame(
        "when", frozenset({HABIT}), _led("quand", "when", r.habits, r.weather), Side.MOVED, subordinate=True
    ),
    Frame(
        "while",
        frozenset({NOW, PAST}),
        _led("pendant que", "while", r.going_on),
        Side.MOVED,
        subordinate=True,
    ),
    Frame(
        "as_soon_as",
        frozenset({FUTURE}),
        _led("dès que", "as soon as", r.movements),
        Side.MOVED,
        subordinate=True,
    ),
    Frame(
        "if",
        frozenset({HABIT, FUTURE, Kind.REQUEST}),
        _led("si", "if", r.movements, r.weather),
        Side.FRONT,
        subordinate=True,
    ),
    # Questions and requests.
    Frame(
        "greeting",
        ASKING,
        _fixed(
            ("bonjour", "hello"),
            ("bonsoir", "good evening"),
            ("excusez moi", "excuse me"),
            ("pardon monsieur", "sorry sir"),
            ("bonjour madame", "hello madam"),
        ),
        Side.FRONT,
    ),
    Frame("address", ASKING, r.names, Side.FRONT),
    Frame(
        "closing",
        ASKING,
        _fixed(("merci", "thank you"), ("merci d'avance", "thanks in advance"), ("mon ami", "my friend")),
        Side.END,
    ),
)

HELDOUT_FRAMES = (
    Frame(
        "hope",
        frozenset({FUTURE}),
        _fixed(("j'espère que", "i hope that"), ("nous espérons que", "we hope that")),
        Side.FRONT,
    ),
    Frame("remember", frozenset({PAST}), _fixed(("je me souviens que", "i remember that")), Side.FRONT),
    Frame("promise", frozenset({FUTURE}), _fixed(("je vous promets que", "i promise you that")), Side.FRONT),
    Frame(
        "luck",
        frozenset({NOW, HABIT, PAST}),
        _fixed(("par chance", "luckily"), ("par hasard", "by chance")),
        Side.MOVED,
    ),
    Frame(
        "since",
        frozenset({NOW, FUTURE, MODAL}),
        _led("puisque", "since", r.states),
        Side.MOVED,
        subordinate=True,
    ),
    Frame("whereas", frozenset({NOW, PAST}), _led("alors que", "whereas", r.going_on), Side.END),
    Frame("otherwise", frozenset({FUTURE, MODAL}), _led("sinon", "otherwise", r.outcomes), Side.END),
    Frame(
        "whenever",
        frozenset({HABIT}),
        _led("lorsque", "whenever", r.habits, r.weather),
        Side.MOVED,
        subordinate=True,
    ),
)
