"""``ptutils tag``, ``note``, ``pin``, ``archive``: what people put on runs."""

from __future__ import annotations

from typing import Annotated

import typer

from ptutils.cli.options import Database, RunId, RunIds, Step, open_database
from ptutils.cli.printing import say
from ptutils.core.results.cells import one_line

__all__ = ["archive", "note", "pin", "tag"]


def tag(
    run: RunId,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="WORD", help="The tags.", show_default=False),
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take them away instead.")
    ] = False,
    db: Database = None,
) -> None:
    """Tag RUN with words that queries find, or list its tags."""
    with open_database(db) as database:
        found = database.runs.get(run)
        absent = [each for each in words or () if each not in found.tags]
        if words:
            (found.untag if remove else found.tag)(*words)
        tags = found.tags
    for word in absent if remove else ():
        say(f"run {found.id} had no tag {word!r}", err=True)
    say(f"run {found.id}: {one_line(', '.join(tags)) or 'no tags'}")


def note(
    run: RunId,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT", help="What to note.", show_default=False),
    ] = None,
    db: Database = None,
) -> None:
    """Keep TEXT as the notes of RUN; without it, show them."""
    with open_database(db) as database:
        found = database.runs.get(run)
        if words:
            found.note(" ".join(words))
        elif found.document["notes"]:
            say(found.document["notes"])


def pin(
    run: RunId,
    step: Step = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Let it be dropped again.")
    ] = False,
    db: Database = None,
) -> None:
    """Keep a checkpoint of RUN, whatever the schedule says."""
    with open_database(db) as database:
        found = database.runs.get(run)
        (found.unpin if remove else found.pin)(step=step)
    newest = "each checkpoint" if remove else "newest checkpoint"
    which = newest if step is None else f"checkpoint at step {step}"
    say(f"run {found.id}: {which} {'may be dropped' if remove else 'stays'}")


def archive(
    runs: RunIds,
    undo: Annotated[bool, typer.Option("--undo", help="List them again.")] = False,
    db: Database = None,
) -> None:
    """Leave runs out of the list; nothing of them is lost."""
    with open_database(db) as database:
        found = [database.runs.get(run) for run in runs]
        for each in found:
            (each.unarchive if undo else each.archive)()
            say(f"run {each.id} {'is listed again' if undo else 'is archived'}")
