"""The words of the template grammar: typed entries read from `lexicon.yaml`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import yaml

from echostream.corpus import english, french

LEXICON_PATH = Path(__file__).with_name("lexicon.yaml")
PLAIN_LISTS = (
    "cities",
    "frequency_adverbs",
    "manner_adverbs",
    "past_adverbs",
    "degree_adverbs",
    "past_times",
    "future_times",
    "present_times",
    "habit_times",
    "after_times",
    "weather",
    "transport",
    "numbers",
    "prices",
)
Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Phrase:
    """A French phrase with its English translation; neither inflects."""

    fr: str
    en: str
    heldout: bool = False


@dataclass(frozen=True)
class Noun:
    """A noun with its gender, both plurals and its class (`food`, `place`, …)."""

    fr: str
    en: str
    feminine: bool
    fr_plural: str
    en_plural: str
    kind: str
    heldout: bool = False

    @property
    def mass(self) -> bool:
        """Whether the noun is uncountable (partitive article, no plural)."""
        return self.kind in {"food_mass", "drink"}


@dataclass(frozen=True)
class Adjective:
    """An adjective with its forms (`before_vowel`: bel, nouvel, vieil) and the classes it can describe."""

    masculine: str
    feminine: str
    masculine_plural: str
    feminine_plural: str
    before_vowel: str
    en: str
    en_more: str
    before_noun: bool
    kinds: frozenset[str]
    heldout: bool = False

    def form(self, *, feminine: bool, plural: bool, vowel_follows: bool = False) -> str:
        """The French form for a gender and number; `vowel_follows` selects bel, nouvel, vieil."""
        if plural:
            return self.feminine_plural if feminine else self.masculine_plural
        if feminine:
            return self.feminine
        return self.before_vowel if vowel_follows else self.masculine


@dataclass(frozen=True)
class Verb:
    """A verb: six French present forms and the participle; English base, past, participle and gerund."""

    infinitive: str
    present: tuple[str, ...]
    participle: str
    en: str
    en_past: str
    en_participle: str
    en_gerund: str
    kinds: frozenset[str] = field(default_factory=frozenset)
    stative: bool = False
    heldout: bool = False


@dataclass(frozen=True)
class Lexicon:
    """All words, with the phrase lists of `PLAIN_LISTS` in `phrases`."""

    nouns: tuple[Noun, ...]
    adjectives: tuple[Adjective, ...]
    verbs: tuple[Verb, ...]
    intransitive_verbs: tuple[Verb, ...]
    motion_verbs: tuple[Verb, ...]
    modals: tuple[Verb, ...]
    names: tuple[Noun, ...]
    phrases: Mapping[str, tuple[Phrase, ...]]
    no_elision: frozenset[str]

    def nouns_of(self, *kinds: str) -> tuple[Noun, ...]:
        """The nouns of the given classes, in the lexicon's order."""
        return tuple(noun for noun in self.nouns if noun.kind in kinds)


def _options(fields: list[str]) -> tuple[list[str], dict[str, str]]:
    plain = [text for text in fields if "=" not in text]
    return plain, dict(text.split("=", 1) for text in fields if "=" in text)


def _phrase(fields: list[str], heldout: bool) -> Phrase:
    fr, en = fields
    return Phrase(fr, en, heldout)


def _noun(kind: str, fields: list[str], heldout: bool) -> Noun:
    (fr, gender, en), options = _options(fields)
    if gender not in {"m", "f"}:
        raise ValueError(f"gender must be m or f, not {gender!r}")
    fr_plural = options.get("plural", french.plural(fr))
    return Noun(fr, en, gender == "f", fr_plural, options.get("en_plural", english.plural(en)), kind, heldout)


def _adjective(fields: list[str], heldout: bool) -> Adjective:
    (masculine, en, kinds), options = _options(fields)
    feminine = options.get("feminine", french.feminine(masculine))
    return Adjective(
        masculine=masculine,
        feminine=feminine,
        masculine_plural=options.get("plural", french.plural(masculine)),
        feminine_plural=options.get("plural", feminine + "s"),
        before_vowel=options.get("vowel", masculine),
        en=en,
        en_more=english.comparative(en, options.get("more", "")),
        before_noun=options.get("position") == "before",
        kinds=frozenset(kinds.split()),
        heldout=heldout,
    )


def _verb(fields: list[str], heldout: bool, layout: str) -> Verb:
    plain, options = _options(fields)
    present = tuple(options["present"].split()) if "present" in options else french.regular_present(plain[0])
    if len(present) != 6:
        raise ValueError(f"six present forms are needed, not {len(present)}")
    if layout == "modal":
        infinitive, en = plain
        return Verb(infinitive, present, "", en, "", "", "", heldout=heldout)
    infinitive, participle, en, past = plain[:4]
    en_participle, kinds = (plain[4], plain[5]) if layout == "transitive" else (past, "")
    gerund = options.get("ing", english.gerund(en))
    stative = options.get("stative") == "yes"
    return Verb(
        infinitive,
        present,
        participle,
        en,
        past,
        en_participle,
        gerund,
        frozenset(kinds.split()),
        stative,
        heldout,
    )


def _read_list(section: str, content: Any, build: Callable[[list[str], bool], Entry]) -> tuple[Entry, ...]:
    if not isinstance(content, dict) or set(content) != {"train", "heldout"}:
        raise ValueError(f"lexicon section {section!r} needs exactly the lists train and heldout")
    entries: list[Entry] = []
    for split in ("train", "heldout"):
        for fields in content[split]:
            try:
                entries.append(build(fields, split == "heldout"))
            except (ValueError, TypeError, IndexError) as error:
                raise ValueError(f"lexicon section {section!r}: bad entry {fields!r}: {error}") from error
    return tuple(entries)


def load_lexicon(path: Path = LEXICON_PATH) -> Lexicon:
    """Read a lexicon file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a section is missing or an entry has the wrong fields; the message names it.
    """
    with open(path, encoding="utf-8") as file:
        # BaseLoader: every scalar stays a string, so that words like "on" are not turned into booleans.
        data = yaml.load(file, Loader=yaml.BaseLoader)
    sections = ("nouns", "adjectives", "verbs", "intransitive_verbs", "motion_verbs", "modals", "names")
    missing = [name for name in (*sections, *PLAIN_LISTS, "no_elision") if name not in data]
    if missing:
        raise ValueError(f"{path}: lexicon sections are missing: {', '.join(missing)}")
    nouns: list[Noun] = []
    for kind, content in data["nouns"].items():
        nouns += _read_list(f"nouns.{kind}", content, partial(_noun, kind))
    return Lexicon(
        nouns=tuple(nouns),
        adjectives=_read_list("adjectives", data["adjectives"], _adjective),
        verbs=_read_list("verbs", data["verbs"], lambda f, h: _verb(f, h, "transitive")),
        intransitive_verbs=_read_list(
            "intransitive_verbs", data["intransitive_verbs"], lambda f, h: _verb(f, h, "intransitive")
        ),
        motion_verbs=_read_list(
            "motion_verbs", data["motion_verbs"], lambda f, h: _verb(f, h, "intransitive")
        ),
        modals=_read_list("modals", data["modals"], lambda f, h: _verb(f, h, "modal")),
        names=_read_list("names", data["names"], lambda f, h: _noun("name", [*f, f[0]], h)),
        phrases={name: _read_list(name, data[name], _phrase) for name in PLAIN_LISTS},
        no_elision=frozenset(data["no_elision"]),
    )
