"""Noun phrases, subjects, places and verb-object pairs of the template grammar, in both languages at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from echostream.corpus import english, french
from echostream.corpus.choices import AllOf, Evenly
from echostream.corpus.lexicon import Adjective, Lexicon, Noun, Phrase, Verb

# determiner -> is it plural
COUNT_DETERMINERS = {
    "the": False,
    "a": False,
    "my": False,
    "your": False,
    "our": False,
    "their": False,
    "this": False,
    "the_plural": True,
    "some": True,
    "my_plural": True,
    "our_plural": True,
    "these": True,
    "two": True,
    "three": True,
    "several": True,
}
MASS_DETERMINERS = ("the", "some_mass", "my", "our", "this")
DEFINITE = ("the", "my", "your", "our", "their", "this", "the_plural", "my_plural", "our_plural", "these")
FIXED = {
    "the_plural": ("les", "the"),
    "some": ("des", "some"),
    "these": ("ces", "these"),
    "two": ("deux", "two"),
    "three": ("trois", "three"),
    "several": ("plusieurs", "several"),
}
# Uniform choices would make bare nouns rare; they are repeated to keep sentences short.
BARE_NOUN_SHARE = 0.5


@dataclass(frozen=True)
class NounPhrase:
    """A noun phrase; `indefinite` marks des, du, de la, which disappear after de."""

    fr: tuple[str, ...]
    en: str
    feminine: bool
    plural: bool
    indefinite: bool
    noun: Noun
    heldout: bool
    no_elision: frozenset[str] = frozenset()

    @property
    def person(self) -> int:
        """Index of the verb form: 2 for the third person singular, 5 for the plural."""
        return 5 if self.plural else 2

    def after(self, preposition: str) -> list[str]:
        """The phrase after à, de, …, contracted; after de the indefinite articles disappear."""
        if self.indefinite and preposition.split()[-1] == "de":
            return [preposition, *self.fr[1:]]
        return french.contract(preposition, self.fr, self.no_elision)


@dataclass(frozen=True)
class Subject:
    """A subject with its person (0–5) and the gender that a participle agrees with."""

    fr: str
    en: str
    person: int
    feminine: bool
    heldout: bool = False

    @classmethod
    def of(cls, phrase: NounPhrase) -> Subject:
        """A noun phrase as the subject."""
        return cls(" ".join(phrase.fr), phrase.en, phrase.person, phrase.feminine, phrase.heldout)

    @property
    def plural(self) -> bool:
        """Whether the subject is plural."""
        return self.person >= 3


@dataclass(frozen=True)
class Action:
    """A verb with its object."""

    verb: Verb
    object: NounPhrase

    @property
    def heldout(self) -> bool:
        """Whether a held-out word occurs in it."""
        return self.verb.heldout or self.object.heldout


@dataclass(frozen=True)
class Described:
    """A noun phrase and an adjective that can be said of it."""

    phrase: NounPhrase
    adjective: Adjective

    @property
    def heldout(self) -> bool:
        """Whether a held-out word occurs in it."""
        return self.phrase.heldout or self.adjective.heldout

    @property
    def fr_adjective(self) -> str:
        """The adjective in agreement with the noun."""
        return self.adjective.form(feminine=self.phrase.feminine, plural=self.phrase.plural)


PRONOUNS = (
    Subject("je", "i", 0, False),
    Subject("tu", "you", 1, False),
    Subject("il", "he", 2, False),
    Subject("elle", "she", 2, True),
    Subject("nous", "we", 3, False),
    Subject("vous", "you", 4, False),
    Subject("ils", "they", 5, False),
    Subject("elles", "they", 5, True),
)


class PhraseBook:
    """The phrases that a lexicon can form; without `heldout` words when they are not allowed."""

    def __init__(self, lexicon: Lexicon, *, allow_heldout: bool) -> None:
        self.lexicon = lexicon
        self.allow_heldout = allow_heldout
        self._built: dict[Hashable, Any] = {}

    def _usable(self, entries: Sequence[Any]) -> list[Any]:
        return [entry for entry in entries if self.allow_heldout or not entry.heldout]

    def once(self, key: Hashable, build: Callable[[PhraseBook], Any]) -> Any:
        """What `build` makes of this book, made once for each key."""
        if key not in self._built:
            self._built[key] = build(self)
        return self._built[key]

    def phrases(self, name: str) -> list[Phrase]:
        """The fixed phrases of one lexicon list."""
        return self._usable(self.lexicon.phrases[name])

    def verbs(self, name: str) -> list[Verb]:
        """The verbs of one lexicon list (`verbs`, `intransitive_verbs`, `motion_verbs`, `modals`)."""
        return self._usable(getattr(self.lexicon, name))

    def nouns(self, *kinds: str) -> list[Noun]:
        """The nouns of the given classes."""
        known = {noun.kind for noun in self.lexicon.nouns}
        if not known.issuperset(kinds):
            raise ValueError(f"the lexicon has no nouns of class {', '.join(sorted(set(kinds) - known))}")
        return self._usable(self.lexicon.nouns_of(*kinds))

    def starts_with_vowel(self, word: str) -> bool:
        """Whether French elides before the word."""
        return french.starts_with_vowel_sound(word, self.lexicon.no_elision)

    def noun_phrase(self, noun: Noun, determiner: str, adjective: Adjective | None = None) -> NounPhrase:
        """A determiner, a noun and at most one adjective, agreeing in gender and number."""
        is_plural = COUNT_DETERMINERS.get(determiner, False)
        fr_noun = noun.fr_plural if is_plural else noun.fr
        words = [fr_noun]
        if adjective is not None:
            form = adjective.form(
                feminine=noun.feminine,
                plural=is_plural,
                vowel_follows=adjective.before_noun and self.starts_with_vowel(fr_noun),
            )
            words = [form, fr_noun] if adjective.before_noun else [fr_noun, form]
        fr_determiner = self._fr_determiner(noun, determiner, words, adjective)
        en_noun = english.join_english(
            [adjective.en if adjective else "", noun.en_plural if is_plural else noun.en]
        )
        return NounPhrase(
            fr=(*fr_determiner, *words),
            en=english.join_english([self._en_determiner(determiner, en_noun), en_noun]),
            feminine=noun.feminine,
            plural=is_plural,
            indefinite=determiner in {"some", "some_mass"},
            noun=noun,
            heldout=noun.heldout or (adjective is not None and adjective.heldout),
            no_elision=self.lexicon.no_elision,
        )

    def _fr_determiner(
        self, noun: Noun, determiner: str, words: list[str], adjective: Adjective | None
    ) -> tuple[str, ...]:
        vowel = self.starts_with_vowel(words[0])
        article = "la" if noun.feminine else "le"
        if determiner == "some" and adjective is not None and adjective.before_noun:
            return ("de",)
        if determiner in FIXED:
            return (FIXED[determiner][0],)
        if determiner == "the":
            return (article,)
        if determiner == "a":
            return ("une" if noun.feminine else "un",)
        if determiner == "this":
            return ("cette" if noun.feminine else "cet" if vowel else "ce",)
        if determiner == "some_mass":
            if vowel:
                return ("de " + article,)
            return ("de la" if noun.feminine else "du",)
        masculine, feminine, plural = french.POSSESSIVES[determiner.removesuffix("_plural")]
        if determiner.endswith("_plural"):
            return (plural,)
        return (feminine if noun.feminine and not vowel else masculine,)

    @staticmethod
    def _en_determiner(determiner: str, following: str) -> str:
        if determiner in FIXED:
            return FIXED[determiner][1]
        if determiner == "a":
            return english.indefinite_article(following)
        return "some" if determiner == "some_mass" else determiner.removesuffix("_plural")

    def adjectives_for(self, noun: Noun) -> list[Adjective]:
        """The adjectives that can describe the noun."""
        usable = self._usable(self.lexicon.adjectives)
        return self.once(
            ("adjectives", noun.kind), lambda b: [item for item in usable if noun.kind in item.kinds]
        )

    def _phrases_of_noun(
        self, noun: Noun, determiners: tuple[str, ...], *, bare: bool
    ) -> Sequence[NounPhrase]:
        fitting = [name for name in determiners if name != "some_mass" or noun.mass]
        if noun.mass:
            fitting = [name for name in fitting if name in MASS_DETERMINERS]
        if noun.kind == "place":
            fitting = [name for name in fitting if name.removesuffix("_plural") not in french.POSSESSIVES]
        adjectives: list[Adjective | None] = [] if bare else list(self.adjectives_for(noun))
        share = BARE_NOUN_SHARE / (1 - BARE_NOUN_SHARE)
        adjectives += [None] * max(1, round(len(adjectives) * share))
        return AllOf(partial(self.noun_phrase, noun), [fitting, adjectives])

    def noun_phrases(
        self, nouns: Sequence[Noun], determiners: tuple[str, ...], *, bare: bool = False
    ) -> Sequence[NounPhrase]:
        """Phrases of the nouns with the determiners; unless `bare`, half of them carry an adjective."""
        return Evenly(
            [
                self.once(
                    (noun, determiners, bare),
                    partial(PhraseBook._phrases_of_noun, noun=noun, determiners=determiners, bare=bare),
                )
                for noun in nouns
            ]
        )

    def actions(self, determiners: tuple[str, ...], verbs: Sequence[Verb] | None = None) -> Sequence[Action]:
        """The verbs with the objects of the classes they take."""
        chosen = tuple(self.verbs("verbs") if verbs is None else verbs)
        return self.once(("actions", determiners, chosen), lambda b: b._actions(determiners, chosen))

    def _actions(self, determiners: tuple[str, ...], verbs: Sequence[Verb]) -> Sequence[Action]:
        parts: list[Sequence[Action]] = []
        for verb in verbs:
            phrases = self.noun_phrases(self.nouns(*sorted(verb.kinds)), determiners)
            parts.append(AllOf(partial(Action, verb), [phrases]))
        return Evenly(parts)

    def described(self, determiners: tuple[str, ...], kinds: Sequence[str]) -> Sequence[Described]:
        """Phrases without an adjective, each with an adjective that fits."""
        parts = []
        for noun in self.nouns(*kinds):
            phrases = self.noun_phrases([noun], determiners, bare=True)
            parts.append(AllOf(Described, [phrases, self.adjectives_for(noun)]))
        return Evenly(parts)

    def feelings(self) -> list[Adjective]:
        """The adjectives that describe how a person is."""
        return [
            adjective for adjective in self._usable(self.lexicon.adjectives) if "person" in adjective.kinds
        ]

    def people(self) -> Sequence[NounPhrase]:
        """Relatives with a possessive, professions with an article, and names."""
        return self.once("people", PhraseBook._people)

    def _people(self) -> Sequence[NounPhrase]:
        parts = [[self.noun_phrase(n, d) for d in ("my", "our", "your")] for n in self.nouns("kin")]
        parts += [[self.noun_phrase(n, d) for d in ("the", "this")] for n in self.nouns("job")]
        parts += [
            [NounPhrase((n.fr,), n.en, n.feminine, False, False, n, n.heldout)]
            for n in self._usable(self.lexicon.names)
        ]
        return Evenly(parts)

    def subjects(self) -> Sequence[Subject]:
        """Pronouns and people in equal shares."""
        return Evenly([PRONOUNS, AllOf(Subject.of, [self.people()])])

    def places(self) -> Sequence[Phrase]:
        """Where something happens: at, in, near … a place, in a room, in a city, at somebody's."""
        parts = []
        prepositions = (("à", "at"), ("devant", "in front of"), ("derrière", "behind"), ("près de", "near"))
        for noun in self.nouns("place"):
            the = self.noun_phrase(noun, "the")
            parts.append(
                [Phrase(" ".join(the.after(fr)), f"{en} {the.en}", noun.heldout) for fr, en in prepositions]
            )
        for noun in self.nouns("room"):
            rooms = [self.noun_phrase(noun, determiner) for determiner in ("the", "our")]
            parts.append(
                [Phrase(" ".join(("dans", *room.fr)), f"in {room.en}", noun.heldout) for room in rooms]
            )
        parts += [[Phrase(f"à {c.fr}", f"in {c.en}", c.heldout)] for c in self.phrases("cities")]
        for noun in self.nouns("kin"):
            person = self.noun_phrase(noun, "my")
            fr = " ".join(("chez", *person.fr))
            parts.append([Phrase(fr, f"at {person.en}'s house", noun.heldout)])
        return Evenly(parts)

    def destinations(self) -> list[tuple[Phrase, bool]]:
        """Destinations with à, without the English preposition; the flag tells a city from a place."""
        places = []
        for noun in self.nouns("place"):
            the = self.noun_phrase(noun, "the")
            places.append((Phrase(" ".join(the.after("à")), the.en, noun.heldout), False))
        cities = [(Phrase(f"à {c.fr}", c.en, c.heldout), True) for c in self.phrases("cities")]
        return places + cities
