"""Selecting paths of a nested state: by name, by pattern, by predicate."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from ptutils.errors import StateMismatchError, nearest

__all__ = ["Select", "patterns_of", "require_leading", "selector"]

Select: TypeAlias = str | Iterable[str] | Callable[[str], bool]


def selector(select: Select | None) -> Callable[[str], bool]:
    """Return the predicate that tells whether a path is selected."""
    if select is None:
        return lambda path: True
    if callable(select):
        return select
    patterns = patterns_of(select)
    return lambda path: any(
        path == pattern
        or path.startswith(f"{pattern}.")
        or fnmatch.fnmatchcase(path, pattern)
        for pattern in patterns
    )


def patterns_of(select: str | Iterable[str]) -> list[str]:
    """Return the names and patterns of a selection that is no predicate."""
    return [select] if isinstance(select, str) else list(select)


def require_leading(
    verb: str, names: Iterable[str | Callable[[str], bool]], paths: Sequence[str]
) -> None:
    """Refuse names that lead to none of ``paths``: they would do nothing, unnoticed.

    Args:
        verb: ``select`` or ``rename``, for the message.
        names: Names, patterns or predicates.
        paths: Of leaves.

    Raises:
        StateMismatchError: For the first that leads nowhere, with the nearest path.
    """
    for name in names:
        if not any(map(selector(name), paths)):
            near = nearest(str(name), _above(paths))
            raise StateMismatchError(
                f"cannot {verb} {name!r}",
                expected="what leads to something stored that fits the tree"
                if verb == "select"
                else "a path of the stored state, or the beginning of one",
                got="nothing there",
                fix=f"did you mean {near!r}?" if near else "",
            )


def _above(paths: Iterable[str]) -> list[str]:
    """Return all beginnings of dotted paths, once each."""
    beginnings: dict[str, None] = {}
    for path in paths:
        names = path.split(".")
        for count in range(1, len(names) + 1):
            beginnings[".".join(names[:count])] = None
    return list(beginnings)
