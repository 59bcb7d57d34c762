"""Why a query finds nothing: paths that no run has, values of another type or spelling.

A database answers such a query without a word; whoever mistyped it wants one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from ptutils.errors import nearest
from ptutils.meta.status import Phase
from ptutils.meta.values import Document, Value

__all__ = ["paths_in", "unknown_paths", "unlike_values"]

_MOST = 100  # So many runs are read for a path or a value to suggest.
_EQUALITIES = ("$eq", "$in")
_COMPARISONS = (*_EQUALITIES, "$lt", "$lte", "$gt", "$gte")
_ADVICE = {"dates": "; write '2026-11-01' or '7 days ago'", "texts": "; quote it"}


def unknown_paths(runs: Any, paths: list[str]) -> Iterator[str]:
    """Say of each path that no run has which one was meant.

    Args:
        runs: The runs of a database, as ``db.runs``; if it has none, nothing is said.
        paths: Dotted paths that a query or an order names.

    Yields:
        One line per path.
    """
    unknown = [path for path in dict.fromkeys(paths) if not _is_known(runs, path)]
    if not unknown:
        return
    known = {path: None for run in _newest(runs) for path in _leaves(run.document, "")}
    for path in unknown if known else ():
        near = _meant(path, list(known))
        yield f"no run has {path!r}" + (f"; did you mean {near!r}?" if near else "")


def unlike_values(runs: Any, filter: Document) -> Iterator[str]:
    """Say of each comparison with a value unlike those at its path what is there.

    Args:
        runs: As for :func:`unknown_paths`.
        filter: One that found nothing.

    Yields:
        One line per comparison.
    """
    documents = [run.document for run in _newest(runs)]
    for path, operator, wanted in _comparisons(filter):
        there = [value for each in documents for value in _at(each, path.split("."))]
        known = sorted({_kind(value) for value in there})
        if known and _kind(wanted) not in known:
            advice = _ADVICE.get(known[0], "; write it without quotes")
            yield f"{path!r} holds {' and '.join(known)}, not {_kind(wanted)}{advice}"
        elif isinstance(wanted, str) and operator in _EQUALITIES:
            texts = [value for value in there if isinstance(value, str)]
            phases = list(Phase) if path == "status.phase" else []
            near = nearest(wanted, [*texts, *phases])
            if near and near != wanted:
                yield f"no run has {path} = {wanted!r}; did you mean {str(near)!r}?"


def paths_in(filter: Document) -> Iterator[str]:
    """Yield the paths that a filter document asks about."""
    return (path for path, _ in _tests(filter))


def _tests(filter: Document) -> Iterator[tuple[str, Value]]:
    for key, value in filter.items():
        if key.startswith("$"):
            for part in value:
                yield from _tests(part)
        else:
            yield key, value


def _comparisons(filter: Document) -> Iterator[tuple[str, str, Value]]:
    """Yield path, operator and value of what compares with one value of a kind."""
    for path, test in _tests(filter):
        operators = test if isinstance(test, dict) else {"$eq": test}
        operators = operators.get("$elemMatch", operators)
        for operator, operand in operators.items():
            for value in operand if operator == "$in" else [operand]:
                if operator in _COMPARISONS and not isinstance(value, list | None):
                    yield path, operator, value


def _at(value: Value, names: list[str]) -> Iterator[Value]:
    """Yield what is at a path, and the items of what is a list."""
    if isinstance(value, list):
        for item in value:
            yield from _at(item, names)
    elif not names:
        yield from () if value is None else (value,)
    elif isinstance(value, dict) and names[0] in value:
        yield from _at(value[names[0]], names[1:])


def _kind(value: Value) -> str:
    kinds = {bool: "true or false", int: "numbers", float: "numbers", str: "texts"}
    kinds |= {datetime: "dates", bytes: "bytes"}
    return kinds.get(type(value), "settings")


def _newest(runs: Any) -> Any:
    return runs.find(sort=[("_id", -1)], limit=_MOST)


def _is_known(runs: Any, path: str) -> bool:
    return bool(runs.find({path: {"$exists": True}}, limit=1))


def _leaves(value: Value, path: str) -> Iterator[str]:
    if not isinstance(value, dict) or not value:
        yield path
        return
    for key, child in value.items():
        yield from _leaves(child, f"{path}.{key}" if path else key)


def _meant(path: str, known: list[str]) -> str:
    """Return the known path that ends with ``path``, holds it or looks like it."""
    ends = [each for each in known if each.endswith(f".{path}")]
    holds = [each for each in known if f".{path}." in each]
    if ends or holds:
        return min(ends or holds, key=len)
    # Long paths that begin alike look alike: the last names have to be close, too.
    last = nearest(_last(path), [_last(each) for each in known])
    return nearest(path, [each for each in known if last and _last(each) == last])


def _last(path: str) -> str:
    return path.rpartition(".")[2]
