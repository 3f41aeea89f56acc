"""French surface forms: elision, contraction, agreement and the regular conjugation."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

VOWELS = frozenset("aeiouyœæ")
ELIDING = frozenset({"je", "ne", "de", "que", "le", "la", "me", "te", "se", "lorsque", "puisque"})
REFLEXIVES = ("me", "te", "se", "nous", "vous", "se")
AVOIR = ("ai", "as", "a", "avons", "avez", "ont")
ETRE = ("suis", "es", "est", "sommes", "êtes", "sont")
ETRE_IMPERFECT = ("étais", "étais", "était", "étions", "étiez", "étaient")
AVOIR_IMPERFECT = ("avais", "avais", "avait", "avions", "aviez", "avaient")
ALLER = ("vais", "vas", "va", "allons", "allez", "vont")
VENIR = ("viens", "viens", "vient", "venons", "venez", "viennent")
REGULAR_ENDINGS = ("e", "es", "e", "ons", "ez", "ent")
IMPERFECT_ENDINGS = ("ais", "ais", "ait", "ions", "iez", "aient")
POSSESSIVES = {
    "my": ("mon", "ma", "mes"),
    "your": ("ton", "ta", "tes"),
    "our": ("notre", "notre", "nos"),
    "their": ("leur", "leur", "leurs"),
}


def starts_with_vowel_sound(word: str, no_elision: frozenset[str] = frozenset()) -> bool:
    """Whether French elides before `word`: a vowel or a mute h, except for the words in `no_elision`."""
    if not word or word in no_elision or word.rstrip("s") in no_elision:
        return False
    first = unicodedata.normalize("NFD", word[0])[0]
    if first == "h":
        return True
    if first == "y":
        return len(word) == 1 or word[1] not in "aeiouéè"
    return first in VOWELS


def join_french(tokens: Sequence[str], no_elision: frozenset[str] = frozenset()) -> str:
    """Join words or phrases into a sentence, writing je, ne, de, le, … as j', n', d', l', … before vowels.

    `si` is shortened before il and ils only.

    Args:
        tokens: words or phrases in order; empty strings are left out.
        no_elision: words before which nothing is elided (aspirated h, `onze`, …).
    """
    words = " ".join(token for token in tokens if token).split()
    pieces: list[str] = []
    for index, word in enumerate(words):
        following = words[index + 1] if index + 1 < len(words) else ""
        if word in ELIDING and starts_with_vowel_sound(following, no_elision):
            pieces.append(word[:-1] + "'")
        elif word == "si" and following in {"il", "ils"}:
            pieces.append("s'")
        else:
            pieces.append(word + " ")
    return "".join(pieces).strip()


def contract(preposition: str, phrase: Sequence[str], no_elision: frozenset[str] = frozenset()) -> list[str]:
    """Put `preposition` before a noun phrase: à and de with the articles le and les give au, aux, du, des.

    The article stays where it will be elided (`à l'hôtel`).
    """
    words = " ".join(phrase).split()
    last = preposition.split()[-1]
    article = words[0] if words else ""
    if last not in {"à", "de"} or article not in {"le", "les"}:
        return [preposition, *words]
    if article == "le" and len(words) > 1 and starts_with_vowel_sound(words[1], no_elision):
        return [preposition, *words]
    merged = {("à", "le"): "au", ("à", "les"): "aux", ("de", "le"): "du", ("de", "les"): "des"}[
        (last, article)
    ]
    return [*preposition.split()[:-1], merged, *words[1:]]


def plural(word: str) -> str:
    """The regular plural of a noun or masculine adjective."""
    if word[-1] in "sxz":
        return word
    if word.endswith(("eau", "eu")):
        return word + ("s" if word == "bleu" else "x")
    if word.endswith("al"):
        return word[:-2] + "aux"
    return word + "s"


def feminine(adjective: str) -> str:
    """The regular feminine singular of an adjective."""
    for ending, replacement in (("er", "ère"), ("eux", "euse"), ("f", "ve"), ("el", "elle"), ("en", "enne")):
        if adjective.endswith(ending):
            return adjective[: -len(ending)] + replacement
    return adjective if adjective.endswith("e") else adjective + "e"


def agree(participle: str, *, is_feminine: bool, is_plural: bool) -> str:
    """A past participle with the endings of its gender and number."""
    word = participle + ("e" if is_feminine else "")
    return word + "s" if is_plural and not word.endswith("s") else word


def regular_present(infinitive: str) -> tuple[str, ...]:
    """The six present forms of a regular verb in -er.

    Raises:
        ValueError: the verb is not in -er; its forms must be listed in the lexicon.
    """
    if not infinitive.endswith("er"):
        raise ValueError(
            f"{infinitive!r} is not a verb in -er: give its six present forms (present=…) in the lexicon"
        )
    return tuple(infinitive[:-2] + ending for ending in REGULAR_ENDINGS)


def _nous_stem(present: Sequence[str]) -> str:
    """The stem of the first person plural, which the imperfect and the present participle share."""
    return present[3].removesuffix("ons")


def imperfect(present: Sequence[str], person: int) -> str:
    """The imperfect of any verb but être, from its six present forms; nageons gives nageais and nagions."""
    stem, ending = _nous_stem(present), IMPERFECT_ENDINGS[person]
    if ending.startswith("i"):
        stem = stem[:-1] if stem.endswith("ge") else re.sub("ç$", "c", stem)
    return stem + ending


def present_participle(present: Sequence[str]) -> str:
    """The form in -ant of any verb but être, avoir and savoir, from its six present forms."""
    return _nous_stem(present) + "ant"
