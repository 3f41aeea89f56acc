"""English numbers, prices and times in words, as they are spoken.

Recognisers write "6:30" and "€20" where references have "six thirty" and "twenty euros".
"""

import re
from collections.abc import Callable

# fmt: off
_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen",
    "sixteen", "seventeen", "eighteen", "nineteen",
)
# fmt: on
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_CURRENCIES = {"$": ("dollar", "cent"), "€": ("euro", "cent"), "£": ("pound", "penny")}
_PLURALS = {"penny": "pence"}
_FULL_HOUR = "o'clock"

LARGEST = 999_999

_NUMBER = r"\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?"
_CLOCK = re.compile(r"(?<![\d:.,])([01]?\d|2[0-4]):([0-5]\d)(?![\d:])(\s*(?:o'clock|[ap]\.?m\b\.?))?")
_HALF_DAY = re.compile(r"(?<![a-z])([ap])\.\s?m\b\.?")
_PRICE = re.compile(rf"([$€£])\s?({_NUMBER})|({_NUMBER})\s?([$€£])")
_PERCENT = re.compile(rf"({_NUMBER})\s?%")
_ORDINAL = re.compile(r"(?<![\d.,])(\d{1,3}(?:,\d{3})+|\d+)(?:st|nd|rd|th)\b")


def spell_number(number: int) -> str:
    """Cardinal number in words without hyphens or "and": 142 is "one hundred forty two".

    Raises:
        ValueError: for a number below 0 or above `LARGEST`.
    """
    if not 0 <= number <= LARGEST:
        raise ValueError(f"numbers from 0 to {LARGEST} can be spelt, not {number}")
    for size, name in ((1000, "thousand"), (100, "hundred")):
        if number >= size:
            rest = f" {spell_number(number % size)}" if number % size else ""
            return f"{spell_number(number // size)} {name}{rest}"
    if number < len(_SMALL):
        return _SMALL[number]
    rest = f" {_SMALL[number % 10]}" if number % 10 else ""
    return _TENS[number // 10 - 2] + rest


def spell_ordinal(number: int) -> str:
    """Ordinal number in words: 21 is "twenty first"; see `spell_number`."""
    *before, last = spell_number(number).split()
    ending = _ORDINALS.get(last) or (last[:-1] + "ieth" if last.endswith("y") else last + "th")
    return " ".join([*before, ending])


def spell_numbers(text: str) -> str:
    """Replace the digits of a lower-case text by words.

    Times ("6:00", "6:05 p.m."), prices ("$2.50", "20€"), per cent, ordinals ("3rd"), decimals and numbers up
    to `LARGEST`; a longer number, or one that begins with 0, is read digit by digit.
    """
    text = _HALF_DAY.sub(r"\1m", _CLOCK.sub(_spell_clock, text))
    steps: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
        (_PRICE, _spell_price),
        (_PERCENT, lambda match: f" {_spell(match[1])} percent "),
        (_ORDINAL, lambda match: f" {_spell_ordinal(match[1])} "),
        (re.compile(_NUMBER), lambda match: f" {_spell(match[0])} "),
    )
    for pattern, spell in steps:
        text = pattern.sub(spell, text)
    return re.sub(r"\bper cent\b", "percent", text)


def _spell(digits: str) -> str:
    """Words of "1,234.5"."""
    whole, _, decimals = digits.replace(",", "").partition(".")
    too_long = int(whole) > LARGEST or (whole.startswith("0") and len(whole) > 1)
    words = _spell_digits(whole) if too_long else spell_number(int(whole))
    return f"{words} point {_spell_digits(decimals)}" if decimals else words


def _spell_digits(digits: str) -> str:
    return " ".join(_SMALL[int(digit)] for digit in digits)


def _spell_ordinal(digits: str) -> str:
    number = int(digits.replace(",", ""))
    return spell_ordinal(number) if number <= LARGEST else f"{_spell_digits(str(number))} th"


def _spell_clock(match: re.Match[str]) -> str:
    hour, minute, suffix = int(match[1]), int(match[2]), (match[3] or "").strip().replace(".", "")
    if minute == 0:
        return f" {spell_number(hour)} {suffix or _FULL_HOUR} "
    minutes = f"oh {spell_number(minute)}" if minute < 10 else spell_number(minute)
    return f" {spell_number(hour)} {minutes} {'' if suffix == _FULL_HOUR else suffix} "


def _spell_price(match: re.Match[str]) -> str:
    symbol, digits = match[1] or match[4], match[2] or match[3]
    unit, hundredth = _CURRENCIES[symbol]
    whole, _, decimals = digits.partition(".")
    if len(decimals) not in (0, 2):
        return f" {_spell(digits)} {unit}s "
    words = f"{_spell(whole)} {_plural(unit, int(whole.replace(',', '')))}"
    if decimals.strip("0"):
        words += f" and {spell_number(int(decimals))} {_plural(hundredth, int(decimals))}"
    return f" {words} "


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else _PLURALS.get(noun, noun + "s")
