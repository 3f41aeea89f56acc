"""What a clause and a sentence template are: choices, and a function that renders them in both languages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from echostream.corpus.phrases import PhraseBook

Words = list[str]
# French and English, or None where the choices do not go together.
Rendered = tuple[Words, Words] | None


class Kind(Enum):
    """What a clause says, and in which tense: this decides which frames it can stand in."""

    NOW = auto()  # going on: the present in French, the progressive in English
    HABIT = auto()  # the simple present in English
    PAST = auto()
    FUTURE = auto()
    MODAL = auto()
    FACT = auto()  # lasting, or too special in tense for any frame that adds a second clause
    QUESTION = auto()
    REQUEST = auto()


@dataclass(frozen=True)
class Clause:
    """A clause's name, kind, choices (from a phrase book) and rendering."""

    name: str
    kind: Kind
    choices: Callable[[PhraseBook], Sequence[Sequence[Any]]]
    render: Callable[..., Rendered]


@dataclass(frozen=True)
class Template:
    """A sentence's name, its choices (from a phrase book), its rendering and its share of the sentences."""

    name: str
    choices: Callable[[PhraseBook], Sequence[Sequence[Any]]]
    render: Callable[..., Rendered]
    weight: int = 1
