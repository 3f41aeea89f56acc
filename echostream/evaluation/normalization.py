"""The form in which transcripts and references are compared."""

import unicodedata

from echostream.evaluation.number_words import spell_numbers

NORMALIZATION = "NFKC, lower case, English numbers in words, no punctuation but apostrophes"
"""What `normalize` does, as it is noted beside the scores."""


def normalize(text: str) -> str:
    """Lower case, numbers in words, without punctuation (apostrophes stay); see `number_words`."""
    lowered = unicodedata.normalize("NFKC", text.replace("’", "'")).lower()
    kept = (
        character if character == "'" or unicodedata.category(character)[0] not in "PS" else " "
        for character in spell_numbers(lowered)
    )
    return " ".join("".join(kept).split())
