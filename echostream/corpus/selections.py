"""Which determiners, classes and verbs the clauses choose from."""

from __future__ import annotations

from collections.abc import Sequence

from echostream.corpus.lexicon import Verb
from echostream.corpus.phrases import COUNT_DETERMINERS, Action, NounPhrase, PhraseBook

# In front or at the end: where French puts the adverbial. English keeps it at the end.
ORDER = (True, False)
ANY = (*COUNT_DETERMINERS, "some_mass")
POINTED = ("the", "my", "our", "this", "the_plural", "these")
ARTICLES = ("the", "the_plural")
INTRODUCED = ("a", "some", "two", "three", "several", "some_mass")
THINGS = ("clothes", "thing", "fragile", "furniture", "text", "vehicle", "animal", "place", "room", "food")
GOODS = ("clothes", "thing", "fragile", "furniture", "text", "vehicle", "food", "drink")
NEGATIONS = (("plus", "no longer"), ("jamais", "never"))
CLITICS = (("le", "it"), ("la", "it"), ("les", "them"))
LIKINGS = frozenset({"adorer", "détester", "préférer"})
DATIVE_VERBS = frozenset(
    {"montrer", "envoyer", "apporter", "vendre", "acheter", "donner", "offrir", "prêter"}
)


def modals(b: PhraseBook, *, negated: bool) -> list[Verb]:
    """The modal verbs; with `negated`, those that English negates as French does."""
    return [verb for verb in b.verbs("modals") if not (negated and verb.en == "know how to")]


def active(b: PhraseBook, determiners: tuple[str, ...]) -> Sequence[Action]:
    """Actions that can be going on."""
    return b.actions(determiners, [verb for verb in b.verbs("verbs") if not verb.stative])


def likings(b: PhraseBook, determiners: tuple[str, ...]) -> Sequence[Action]:
    """What somebody loves, hates or prefers."""
    return b.actions(determiners, [verb for verb in b.verbs("verbs") if verb.infinitive in LIKINGS])


def dative(b: PhraseBook) -> Sequence[Action]:
    """Actions that are done for somebody."""
    return b.actions(ANY, [verb for verb in b.verbs("verbs") if verb.infinitive in DATIVE_VERBS])


def objects(b: PhraseBook, determiners: tuple[str, ...], kinds: Sequence[str]) -> Sequence[NounPhrase]:
    """Noun phrases of some classes, half of them with an adjective."""
    return b.noun_phrases(b.nouns(*kinds), determiners)


def bare(b: PhraseBook, determiners: tuple[str, ...], kinds: Sequence[str]) -> Sequence[NounPhrase]:
    """Noun phrases of some classes without adjectives."""
    return b.noun_phrases(b.nouns(*kinds), determiners, bare=True)
