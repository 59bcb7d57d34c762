"""Writers: one run in several databases, and what becomes of it when one fails.

The first database is read, all are written. One that fails is reported and left while
there are others. One that is out of reach is waited for, within a bound; if it was the
last, the run goes on in a *spill*: a SQLite file in the working directory that
``ptutils import`` brings back.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ptutils.core.catalogue import find
from ptutils.core.records.checkpoint import encode_fields
from ptutils.core.records.identity import new_lease, now
from ptutils.core.records.writing.writer import Entry, Writer
from ptutils.errors import EncodeError, LeaseError, PtutilsError, UnavailableError
from ptutils.meta.values import Document

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface

__all__ = ["Writers"]

_LOG: Final = logging.getLogger("ptutils")


class Writers:
    """The writers of one run, the one that is read first in front.

    Args:
        owner: Under which the run is held.
        present: Returns what the run's document is to say now: status and summary.
        spilled: Called when the run goes on in a spill, which lacks a checkpoint.

    Attributes:
        faults: What went wrong so far.
        encoded: The run's config, source and lineage.
    """

    def __init__(
        self,
        owner: str,
        present: Callable[[], Document],
        spilled: Callable[[], None],
    ) -> None:
        self.faults: list[Document] = []
        self.encoded: Document = {}
        self._owner = owner
        self._present = present
        self.ask_for_checkpoint = spilled
        self._writers: list[Writer] = []
        self.lock = threading.RLock()
        """Held where what is to be written is shared out: nothing goes to one that is
        being left."""

    def __iter__(self) -> Iterator[Writer]:
        """Iterate over those that are there now."""
        return iter(list(self._writers))

    @property
    def db(self) -> DBInterface:
        """The database that the run can be read from now."""
        return self._writers[0].db

    @property
    def is_waiting(self) -> bool:
        """Whether the run is not let go of everywhere yet."""
        return any(writer.is_away or not writer.is_over for writer in self)

    def open(self, db: DBInterface, start: Callable[[DBInterface], Document]) -> None:
        """Add a database.

        Args:
            db: The next one; without the first there is no run.
            start: Brings the run into it and returns its document.

        Raises:
            DatabaseError: If the first one fails.
        """
        try:
            self._writers.append(Writer(db, self._owner, start(db)))
        except (PtutilsError, OSError) as error:
            if not self._writers or isinstance(error, EncodeError):
                raise
            self._report(db, error)

    def add(self, entries: Iterable[Entry]) -> None:
        """Let documents wait for the next :meth:`send`."""
        entries = list(entries)
        with self.lock:
            for writer in self:
                writer.add(entries)

    def send(self, lease: Document | None, *, patiently: bool = False) -> None:
        """Let each write what waits, and how the run is now.

        Args:
            lease: As it is from now on.
            patiently: Leave those that are out of reach to the next time.

        Raises:
            LeaseError: If another process took the run over.
            DatabaseError: If the last database refuses what is written.
        """
        changes = {"lease": lease, **self._present()}
        told = -1
        while told < len(self.faults):  # What fails now is told to the others at once.
            told = len(self.faults)
            if told:
                changes["faults"] = list(self.faults)
            for writer in self:
                if lease is None and writer.is_over:
                    continue
                with self.guarding(writer):
                    writer.write(changes, patiently=patiently)

    @contextmanager
    def guarding(self, writer: Writer) -> Iterator[None]:
        """Do something with one database; go on without it if that fails.

        Raises:
            LeaseError: If another process took the run over in the first one.
            DatabaseError: If it was the last one, and is not merely out of reach.
        """
        try:
            yield
        except UnavailableError as error:
            if writer.is_beyond:
                self._leave(writer, error)
        except (PtutilsError, OSError) as error:
            is_first = writer is self._writers[0]
            if self._writers == [writer] or (
                is_first and isinstance(error, LeaseError)
            ):
                raise
            self._leave(writer, error)

    def _leave(self, writer: Writer, error: Exception) -> None:
        with self.lock:
            if writer not in self._writers:
                return  # Another thread was faster.
            if self._writers != [writer]:
                self._writers.remove(writer)
                self._report(writer.db, error, writer.num_points)
                return
            spill = self._open_spill(writer)
            self._writers = [spill]
        self._report(writer.db, error, goes_on=spill.db.url)
        self.send(new_lease(self._owner))
        self.ask_for_checkpoint()

    def _open_spill(self, writer: Writer) -> Writer:
        """Return a writer to a new file, which goes on where ``writer`` could not."""
        run_id = writer.document["_id"]
        path = Path(f"spill-{run_id}.db").absolute()
        count = 1
        while path.exists():
            count += 1
            path = path.with_name(f"spill-{run_id}-{count}.db")
        db: DBInterface = find("connect")(str(path))
        document = {
            **writer.document,
            **encode_fields(db, self.encoded),  # With all that they refer to.
            **self._present(),
            "lease": new_lease(self._owner),
            "spilled_from": writer.db.url,
            "spilled_by": self._owner,
        }
        db._insert("runs", [document])
        spill = Writer(db, self._owner, document)
        writer.hand_over(spill)
        return spill

    def _report(
        self,
        db: DBInterface,
        error: Exception,
        lost_points: int = 0,
        goes_on: str = "",
    ) -> None:
        """Tell the person and the run's document."""
        got = getattr(error, "got", "")
        first, *_ = str(error).splitlines()
        first = f"{first}: {' '.join(got.split())}" if got else first
        if goes_on:
            rest = (
                f"the run goes on in {goes_on}; when the database is back, bring it "
                f"there with: ptutils import {goes_on} --db {db.url}"
            )
        else:
            rest = "the run goes on without it"
        fault = {
            "at": now(),
            "database": db.url,
            "what": first,
            "lost_points": lost_points,
        }
        self.faults.append(fault)
        _LOG.warning("%s fails: %s; %s", db.url, first, rest)
