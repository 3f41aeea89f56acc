"""Finite choices as lazy sequences: a grammar's sentences can be counted and indexed without being listed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")
# With this many rounds through the longest part, items of parts of any length are drawn nearly equally often.
EVEN_ROUNDS = 8


class _Lazy(Sequence[T], Generic[T]):
    """A sequence whose items are computed from their index."""

    def _item(self, index: int) -> T:
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self._item(position) for position in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"choice {index} of {len(self)}")
        return self._item(index % len(self))


class Evenly(_Lazy[T]):
    """Items of several sequences such that each sequence has an equal share, however long it is.

    Items of shorter sequences come several times; none is left out.
    """

    def __init__(self, parts: Sequence[Sequence[T]]) -> None:
        self.parts = [part for part in parts if len(part)]
        self.rounds = EVEN_ROUNDS * max(map(len, self.parts), default=0)

    def __len__(self) -> int:
        return self.rounds * len(self.parts)

    def _item(self, index: int) -> T:
        position, part = divmod(index, len(self.parts))
        return self.parts[part][position % len(self.parts[part])]


class AllOf(_Lazy[T]):
    """Every combination of one item from each sequence, joined by `combine`.

    `len()` fails beyond the largest size of an ordinary sequence; `num_combinations` does not.
    """

    def __init__(self, combine: Callable[..., T], parts: Sequence[Sequence[Any]]) -> None:
        self.combine = combine
        self.parts = list(parts)
        self.num_combinations = 1
        for part in self.parts:
            self.num_combinations *= len(part)

    def __len__(self) -> int:
        return self.num_combinations

    def items_at(self, index: int) -> list[Any]:
        """The items of combination `index`, one from each sequence."""
        items = []
        for part in reversed(self.parts):
            index, position = divmod(index, len(part))
            items.append(part[position])
        return items[::-1]

    def _item(self, index: int) -> T:
        return self.combine(*self.items_at(index))
