"""Selecting paths of a nested state: by name, by pattern, by predicate."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from ptutils.errors import ConfigError, StateMismatchError, nearest

__all__ = ["Pattern", "Select", "near_path", "patterns_of", "require_led", "selector"]

Pattern: TypeAlias = str | re.Pattern[str]
"""A name (with all below it) or a glob; or a regular expression, found anywhere."""

Select: TypeAlias = Pattern | Iterable[Pattern] | Callable[[str], bool]


def selector(select: Select | None) -> Callable[[str], bool]:
    """Return the predicate that tells whether a path is selected."""
    if select is None:
        return lambda path: True
    if callable(select):
        return select
    patterns = patterns_of(select)
    return lambda path: any(_leads_to(pattern, path) for pattern in patterns)


def patterns_of(select: Pattern | Iterable[Pattern]) -> list[Pattern]:
    """Return the names and patterns of a selection that is no predicate.

    Raises:
        ConfigError: If it is none, or selects nothing.
    """
    if isinstance(select, str | re.Pattern):
        return [select]
    patterns = list(select) if isinstance(select, Iterable) else []
    if patterns and all(isinstance(each, str | re.Pattern) for each in patterns):
        return patterns
    raise ConfigError(
        "cannot select by this",
        expected="a name, a pattern, several of them, or a function",
        got=repr(select),
    )


def require_led(select: Select, paths: Sequence[str], known: Iterable[str]) -> None:
    """Refuse names that lead to none of ``paths``: they would do nothing, unnoticed.

    Args:
        select: Names, patterns or a predicate.
        paths: Where something is to be done.
        known: All paths that might have been meant.

    Raises:
        StateMismatchError: For the first that leads nowhere, with the nearest path.
    """
    names = [select] if callable(select) else patterns_of(select)
    for name in names:
        if not any(map(selector(name), paths)):
            near = near_path(name, known)
            raise StateMismatchError(
                f"cannot select {name!r}",
                expected="what leads to something stored that fits the tree",
                got="nothing there",
                fix=f"did you mean {near!r}?" if near else "",
            )


def near_path(name: object, paths: Iterable[str]) -> str:
    """Return the one of ``paths``, or of their beginnings, that is most like ``name``.

    Example:
        >>> near_path("nte", ["net.weight", "lr"])
        'net'
    """
    wanted = name.pattern if isinstance(name, re.Pattern) else name
    return nearest(str(wanted), _beginnings(paths))


def _leads_to(pattern: Pattern, path: str) -> bool:
    if isinstance(pattern, re.Pattern):
        return pattern.search(path) is not None
    is_name = path == pattern or path.startswith(f"{pattern}.")
    return is_name or fnmatch.fnmatchcase(path, pattern)


def _beginnings(paths: Iterable[str]) -> list[str]:
    """Return all beginnings of dotted paths, once each."""
    beginnings: dict[str, None] = {}
    for path in paths:
        names = path.split(".")
        for count in range(1, len(names) + 1):
            beginnings[".".join(names[:count])] = None
    return list(beginnings)
