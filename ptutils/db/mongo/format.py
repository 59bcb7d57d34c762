"""The mark that says in which format a database is."""

from __future__ import annotations

from typing import Final

from ptutils.core.dbinterface import DBInterface
from ptutils.db.migrations import FORMAT, NEEDS, migrate
from ptutils.db.mongo.connection import RESERVED, Connection
from ptutils.errors import DatabaseError

__all__ = ["check_format"]

_ID: Final = "format"


def check_format(db: DBInterface, connection: Connection) -> None:
    """Mark a new database, migrate an old one, refuse a newer one.

    Raises:
        DatabaseError: If it is newer.
    """
    meta = connection.collection(f"{RESERVED}meta")
    found = meta.find_one({"_id": _ID})
    mark = {"version": FORMAT, "needs": NEEDS}
    if found is None:
        meta.update_one({"_id": _ID}, {"$setOnInsert": mark}, upsert=True)
        return
    if found["version"] > FORMAT:
        raise DatabaseError(
            "cannot use this database",
            path=connection.address.url,
            expected=f"format {FORMAT} or older",
            got=f"format {found['version']}",
            fix=f"pip install -U '{found.get('needs', 'ptutils')}'",
        )
    if found["version"] < FORMAT:
        with db._transaction():
            migrate(db, found["version"])
        meta.update_one({"_id": _ID, "version": found["version"]}, {"$set": mark})
