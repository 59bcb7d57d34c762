"""State: what the next step depends on, as a dict whose names may be dotted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from ptutils.errors import MissingNameError, StateMismatchError, nearest
from ptutils.meta.codec import encode
from ptutils.meta.codec.mappings import register_mapping
from ptutils.meta.digest import state_digest
from ptutils.meta.formats import table as formats
from ptutils.meta.metamodule import MetaModule
from ptutils.meta.paths import Trail, lookup, trail
from ptutils.meta.summary import Summary, summarize
from ptutils.meta.unread import inside
from ptutils.meta.values import Value

__all__ = ["State", "adopted"]

_S = TypeVar("_S", bound="State")
_ABSENT = object()


class State(MetaModule, dict[Any, Any]):
    """A dict with dots, nesting and files.

    A plain dict that is put in becomes a State of its own, so that ``s.optimizer.lr``
    reads and writes; all other values are kept as they are. Reading by item takes a
    key or a dotted path, through lists and through keys that hold dots themselves;
    writing by item always means the key itself.

    The identity law: ``s(...) is s.state_dict(...) is s.load_state_dict(...) is s``.

    Args:
        source: A mapping, an iterable of pairs, or the path of a file to read.
        values: Further names.

    Raises:
        FormatError: If the file cannot be read.
        StateMismatchError: If the source is neither, or the file holds neither.

    Example:
        >>> state = State({"optimizer": {"lr": 0.1}}, step=3)
        >>> state.optimizer.lr = 0.2
        >>> state["optimizer.lr"], state.paths()
        (0.2, ['optimizer.lr', 'step'])
    """

    def __init__(self, source: Value = (), /, **values: Value) -> None:
        super().__init__()
        if isinstance(source, (str, os.PathLike)):
            source = _checked(formats.read(source), os.fspath(source))
        self.update(_checked(source), **values)

    def __call__(self: _S, *args: Value, **kwargs: Value) -> _S:
        """Return this State; the arguments make it interchangeable with the others."""
        return self

    def state_dict(self: _S, *args: Value, **kwargs: Value) -> _S:
        """Return this State itself; arguments, as PyTorch passes them, are ignored."""
        return self

    def load_state_dict(
        self: _S, state: Value = None, *args: Value, **kwargs: Value
    ) -> _S:
        """Replace the content by that of ``state``, if one is given.

        Returns:
            This State itself.

        Raises:
            StateMismatchError: If ``state`` is not a mapping.
        """
        if state is not None and state is not self:
            content = dict(_checked(state))
            self.clear()
            self.update(content)
        return self

    def paths(self) -> list[str]:
        """Return the dotted path of every leaf, in order; an empty container is one."""
        return [".".join(path) for path in _leaves(self, (), {id(self)})]

    def digest(self) -> str:
        """Return a text that is equal for States of equal bits, and for no others.

        It depends on values, types, order and sharing alone: not on the process, the
        machine, or how the State was stored. Where a tensor looks at a part of a larger
        storage, the bytes between its elements count as well.

        Raises:
            EncodeError: If something in it cannot be stored exactly.

        Example:
            >>> State(step=3).digest() == State({"step": 3}).digest()
            True
        """
        return state_digest(encode(self))

    def summary(self) -> Summary:
        """Return how many leaves, elements and bytes each part has, as a tree.

        Raises:
            EncodeError: If something in it cannot be stored exactly.
        """
        return summarize(encode(self))

    def update(self, source: Value = (), /, **values: Value) -> None:
        """Add all pairs of ``source`` and ``values``, as by item."""
        memo: dict[int, State] = {}
        for key, value in dict(source, **values).items():
            super().__setitem__(key, adopted(value, memo))

    def setdefault(self, key: Value, default: Value = None, /) -> Value:
        """Return the value of ``key``; put ``default`` there first if it is absent."""
        if not super().__contains__(key):
            self[key] = default
        return self[key]

    def copy(self) -> State:
        """Return a State with the same keys and the same values."""
        return type(self)(self)

    def get(self, key: Value, default: Value = None, /) -> Value:
        """Return the value of a key or dotted path, or ``default``."""
        value = super().get(key, _ABSENT)
        if value is _ABSENT:
            return default if (found := _trail(self, key)) is None else lookup(found)
        return value

    def __contains__(self, key: Value) -> bool:
        return super().__contains__(key) or _trail(self, key) is not None

    def __setitem__(self, key: Value, value: Value) -> None:
        super().__setitem__(key, adopted(value, {}))

    def __ior__(self: _S, other: Value) -> _S:  # type: ignore[misc]
        self.update(other)
        return self

    def __missing__(self, key: Value) -> Value:
        found = _trail(self, key)
        if found is None:
            raise _missing(self, key)
        return lookup(found)

    def __getattr__(self, name: str) -> Value:
        if name.startswith("__"):  # Protocols probe for these on every object.
            raise AttributeError(name)
        if super().__contains__(name):
            return self[name]
        raise _missing(self, name)

    def __setattr__(self, name: str, value: Value) -> None:
        if hasattr(type(self), name):
            raise MissingNameError(
                f"cannot set the attribute {name!r} of a State",
                expected="a name that is not a method",
                fix=f"write state[{name!r}] = ...",
            )
        self[name] = value

    def __delattr__(self, name: str) -> None:
        if not super().__contains__(name):
            raise _missing(self, name)
        del self[name]

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *(key for key in self if isinstance(key, str))]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({super().__repr__()})"

    def _to_document(self) -> Value:
        return _release(self, {})


register_mapping(State, nested=True)


def _checked(source: Value, place: str = "this value") -> Value:
    """Return a mapping as it is, and pairs as a dict."""
    if isinstance(source, Mapping):
        return source
    try:
        if not isinstance(source, (str, bytes)):
            return dict(source)
    except (TypeError, ValueError):
        pass
    raise StateMismatchError(
        f"cannot read a State from {place}",
        expected="a mapping, pairs, or the path of a file that holds one",
        got=f"{type(source).__name__}: {source!r:.60}",
    )


def adopted(value: Value, memo: dict[int, State]) -> Value:
    """Turn plain dicts into States; one dict in two places becomes one State.

    Args:
        value: What may be or hold plain dicts.
        memo: The States by the ids of the dicts, which must live as long.
    """
    if type(value) is not dict:
        return value
    known = memo.get(id(value))
    if known is None:
        known = memo[id(value)] = State.__new__(State)
        for key, item in value.items():
            dict.__setitem__(known, key, adopted(item, memo))
    return known


def _release(value: Value, memo: dict[int, Value]) -> Value:
    """Undo :func:`adopted`, so that a file holds plain dicts."""
    if type(value) is not State:
        return value
    known = memo.get(id(value))
    if known is None:
        known = memo[id(value)] = {}
        known.update((key, _release(item, memo)) for key, item in value.items())
    return known


def _trail(state: State, path: Value) -> Trail | None:
    return trail(state, path) if isinstance(path, str) else None


def _missing(state: State, key: Value) -> MissingNameError:
    names = state.paths() if "." in str(key) else [str(known) for known in state]
    near = nearest(str(key), names)
    return MissingNameError(
        f"this State holds no {key!r}",
        expected=", ".join(names[:12]) + (", ..." if len(names) > 12 else ""),
        fix=f"did you mean {near!r}?" if near else "",
    )


def _items(node: Value) -> Iterable[tuple[Value, Value]] | None:
    if isinstance(node, State):
        return dict.items(node)  # What is unread stays so.
    if isinstance(node, Mapping):
        return node.items()
    return enumerate(node) if isinstance(node, (list, tuple)) else None


def _leaves(
    node: Value, path: tuple[str, ...], open_ids: set[int]
) -> Iterator[tuple[str, ...]]:
    for key, held in _items(node) or ():
        here = (*path, str(key))
        value = inside(held)
        if id(value) in open_ids or not _items(value) or not len(value):
            yield here
        else:
            yield from _leaves(value, here, {*open_ids, id(value)})
