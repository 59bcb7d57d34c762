"""LoadReport: what loading a state did, path by path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from ptutils.core.results.table import Column, Table

__all__ = ["LoadReport", "folded"]

_LISTED: Final = 6
"""So many paths are listed one by one in a text, and twice as many in a table."""

_WIDEST_PATH: Final = 64


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What loading a state did, by dotted path of the tree.

    Attributes:
        loaded: What was taken over.
        missing: What the state lacked.
        unexpected: What the tree lacks.
        mismatched: What did not fit, and why.
        initialized: What began anew: parameters, buffers, what an optimizer knew.
        renamed: Old paths of the state to new ones; None for what was left out.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: Mapping[str, str]
    initialized: tuple[str, ...] = ()
    renamed: Mapping[str, str | None] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"loaded {len(self.loaded)}"]
        for name in ("missing", "unexpected", "mismatched", "initialized", "renamed"):
            if paths := list(getattr(self, name)):
                lines.append(f"{name} {len(paths)}: {folded(paths)}")
        return "\n".join(lines)

    def table(self) -> Table:
        """Return what was done, path by path; ``print`` draws it.

        Paths of one part that were all treated alike share a line, with their number.
        """
        rows = list(self._rows())
        what, paths, counts, why = ([row[place] for row in rows] for place in range(4))
        return Table(
            [
                Column(title="what", cells=what),
                Column(title="path", cells=paths, widest=_WIDEST_PATH),
                Column(title="count", cells=counts, is_number=True),
                Column(title="why", cells=why, widest=_WIDEST_PATH),
            ],
            keep=2,
        )

    def __rich__(self) -> Table:
        return self.table()

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()

    def _rows(self) -> Iterator[tuple[str, str, str, str]]:
        for path, why in self.mismatched.items():
            yield "mismatched", path, "1", why
        for what in ("missing", "unexpected", "initialized"):
            yield from _folded_rows(what, getattr(self, what))
        left_out = [old for old, new in self.renamed.items() if new is None]
        yield from _folded_rows("left out", left_out)
        old_by_new = {new: old for old, new in self.renamed.items() if new is not None}
        moved = [path for path in self.loaded if path in old_by_new]
        for part, paths in _parts(moved, 2 * _LISTED):
            olds = folded([old_by_new[path] for path in paths])
            yield "loaded", part, str(len(paths)), f"was {olds}"
        yield from _folded_rows(
            "loaded", [path for path in self.loaded if path not in old_by_new]
        )


def folded(paths: Iterable[str]) -> str:
    """Return paths as one short text; of many, the parts that they are in.

    Example:
        >>> folded(["net.0.weight", "lr"])
        'net.0.weight, lr'
        >>> folded([f"net.{layer}.weight" for layer in range(9)] + ["lr"])
        'net.* (9), lr'
    """
    parts = _parts(list(paths), _LISTED)
    texts = [
        f"{part} ({len(below)})" if below != [part] else part for part, below in parts
    ]
    more = len(texts) - _LISTED
    if more > 0:
        left = sum(len(below) for _, below in parts[_LISTED:])
        texts[_LISTED:] = [f"and {left} more"]
    return ", ".join(texts)


def _folded_rows(
    what: str, paths: Iterable[str]
) -> Iterator[tuple[str, str, str, str]]:
    for part, below in _parts(list(paths), 2 * _LISTED):
        yield what, part, str(len(below)), ""


def _parts(paths: list[str], most: int) -> list[tuple[str, list[str]]]:
    """Return at most ``most`` parts of the tree with the paths in each, if it can be.

    A part is a path by itself, or the beginning of several.
    """
    split = [path.split(".") for path in paths]
    depth = max(map(len, split), default=0)
    while True:
        heads = [".".join(names[:depth]) for names in split]
        if depth <= 1 or len(set(heads)) <= most:
            break
        depth -= 1
    below: dict[str, list[str]] = {}
    for head, path in zip(heads, paths, strict=True):
        below.setdefault(head, []).append(path)
    return [
        (inside[0] if len(inside) == 1 else f"{head}.*", inside)
        for head, inside in below.items()
    ]
