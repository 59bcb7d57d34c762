"""Lineage: what a run descends from, and the tree of its ancestors and descendants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ptutils.core.records.living import truthful
from ptutils.core.records.shape import KIN, check
from ptutils.meta.values import Document, Value

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface

__all__ = ["Kin", "Lineage", "new_lineage"]

_SHOWN = ("lineage", "status.phase", "status.progress.step")


@dataclass(kw_only=True)
class Kin:
    """One run of a family.

    Attributes:
        run: Its id.
        verb: How it came about: ``new``, ``branch``, ``restart``, ``evaluate``; ``""``
            if it is not in this database.
        start: The step of the checkpoint that it began with, or None.
        step: How far it is, or None if it is not in this database.
        phase: Where it is in its life; ``deleted`` if it is not in this database any
            more (or never was), ``elsewhere`` if another database holds it.
        database: The URL of that other one, masked, or ``""``.
        is_self: Whether it is the run whose lineage this is.
        children: What descends from it, oldest first.
    """

    run: str
    verb: str = ""
    start: int | None = None
    step: int | None = None
    phase: str = "deleted"
    database: str = ""
    is_self: bool = False
    children: list[Kin] = field(default_factory=list)

    def walk(self) -> Iterator[Kin]:
        """Yield it and all below, each before its children."""
        waiting = [self]
        while waiting:
            kin = waiting.pop()
            yield kin
            waiting += reversed(kin.children)

    def to_dict(self) -> Document:
        """Return the tree as plain nested values."""
        plain = {id(kin): {**vars(kin), "children": []} for kin in self.walk()}
        for kin in self.walk():
            plain[id(kin)]["children"] = [plain[id(child)] for child in kin.children]
        return plain[id(self)]

    def __str__(self) -> str:
        lines = []
        waiting: list[tuple[Kin, str, str]] = [(self, "", "")]
        while waiting:
            kin, first, rest = waiting.pop()
            lines.append(first + kin._line())
            for child in reversed(kin.children):
                is_last = child is kin.children[-1]
                joint, below = ("└── ", "    ") if is_last else ("├── ", "│   ")
                waiting.append((child, rest + joint, rest + below))
        return "\n".join(lines)

    def _line(self) -> str:
        if self.phase == "elsewhere":
            told = f"in {self.database}"
        elif self.step is None:
            told = "deleted, or never copied here"
        else:
            origin = self.verb if self.start is None else f"{self.verb} at {self.start}"
            told = f"{origin}, {self.phase} at step {self.step}"
        return f"{self.run}  {told}{'  ← this run' if self.is_self else ''}"


class Lineage(dict[str, Value]):
    """What a run descends from: ``verb``, ``parent``, ``checkpoint``, ``overrides``.

    Calling it reads the tree of the run's ancestors and descendants::

        print(run.lineage())

    A run of another database's run has its ``database`` besides, and one that took over
    a part of a State has the numbers of what it did under ``restored``.
    """

    def __init__(self, fields: Mapping[str, Value], db: DBInterface, run: str) -> None:
        super().__init__(fields)
        self._db = db
        self._run = run

    def __call__(self) -> Kin:
        """Return the topmost ancestor, with all of the run's ancestors and descendants.

        An ancestor shows only the child that leads to the run.
        """
        db = truthful(self._db)
        kin = Kin(run=self._run, is_self=True)
        for document in db._find("runs", {"_id": self._run}, projection=[*_SHOWN]):
            kin = _kin(document, is_self=True)
        seen = {kin.run}
        top = _with_ancestors(db, kin, seen, self)
        _add_descendants(db, kin, seen)
        return top


def new_lineage() -> Document:
    """Return the lineage of a run that descends from no other."""
    return {"verb": "new", "parent": None, "checkpoint": None, "overrides": {}}


def _with_ancestors(
    db: DBInterface, kin: Kin, seen: set[str], lineage: Mapping[str, Value]
) -> Kin:
    """Put the ancestors above; ids that were seen already end the way up."""
    while lineage["parent"] is not None and lineage["parent"] not in seen:
        parent, url = lineage["parent"], lineage.get("database", "")
        seen.add(parent)
        above = Kin(run=parent, phase="elsewhere" if url else "deleted", database=url)
        lineage = new_lineage()
        for document in db._find("runs", {"_id": parent}, projection=[*_SHOWN]):
            above, lineage = _kin(document), document["lineage"]
        above.children.append(kin)
        kin = above
    return kin


def _add_descendants(db: DBInterface, kin: Kin, seen: set[str]) -> None:
    """Put the descendants below, one generation at a time."""
    generation = {kin.run: kin}
    while generation:
        children: dict[str, Kin] = {}
        for document in _children(db, generation):
            if document["_id"] not in seen:
                seen.add(document["_id"])
                child = children[document["_id"]] = _kin(document)
                generation[document["lineage"]["parent"]].children.append(child)
        generation = children


def _children(db: DBInterface, parents: Iterable[str]) -> list[Document]:
    born = {"lineage.parent": {"$in": list(parents)}}
    return db._find("runs", born, sort=[("_id", 1)], projection=[*_SHOWN])


def _kin(document: Document, *, is_self: bool = False) -> Kin:
    check(document, KIN, "runs")
    lineage, status = document["lineage"], document["status"]
    return Kin(
        run=document["_id"],
        verb=lineage["verb"],
        start=_step_of(lineage["checkpoint"]),
        step=status["progress"]["step"],
        phase=status["phase"],
        is_self=is_self,
    )


def _step_of(checkpoint: str | None) -> int | None:
    """Return the step that the id of a checkpoint names, pruned or not."""
    _, _, rest = (checkpoint or "").partition(".")
    step = rest.partition(".")[0]
    return int(step) if step.isdecimal() else None
