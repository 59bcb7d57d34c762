"""A State whose values are read when they are first asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, SupportsIndex

from ptutils.meta.codec.encode import Encoder
from ptutils.meta.codec.encoded import Encoded
from ptutils.meta.codec.lazy import decode_lazily
from ptutils.meta.codec.table import ENTRY_BY_TAG, ENTRY_BY_TYPE, Node
from ptutils.meta.state import State
from ptutils.meta.unread import Unread, own_item
from ptutils.meta.values import Value

__all__ = ["LazyState", "lazy_state", "read_whole"]


def lazy_state(encoded: Encoded, *, device: str | None = "cpu") -> State:
    """Return a State that reads its artifacts when they are first needed.

    Args:
        encoded: A State, or a plain dict, in its stored form.
        device: Where to put tensors, as for :func:`~ptutils.meta.codec.decode`.

    Raises:
        DecodeError: If it is damaged, as far as that can be told without artifacts.
    """
    state: State = decode_lazily(encoded, State.__name__, device=device)
    _note_unread(state, set())
    return state


def read_whole(state: State) -> State:
    """Read all that is unread in a State and in those inside it; return the State."""
    _read_below(state, set())
    return state


class LazyState(State):
    """A State of which some values are still unread.

    Whatever is asked of it gives real values. When all of its own values have been read
    it becomes a State like any other; States inside it go on for themselves.
    """

    def __getitem__(self, key: Value) -> Value:
        if dict.__contains__(self, key):
            return own_item(self, key)
        return self.__missing__(key)

    def __iter__(self) -> Iterator[Any]:
        # Because there is such a method, dict(state) and {**state} ask for each item.
        return super().__iter__()

    def get(self, key: Value, default: Value = None, /) -> Value:
        """Return the value of a key or dotted path, or ``default``."""
        if dict.__contains__(self, key):
            return own_item(self, key)
        return super().get(key, default)

    def pop(self, key: Value, /, *default: Value) -> Value:
        """Remove a key and return its value, or ``default``."""
        if dict.__contains__(self, key):
            own_item(self, key)
        return super().pop(key, *default)

    def popitem(self) -> tuple[Any, Value]:
        """Remove and return the last pair."""
        return _settled(self).popitem()

    def items(self) -> Any:
        """Return all pairs, after reading them."""
        return _settled(self).items()

    def values(self) -> Any:
        """Return all values, after reading them."""
        return _settled(self).values()

    def copy(self) -> State:
        """Return a State with the same keys and the same values."""
        return _settled(self).copy()

    def __eq__(self, other: object) -> bool:
        return bool(_settled(self) == other)

    def __ne__(self, other: object) -> bool:
        return bool(_settled(self) != other)

    __hash__ = None  # type: ignore[assignment]

    def __or__(self, other: Value) -> Value:
        return _settled(self) | other

    def __ror__(self, other: Value) -> Value:
        return other | _settled(self)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return _settled(self).__reduce_ex__(protocol)

    def __repr__(self) -> str:
        return f"State({dict.__repr__(self)})"

    def _to_document(self) -> Value:
        return read_whole(self)._to_document()


def _settled(state: State) -> State:
    """Read what is unread among a State's own values; make it a usual one."""
    for key in list(dict.keys(state)):
        own_item(state, key)
    object.__setattr__(state, "__class__", State)
    return state


def _read_below(state: State, seen: set[int]) -> None:
    seen.add(id(state))
    for value in state.values():
        if isinstance(value, State) and id(value) not in seen:
            _read_below(value, seen)


def _note_unread(state: State, seen: set[int]) -> None:
    """Make those States lazy that have something unread."""
    seen.add(id(state))
    for value in dict.values(state):
        if type(value) is Unread:
            object.__setattr__(state, "__class__", LazyState)
        elif isinstance(value, State) and id(value) not in seen:
            _note_unread(value, seen)


def _encode(encoder: Encoder, value: Value) -> tuple[Value, Node]:
    return _ENTRY.encode(encoder, _settled(value))


_ENTRY = ENTRY_BY_TAG[State.__name__]
ENTRY_BY_TYPE[LazyState] = dataclasses.replace(_ENTRY, encode=_encode)
