"""Paths that no run has, since a query for one finds nothing without a word."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ptutils.errors import nearest
from ptutils.meta.values import Document, Value

__all__ = ["paths_in", "unknown_paths"]

_MOST = 100  # So many runs are read for a path to suggest.


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
    found = runs.find(sort=[("_id", -1)], limit=_MOST)
    known = {path: None for run in found for path in _leaves(run.document, "")}
    for path in unknown if known else ():
        near = _meant(path, list(known))
        yield f"no run has {path!r}" + (f"; did you mean {near!r}?" if near else "")


def paths_in(filter: Document) -> Iterator[str]:
    """Yield the paths that a filter document asks about."""
    for key, value in filter.items():
        if not key.startswith("$"):
            yield key
        else:
            for part in value:
                yield from paths_in(part)


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
