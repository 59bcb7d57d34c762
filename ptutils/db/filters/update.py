"""Updates: ``$set $unset $inc $push $addToSet $pull`` on one document, and upserts."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Final

from ptutils.db.filters.match import (
    LOGICAL,
    compile_filter,
    element_test,
    is_expression,
)
from ptutils.db.filters.operators import equals
from ptutils.db.filters.order import MISSING, is_number, key
from ptutils.db.filters.paths import PATH_ORDER, Parts, colliding, field_path
from ptutils.errors import QueryError, nearest
from ptutils.meta.values import Document, Value

__all__ = ["compile_update"]

_Change = Callable[[Value], Value]
"""From the present value, or MISSING, to the new one, or MISSING to remove it."""

_MAX_PADDING: Final = 1_500_000
_WORD: Final = 1 << 63


def compile_update(update: Document) -> Callable[[Document], Document]:
    """Return the function that applies ``update`` to one document, in place.

    The function returns its argument, and raises QueryError where the document does
    not take the update, leaving it half changed: give it a copy.

    Raises:
        QueryError: If the update is wrong whatever the document.

    Example:
        >>> compile_update({"$inc": {"a.b": 2}, "$push": {"c": 1}})({"a": {"b": 1}})
        {'a': {'b': 3}, 'c': [1]}
    """
    changes = _changes(update)

    def apply(document: Document) -> Document:
        identity = document.get("_id", MISSING)
        for path, name, change in changes:
            _apply(document, path, name, change)
        if identity is not MISSING:
            _check_identity(identity, document.get("_id", MISSING))
        return document

    return apply


def _changes(update: Document) -> list[tuple[Parts, str, _Change]]:
    if not isinstance(update, dict) or not update:
        raise _wrong("a dict of operators, such as {'$set': {'a': 1}}", update)
    changes: dict[Parts, tuple[str, _Change]] = {}
    for name, operands in update.items():
        if name not in _OPERATORS:
            raise _unknown(name)
        if not isinstance(operands, dict):
            raise _wrong(f"a dict of paths under {name}", operands)
        for path, operand in operands.items():
            parts = field_path(path, "an update")
            other = colliding(parts, changes)
            if other is not None:
                raise _wrong("one change per path", ".".join(other), path)
            changes[parts] = (name, _OPERATORS[name](operand))
    return [(path, *changes[path]) for path in sorted(changes, key=PATH_ORDER)]


def _unknown(name: Value) -> QueryError:
    close = nearest(str(name), _OPERATORS)
    return QueryError(
        f"unknown update operator {name!r}",
        expected="one of " + ", ".join(_OPERATORS),
        got=repr(name),
        fix=f"did you mean {close!r}?" if close else "to replace a value use '$set'",
    )


def _wrong(expected: str, got: Value, path: str = "") -> QueryError:
    return QueryError("cannot update so", path=path, expected=expected, got=repr(got))


def _check_identity(before: Value, after: Value) -> None:
    if type(before) is not type(after) or key(before) != key(after):
        raise QueryError(
            "cannot change an '_id'",
            expected=repr(before),
            got="none" if after is MISSING else repr(after),
            fix="save a new document and delete the old one",
        )


def _apply(document: Document, path: Parts, name: str, change: _Change) -> None:
    creates = name not in ("$pull", "$unset")
    container: Value = document
    for depth, part in enumerate(path):
        is_last = depth + 1 == len(path)
        slot = _slot(container, part)
        if slot is None:
            if name != "$unset":
                raise _no_child(path[: depth + 1], container)
            return
        present = _get(container, slot)
        if is_last:
            _put(container, slot, present, change(present))
        elif present is not MISSING:
            container = present
        elif creates:
            _put(container, slot, present, {})
            container = _get(container, slot)
        else:
            return


def _slot(container: Value, name: str) -> str | int | None:
    if type(container) is dict:
        return name
    if type(container) is list and name.isascii() and name.isdigit():
        return int(name)
    return None


def _no_child(path: Parts, container: Value) -> QueryError:
    expected = "a dict, or a list with a numeric part"
    return _wrong(expected, container, ".".join(path[:-1]))


def _get(container: Value, slot: str | int) -> Value:
    if isinstance(slot, str):
        return container.get(slot, MISSING)
    return container[slot] if slot < len(container) else MISSING


def _put(container: Value, slot: str | int, present: Value, value: Value) -> None:
    if value is MISSING:
        if present is MISSING:
            return
        if isinstance(slot, str):
            del container[slot]
        else:
            container[slot] = None  # A list keeps its places.
        return
    if isinstance(slot, int) and slot >= len(container):
        if slot - len(container) > _MAX_PADDING:
            raise _wrong(f"at most {_MAX_PADDING} new places in a list", slot)
        container.extend([None] * (slot + 1 - len(container)))
    container[slot] = value


def _set(operand: Value) -> _Change:
    key(operand)  # Plain values only.
    return lambda _: copy.deepcopy(operand)


def _unset(_: Value) -> _Change:
    return lambda _: MISSING


def _increment(operand: Value) -> _Change:
    if not is_number(operand):
        raise _wrong("a number to add with $inc", operand)

    def increment(present: Value) -> Value:
        if present is MISSING:
            return operand
        if not is_number(present):
            raise _wrong("a number to add to with $inc", present)
        total = present + operand
        if type(total) is int and not -_WORD <= total < _WORD:
            raise _wrong("a sum of at most 64 bits", total)
        if type(total) is type(present) and total == present:
            return present  # Nothing is written, which keeps a -0.0.
        return total

    return increment


def _items(name: str, operand: Value) -> list[Value]:
    key(operand)
    if not isinstance(operand, dict) or "$each" not in operand:
        return [operand]
    if len(operand) > 1 or not isinstance(operand["$each"], list):
        raise _wrong(f"{{'$each': [...]}} and nothing beside it under {name}", operand)
    return operand["$each"]


def _list(name: str, present: Value) -> list[Value]:
    if present is MISSING:
        return []
    if type(present) is not list:
        raise _wrong(f"a list under {name}", present)
    return present


def _push(operand: Value) -> _Change:
    items = _items("$push", operand)
    return lambda present: [*_list("$push", present), *copy.deepcopy(items)]


def _add_to_set(operand: Value) -> _Change:
    items = _items("$addToSet", operand)

    def add(present: Value) -> Value:
        result = list(_list("$addToSet", present))
        known = set(map(key, result))
        for item in items:
            if key(item) not in known:
                known.add(key(item))
                result.append(copy.deepcopy(item))
        return result

    return add


def _pull(operand: Value) -> _Change:
    if isinstance(operand, re.Pattern):
        test = element_test({"$regex": operand})
    elif is_expression(operand) and next(iter(operand)) not in (*LOGICAL, "$not"):
        test = element_test(operand)
    elif isinstance(operand, dict):
        matches = compile_filter(operand)

        def test(element: Value) -> bool:
            return type(element) is dict and matches(element)

    else:
        test = equals(operand)

    def pull(present: Value) -> Value:
        if present is MISSING:
            return MISSING
        return [each for each in _list("$pull", present) if not test(each)]

    return pull


_OPERATORS: Final[dict[str, Callable[[Value], _Change]]] = {
    "$addToSet": _add_to_set,
    "$inc": _increment,
    "$pull": _pull,
    "$push": _push,
    "$set": _set,
    "$unset": _unset,
}
