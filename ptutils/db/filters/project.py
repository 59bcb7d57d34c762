"""Projections: which paths of the found documents are returned."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from ptutils.db.filters.order import is_number
from ptutils.db.filters.paths import Parts, colliding, field_path
from ptutils.errors import QueryError
from ptutils.meta.values import Document, Value

__all__ = ["Projection", "compile_projection"]

Projection = Document | Sequence[str] | None
"""``{"a.b": 1}`` or ``["a.b"]`` keeps only these, ``{"a.b": 0}`` drops these."""

_Tree = dict[str, "bool | _Tree"]
_ID: Final = ("_id",)


def compile_projection(projection: Projection) -> Callable[[Document], Document]:
    """Return the function that projects one document.

    ``_id`` is kept unless it is dropped by name. Lists of dicts are followed.

    Raises:
        QueryError: If paths collide, if keeping and dropping are mixed, or for the
            expressions of MongoDB that compute values.

    Example:
        >>> compile_projection({"a.b": 1})({"_id": 7, "a": {"b": 1, "c": 2}, "d": 3})
        {'_id': 7, 'a': {'b': 1}}
    """
    if not projection:
        return lambda document: document
    if not isinstance(projection, dict):
        projection = dict.fromkeys(projection, 1)
    flags = _flatten(projection)
    has_id = flags.pop(_ID, None)
    kept = {*flags.values()} or {bool(has_id)}
    if len(kept) > 1:
        raise QueryError(
            "cannot keep and drop in one projection",
            got=repr(projection),
            fix="give only 1s, or only 0s; '_id' alone may differ",
        )
    tree = _tree(flags)
    if kept == {True}:
        if has_id is not False and "_id" not in tree:
            tree["_id"] = True
        return lambda document: _keep(document, tree)
    if has_id is False:
        tree["_id"] = True
    return lambda document: _drop(document, tree)


def _flatten(projection: Document, prefix: Parts = ()) -> dict[Parts, bool]:
    flags: dict[Parts, bool] = {}
    for name, wanted in projection.items():
        parts = field_path(name, "a projection")
        if prefix and len(parts) > 1:
            raise _wrong(name, "dots only at the outermost level")
        path = (*prefix, *parts)
        if isinstance(wanted, dict) and wanted:
            found = _flatten(wanted, path)
        elif type(wanted) is bool or is_number(wanted):
            found = {path: math.isnan(wanted) or wanted != 0}
        else:
            raise _wrong({name: wanted}, "1 to keep or 0 to drop")
        for each, flag in found.items():
            other = colliding(each, flags)
            if other is not None:
                raise _wrong(".".join(each), f"no {'.'.join(other)!r} beside it")
            flags[each] = flag
    return flags


def _wrong(got: Value, expected: str) -> QueryError:
    return QueryError("cannot use this projection", expected=expected, got=repr(got))


def _tree(flags: dict[Parts, bool]) -> _Tree:
    tree: _Tree = {}
    for path in flags:
        branch = tree
        for name in path[:-1]:
            below = branch.setdefault(name, {})
            branch = below if isinstance(below, dict) else {}
        branch[path[-1]] = True
    return tree


def _keep(document: Document, tree: _Tree) -> Document:
    result: Document = {}
    for name, value in document.items():
        branch = tree.get(name)
        if branch is True:
            result[name] = value
        elif isinstance(branch, dict) and type(value) in (dict, list):
            result[name] = _keep_in(value, branch)
    return result


def _keep_in(value: Value, tree: _Tree) -> Value:
    if type(value) is dict:
        return _keep(value, tree)
    return [_keep_in(each, tree) for each in value if type(each) in (dict, list)]


def _drop(document: Document, tree: _Tree) -> Document:
    result: Document = {}
    for name, value in document.items():
        branch = tree.get(name)
        if branch is not True:
            result[name] = (
                _drop_in(value, branch) if isinstance(branch, dict) else value
            )
    return result


def _drop_in(value: Value, tree: _Tree) -> Value:
    if type(value) is dict:
        return _drop(value, tree)
    if type(value) is list:
        return [_drop_in(each, tree) for each in value]
    return value
