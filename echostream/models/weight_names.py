"""Long lists of weight names in a form that can be read: layers that differ alike become one line."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

MAX_LINES = 20


def group_names(names: Iterable[str], universe: Iterable[str]) -> dict[str, int]:
    """Return lines that stand for names, each with how many names it stands for.

    A module of whose names all are in the list is one line, ``encoder.linear.*``; lines that differ in the
    number of the layer only are one line, ``layers.{0-11}.fc1.weight``.

    Args:
        names: the list.
        universe: all names on that side, the list included.
    """
    listed = set(names)
    chosen = Counter(prefix for name in listed for prefix in _prefixes(name))
    total = Counter(prefix for name in listed.union(universe) for prefix in _prefixes(name))
    lines: dict[str, int] = {}
    for name in sorted(listed):
        whole = next(prefix for prefix in _prefixes(name) if chosen[prefix] == total[prefix])
        line = name if whole == name else f"{whole}.*"
        lines[line] = lines.get(line, 0) + 1
    return merge_layers(lines)


def merge_layers(lines: Mapping[str, int]) -> dict[str, int]:
    """Return the lines with those that differ in their first number only made one, their counts added."""
    merged: defaultdict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    result: dict[str, int] = {}
    for line, count in lines.items():
        parts = line.split(".")
        position = next((i for i, part in enumerate(parts) if part.isdecimal()), None)
        if position is None:
            result[line] = count
        else:
            around = ".".join(parts[:position]), ".".join(parts[position + 1 :])
            merged[around].append((int(parts[position]), count))
    for (before, after), layers in merged.items():
        numbers = number_ranges(number for number, _ in layers)
        middle = numbers if len(layers) == 1 else f"{{{numbers}}}"
        line = ".".join(part for part in (before, middle, after) if part)
        result[line] = sum(count for _, count in layers)
    return result


def number_ranges(numbers: Iterable[int]) -> str:
    """Return numbers as ranges: 0, 1, 2, 5 give ``0-2,5``."""
    ranges: list[list[int]] = []
    for number in sorted(set(numbers)):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


def format_lines(lines: Mapping[str, int], indent: str = "    ") -> list[str]:
    """Return at most ``MAX_LINES`` lines to print, each with its number of names, and what is left out."""
    shown = list(lines.items())[:MAX_LINES]
    text = [f"{indent}{line}" + (f"  ({count} names)" if count > 1 else "") for line, count in shown]
    hidden = list(lines.values())[MAX_LINES:]
    if hidden:
        text.append(f"{indent}… and {len(hidden)} more lines ({sum(hidden)} names)")
    return text


def _prefixes(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
