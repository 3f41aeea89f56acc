"""Text normalisation of both sides, as the public fr-en vocabularies of StreamSpeech were made.

Source: transcripts are lower-cased, and every character that is neither a letter, a digit, an underscore nor
white space is deleted, apostrophes too, so that "J'ai vu." becomes "jai vu". That is the rule of
StreamSpeech's preprocessing, and its source vocabulary has no apostrophe.

Target: CVSS gives the translations as they are spoken (numbers, currencies and acronyms in words, lower case,
no punctuation but apostrophes and the like). They stay as they are: the public target vocabulary has the
apostrophe among its first pieces. (The public script would delete it; the vocabulary and the references show
that it was not used on the released data.)
"""

from __future__ import annotations

import re
import unicodedata

_NOT_WORD_OR_SPACE = re.compile(r"[^\w\s]")


def _tidy(text: str) -> str:
    return " ".join(text.split())


def normalize_transcript(text: str) -> str:
    """A transcript in lower case, without punctuation; "" when it holds no word.

    Accents that are written as separate characters are composed first, so that they are not taken for
    punctuation.
    """
    return _tidy(_NOT_WORD_OR_SPACE.sub("", unicodedata.normalize("NFC", text).lower()))


def normalize_translation(text: str) -> str:
    """A translation of CVSS in lower case, with single spaces."""
    return _tidy(text.lower())
