"""English surface forms: third person, gerund, plural, articles and the auxiliaries."""

from __future__ import annotations

from collections.abc import Sequence

BE = ("am", "are", "is", "are", "are", "are")
BE_PAST = ("was", "were", "was", "were", "were", "were")
HAVE = ("have", "have", "has", "have", "have", "have")
DO = ("do", "do", "does", "do", "do", "do")
POSSESSIVES = {"i": "my", "you": "your", "he": "his", "she": "her", "we": "our", "they": "their"}
SIBILANTS = ("s", "x", "z", "ch", "sh")
# Spelling and sound disagree: a consonant sound in front of u or eu, a silent h.
CONSONANT_STARTS = ("uni", "use", "eu", "one")
SILENT_H = ("hour", "honest")


def join_english(tokens: Sequence[str]) -> str:
    """Join words or phrases with single spaces, leaving out empty ones."""
    return " ".join(" ".join(token for token in tokens if token).split())


def _with_s(word: str) -> str:
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(SIBILANTS) or word in {"go", "do"} else "s")


def third_person(verb: str) -> str:
    """The third person singular; of a phrasal verb the first word changes (`looks for`)."""
    head, _, rest = verb.partition(" ")
    return join_english(["has" if head == "have" else _with_s(head), rest])


def gerund(verb: str) -> str:
    """The regular form in -ing; doubled consonants must be listed in the lexicon (`ing=running`)."""
    head, _, rest = verb.partition(" ")
    if head.endswith("e") and not head.endswith("ee"):
        head = head[:-1]
    return join_english([head + "ing", rest])


def plural(noun: str) -> str:
    """The regular plural; of a compound the last word changes (`living rooms`)."""
    return _with_s(noun)


def indefinite_article(following: str) -> str:
    """`a` or `an`, by the sound that `following` starts with."""
    if following.startswith(SILENT_H):
        return "an"
    return "an" if following[0] in "aeiou" and not following.startswith(CONSONANT_STARTS) else "a"


def comparative(adjective: str, listed: str) -> str:
    """The listed comparative (`bigger`), else the one with `more`."""
    return listed or f"more {adjective}"


def negated_modal(modal: str, person: int) -> list[str]:
    """`cannot`, `must not`, `does not want to`."""
    return {"can": ["cannot"], "must": ["must not"]}.get(modal, [DO[person], "not", modal])
