"""User documents as databases keep them: natural fields, and a sidecar beside.

A stored document is the codec's plain form of what the user saved, plus the reserved
field ``_ptutils: {types, artifacts}`` where plain values do not tell everything; see
:mod:`ptutils.core.records.artifacts` for what the latter is.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from typing import Final

from ptutils.core.records.artifacts import Storages, groups_of, stored_artifacts
from ptutils.errors import EncodeError, QueryError
from ptutils.meta.codec import Buffer, Encoded, decode, encode, loads
from ptutils.meta.values import Document, Value

__all__ = [
    "SIDECAR",
    "check_update",
    "is_exact",
    "new_id",
    "plain_filter",
    "plain_update",
    "restrict",
    "seal",
    "unseal",
]

SIDECAR: Final = "_ptutils"
"""The reserved name of what plain values cannot tell."""

_LOGICAL: Final = ("$and", "$nor", "$or")
_CONTAINERS: Final = ("$all", "$in", "$nin")


def new_id() -> str:
    """Return a new id that sorts by the millisecond in which it was made.

    Reads the clock and the system's randomness.
    """
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(6).hex()}"


def seal(document: Document, put: Callable[[Sequence[Buffer]], list[str]]) -> Document:
    """Return the stored form of a user's document; ``_id`` comes first.

    Args:
        document: Holds an ``_id``.
        put: Stores large artifacts and returns their digests.

    Raises:
        EncodeError: If a value cannot be stored exactly.
    """
    encoded = encode(document)
    plain: Document = {"_id": encoded.document.pop("_id"), **encoded.document}
    if encoded.types:
        stored = stored_artifacts(encoded.artifacts, put)
        plain[SIDECAR] = {"types": encoded.types, **stored}
    return plain


def unseal(document: Document, get: Callable[[str], Buffer]) -> Document:
    """Return what :func:`seal` was given.

    Args:
        document: The stored form, or some of its fields; it is consumed.
        get: Returns a large artifact by its digest; asked for those that are needed.

    Raises:
        CorruptError: If the document is damaged.
        DecodeError: Likewise.
    """
    sidecar = document.pop(SIDECAR, None)
    if sidecar is None:
        return document
    artifacts = Storages(groups_of(sidecar, "this document"), get)
    encoded = Encoded(document=document, types=sidecar["types"], artifacts=artifacts)
    value: Document = decode(encoded)
    return value


def is_exact(document: Document) -> bool:
    """Return whether the plain form tells everything."""
    return SIDECAR not in document


def restrict(value: Value, whole: Value, part: Value) -> Value:
    """Return of ``value`` what ``part`` is of ``whole``, which is its plain form.

    A projection is answered in plain values; this carries it over to the real ones.
    """
    if type(part) is dict and isinstance(value, dict) and len(value) == len(whole):
        return {
            name: restrict(value[name], whole[plain_name], part[plain_name])
            for name, plain_name in zip(value, whole, strict=True)
            if plain_name in part
        }
    if type(part) is list and type(value) is list and len(part) == len(value):
        rows = zip(value, whole, part, strict=True)
        return [restrict(*row) for row in rows]
    return value if part == whole else part


def plain_filter(filter: Value) -> Value:
    """Return a filter with every value in its plain form.

    Raises:
        EncodeError: If a value cannot be compared, such as a tensor.
    """
    if not isinstance(filter, dict):
        return filter  # The backend says what is wrong.
    return {name: _plain_entry(name, value) for name, value in filter.items()}


def _plain_entry(name: Value, value: Value) -> Value:
    if name in _LOGICAL and isinstance(value, (list, tuple)):
        return [plain_filter(part) for part in value]
    if name == "$expr":
        return _plain_expression(value)
    return _plain_operand(value)


def _plain_expression(value: Value) -> Value:
    if isinstance(value, (list, tuple)):
        return [_plain_expression(item) for item in value]
    if isinstance(value, dict) and _starts_with_operator(value):
        return {
            name: _plain(item) if name == "$literal" else _plain_expression(item)
            for name, item in value.items()
        }
    return _plain(value)


def _plain_operand(value: Value) -> Value:
    if isinstance(value, dict) and _starts_with_operator(value):
        return {name: _plain_argument(name, inner) for name, inner in value.items()}
    return _plain(value)


def _plain_argument(name: str, value: Value) -> Value:
    if name == "$not":
        return _plain_operand(value)
    if name == "$elemMatch":
        return _plain_operand(value) if _tests_elements(value) else plain_filter(value)
    if name in _CONTAINERS and isinstance(value, (list, tuple, set, frozenset)):
        return [_plain_operand(item) for item in value]
    return _plain(value)


def _tests_elements(value: Value) -> bool:
    """Return whether an element match holds operators, and no filter of documents."""
    return (
        isinstance(value, dict)
        and _starts_with_operator(value)
        and next(iter(value)) not in _LOGICAL
    )


def _starts_with_operator(value: Document) -> bool:
    first = next(iter(value), "")
    return isinstance(first, str) and first.startswith("$")


def _plain(value: Value) -> Value:
    if value is None or type(value) in (str, bool, float):
        return value
    if isinstance(value, re.Pattern):
        return value
    encoded = encode(value, path="filter")
    if encoded.artifacts:
        raise EncodeError(
            "cannot search for arrays or tensors",
            expected="a plain value",
            got=type(value).__name__,
            fix="compare with numbers taken from it",
        )
    return encoded.document


def plain_update(update: Value) -> Value:
    """Return an update whose values are plain.

    Raises:
        EncodeError: If a value would need a sidecar, which an update cannot write.
    """
    if not isinstance(update, dict):
        return update  # The backend says what is wrong.
    return {
        name: _plain_changes(name, changes) if isinstance(changes, dict) else changes
        for name, changes in update.items()
    }


def _plain_changes(name: str, changes: Document) -> Document:
    if name == "$pull":
        return {path: _plain_pull(value) for path, value in changes.items()}
    return {path: _plain_change(path, value) for path, value in changes.items()}


def _plain_pull(value: Value) -> Value:
    if isinstance(value, dict) and not _starts_with_operator(value):
        return plain_filter(value)
    return _plain_operand(value)


def _plain_change(path: str, value: Value) -> Value:
    if isinstance(value, dict) and "$each" in value:
        rest = {name: item for name, item in value.items() if name != "$each"}
        return {"$each": _plain_change(path, list(value["$each"])), **rest}
    encoded = encode(value, path=path)
    if encoded.types:
        raise EncodeError(
            "cannot write this value by an update",
            path=path,
            expected="plain values: numbers, text, lists, dicts with text keys",
            got=type(value).__name__,
            fix="convert it, or load the document, change it, delete and save it",
        )
    return encoded.document


def check_update(update: Document, sidecar: Document, path: str) -> None:
    """Refuse an update of values whose types the sidecar tells.

    Args:
        update: In plain form.
        sidecar: Of a document that it would change.
        path: Names the document, for the error.

    Raises:
        QueryError: If a changed path leads to, through or above such a value.
    """
    tree = loads(sidecar["types"])["tree"]
    for changes in update.values():
        for changed in changes:
            if not _leads_past(changed, tree):
                raise QueryError(
                    f"cannot update {changed!r} in place",
                    path=path,
                    expected="a path of plain values",
                    got="a value whose type is kept beside it",
                    fix="load the document, change it, delete and save it",
                )


def _leads_past(path: str, node: Value) -> bool:
    for name in path.split("."):
        if node is None:
            return True
        if not isinstance(node, dict) or not {"in", "keys"}.issuperset(node):
            return False
        renamed = node.get("keys", {})
        if not isinstance(renamed, dict) or name in renamed:
            return False
        node = node.get("in", {}).get(name)
    return node is None
