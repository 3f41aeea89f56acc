"""Typed stream state: what a streaming module remembers between two calls, kept apart from its weights."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor

__all__ = ["StreamFinishedError", "StreamState"]


class StreamFinishedError(RuntimeError):
    """Raised when input arrives for a stream that was already closed with ``is_final=True``."""


@dataclass
class StreamState:
    """State of one streaming module: a dataclass that mirrors the module tree.

    A field holds a tensor (batch first), an int, a bool, ``None``, another :class:`StreamState`, or a list of
    those. Ints, bools and lists of ints need a default, which is their value in a fresh state. Modules
    replace tensors and never write into them, so that a clone stays what it was.

    Args:
        finished: whether the stream was closed by a call with ``is_final=True``.
    """

    finished: bool = field(default=False, kw_only=True)

    def begin_step(self, *, is_final: bool) -> None:
        """Register one streaming call.

        Args:
            is_final: whether this call closes the stream.
        Raises:
            StreamFinishedError: if the stream is closed already.
        """
        if self.finished:
            raise StreamFinishedError(
                f"{type(self).__name__}: this stream was closed by a call with is_final=True; "
                "call reset() on the state, or make a new one with init_state(), before sending more input"
            )
        self.finished = is_final

    def reset(self) -> None:
        """Bring the state back to what ``init_state`` returned: zero tensors and default numbers."""
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Tensor):
                setattr(self, item.name, torch.zeros_like(value))
            elif isinstance(value, StreamState):
                value.reset()
            elif isinstance(value, list) and value and all(isinstance(entry, StreamState) for entry in value):
                for entry in value:
                    entry.reset()
            else:
                setattr(self, item.name, self._default(item))

    def clone(self) -> Self:
        """Return an independent copy: continuing one does not change the other."""
        return self._map(lambda tensor: tensor.clone())

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """Return a copy on another device or in another floating-point type.

        Args:
            device: where the tensors go; None leaves them.
            dtype: type of the floating-point tensors (counters stay integers); None leaves it.
        """

        def convert(tensor: Tensor) -> Tensor:
            return tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else None, copy=True)

        return self._map(convert)

    @property
    def num_bytes(self) -> int:
        """Memory that the state keeps alive, in bytes: whole storages, each counted once."""
        storages = {}
        for tensor in self._tensors():
            storage = tensor.untyped_storage()
            storages[(tensor.device, storage.data_ptr())] = storage.nbytes()
        return sum(storages.values())

    def _default(self, item: dataclasses.Field[Any]) -> Any:
        if item.default_factory is not dataclasses.MISSING:
            return item.default_factory()
        if item.default is not dataclasses.MISSING:
            return item.default
        raise TypeError(f"{type(self).__name__}.{item.name} needs a default, the value that reset() restores")

    def _map(self, function: Callable[[Tensor], Tensor]) -> Self:
        result = copy.copy(self)
        for item in dataclasses.fields(self):
            setattr(result, item.name, _map_value(getattr(self, item.name), function))
        return result

    def _tensors(self) -> Iterator[Tensor]:
        for item in dataclasses.fields(self):
            yield from _iterate_tensors(getattr(self, item.name))


def _map_value(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, StreamState):
        return value._map(function)
    if isinstance(value, list):
        return [_map_value(entry, function) for entry in value]
    if value is None or isinstance(value, (bool, int)):
        return value
    raise TypeError(
        f"a stream state holds tensors, ints, bools, states and lists of them, not {type(value).__name__}"
    )


def _iterate_tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, StreamState):
        yield from value._tensors()
    elif isinstance(value, list):
        for entry in value:
            yield from _iterate_tensors(entry)
