"""Words and phrases of the lexicon by their French form, for the tests of the grammar."""

from echostream.corpus import english, french
from echostream.corpus.clause import Rendered
from echostream.corpus.lexicon import Adjective, Lexicon, Noun, Phrase, Verb
from echostream.corpus.phrases import PRONOUNS, Action, PhraseBook, Subject

YESTERDAY, TOMORROW, NOW = (
    Phrase("hier", "yesterday"),
    Phrase("demain", "tomorrow"),
    Phrase("maintenant", "now"),
)
MARKET, VERY = Phrase("au marché", "at the market"), Phrase("très", "very")
TO_ROME = (Phrase("à rome", "rome"), True)


def noun(lexicon: Lexicon, fr: str) -> Noun:
    return next(item for item in lexicon.nouns if item.fr == fr)


def adjective(lexicon: Lexicon, masculine: str) -> Adjective:
    return next(item for item in lexicon.adjectives if item.masculine == masculine)


def verb(lexicon: Lexicon, infinitive: str) -> Verb:
    verbs = (*lexicon.verbs, *lexicon.intransitive_verbs, *lexicon.motion_verbs, *lexicon.modals)
    return next(item for item in verbs if item.infinitive == infinitive)


def pronoun(fr: str) -> Subject:
    return next(item for item in PRONOUNS if item.fr == fr)


def action(book: PhraseBook, verb_fr: str, noun_fr: str, determiner: str) -> Action:
    phrase = book.noun_phrase(noun(book.lexicon, noun_fr), determiner)
    return Action(verb(book.lexicon, verb_fr), phrase)


def texts(book: PhraseBook, rendered: Rendered) -> tuple[str, str]:
    assert rendered is not None
    return french.join_french(rendered[0], book.lexicon.no_elision), english.join_english(rendered[1])
