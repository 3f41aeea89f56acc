"""Typed stream state: what a streaming module remembers between two calls, kept apart from its weights."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
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
    replace tensors, or write only into the unused end of a buffer that grows (:class:`KVHistory`).

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

    def to_tensors(self) -> dict[str, Tensor]:
        """Return a flat copy that holds tensors only, by dotted field name; numbers become int64 tensors.

        Fields that are None are left out. :meth:`load_tensors` is the inverse.
        """
        return {name: tensor.clone() for name, tensor in _named_tensors("", self)}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what :meth:`to_tensors` of a state of the same structure gave.

        Args:
            tensors: by dotted field name; they are copied to where this state's tensors are.
        Raises:
            ValueError: if a name is missing or unknown, or a tensor has another type or number of dimensions
                than the field; the state is then as it was.
        """
        expected = dict(_named_tensors("", self))
        if expected.keys() != tensors.keys():
            missing, unknown = expected.keys() - tensors.keys(), tensors.keys() - expected.keys()
            raise ValueError(
                f"this is a snapshot of another kind of {type(self).__name__}: "
                f"missing {sorted(missing)[:5]}, unknown {sorted(unknown)[:5]}"
            )
        for name, old in expected.items():
            new = tensors[name]
            if new.dim() != old.dim() or new.dtype != old.dtype:
                raise ValueError(
                    f"{name}: expected {old.dim()} dimensions of {old.dtype}, got {new.dim()} of {new.dtype}"
                )
        _load("", self, tensors)

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


def _named_tensors(prefix: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield prefix, value
    elif isinstance(value, int):
        yield prefix, torch.tensor(int(value))
    elif isinstance(value, StreamState):
        for item in dataclasses.fields(value):
            yield from _named_tensors(f"{prefix}.{item.name}".lstrip("."), getattr(value, item.name))
    elif isinstance(value, list) and value and not isinstance(value[0], int):
        for index, entry in enumerate(value):
            yield from _named_tensors(f"{prefix}.{index}", entry)
    elif isinstance(value, list):
        yield prefix, torch.tensor(value, dtype=torch.int64)
    elif value is not None:
        raise TypeError(f"{prefix}: a stream state cannot hold {type(value).__name__}")


def _load(prefix: str, value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Return the new value of a field; states are filled in place."""
    if isinstance(value, Tensor):
        return tensors[prefix].to(device=value.device, copy=True)
    if isinstance(value, bool):
        return bool(tensors[prefix])
    if isinstance(value, int):
        return int(tensors[prefix])
    if isinstance(value, StreamState):
        for item in dataclasses.fields(value):
            name = f"{prefix}.{item.name}".lstrip(".")
            setattr(value, item.name, _load(name, getattr(value, item.name), tensors))
        return value
    if isinstance(value, list) and value and not isinstance(value[0], int):
        return [_load(f"{prefix}.{index}", entry, tensors) for index, entry in enumerate(value)]
    return None if value is None else tensors[prefix].tolist()
