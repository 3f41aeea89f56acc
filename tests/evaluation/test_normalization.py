"""The form in which transcripts are compared: numbers, prices and times as they are spoken."""

import pytest

from echostream.evaluation.normalization import normalize
from echostream.evaluation.number_words import LARGEST, spell_number, spell_numbers, spell_ordinal


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("  It’s 5 o'clock — “now”, isn't it?", "it's five o'clock now isn't it"),
        ("We leave at 6:00.", "we leave at six o'clock"),
        ("at 6:00 o'clock, at 6:30, at 16:05", "at six o'clock at six thirty at sixteen oh five"),
        ("6 a.m., 6am, 6:05 p.m. and 10:00 AM", "six am six am six oh five pm and ten am"),
        ("It costs 20 euros, €20 or 20 €", "it costs twenty euros twenty euros or twenty euros"),
        ("$1, $2.50", "one dollar two dollars and fifty cents"),
        ("£1.01, £0.02", "one pound and one penny zero pounds and two pence"),
        ("$1,000.", "one thousand dollars"),
        ("$3.5", "three point five dollars"),
        ("50% of 5 per cent", "fifty percent of five percent"),
        ("the 1st, 2nd, 12th, 20th, 143rd", "the first second twelfth twentieth one hundred forty third"),
        ("2.5 and 10.05", "two point five and ten point zero five"),
        ("1,500 or 1500", "one thousand five hundred or one thousand five hundred"),
        ("7,8,9", "seven eight nine"),
        ("007 and 1,234,567", "zero zero seven and one two three four five six seven"),
        ("Twenty-five", "twenty five"),
        ("3:75 is no time, nor 1:2:3", "three seventy five is no time nor one two three"),
        ("", ""),
    ],
)
def test_normalize(written: str, spoken: str) -> None:
    assert normalize(written) == spoken
    assert normalize(spoken) == spoken


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (40, "forty"),
        (99, "ninety nine"),
        (100, "one hundred"),
        (110, "one hundred ten"),
        (1_000, "one thousand"),
        (9_999, "nine thousand nine hundred ninety nine"),
        (20_006, "twenty thousand six"),
        (LARGEST, "nine hundred ninety nine thousand nine hundred ninety nine"),
    ],
)
def test_spell_number(number: int, words: str) -> None:
    assert spell_number(number) == words


def test_every_number_has_words_of_its_own() -> None:
    assert len({spell_number(number) for number in range(10_000)}) == 10_000
    assert spell_ordinal(9) == "ninth"
    assert spell_ordinal(30) == "thirtieth"
    for number in (-1, LARGEST + 1):
        with pytest.raises(ValueError, match="can be spelt"):
            spell_number(number)


def test_text_without_digits_stays() -> None:
    text = "the pm said: a.d. is not am"
    assert spell_numbers(text) == text
