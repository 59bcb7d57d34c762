"""Documents that the server cannot hold, kept whole in files.

In the collection stands a stub: the ``_id`` and a mark that names the file. Such a
document is matched, sorted, projected and changed on this side.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from bson import ObjectId, encode
from bson.errors import BSONError

from ptutils.db.artifacts import digest_of
from ptutils.db.mongo.bucket import Bucket
from ptutils.db.mongo.connection import Connection
from ptutils.db.mongo.marks import MARK, marked
from ptutils.errors import CorruptError
from ptutils.meta.codec import dumps, loads
from ptutils.meta.values import Document, Value

__all__ = ["Wholes", "is_whole"]

_MAX_BYTES: Final = 16 * 2**20 - 2**12
_MAX_DEPTH: Final = 90


def is_whole(document: Document) -> bool:
    """Return whether what was read is a stub."""
    return "whole" in document.get(MARK, {})


class Wholes:
    """The files behind the stubs of one database."""

    def __init__(self, connection: Connection) -> None:
        self._bucket = Bucket(connection, "whole")
        self._url = connection.address.url

    def stored(self, document: Document, place: int) -> Document:
        """Return what to insert for a document: itself if it fits, else a stub."""
        if _fits(document):
            return marked(document, place)
        text = dumps(document).encode()
        file = self._bucket.write(f"{place}.json", [text])
        found = {"file": str(file), "size": len(text), "digest": digest_of(text)}
        return marked({"_id": document["_id"]}, place, whole=found)

    def loaded(self, stub: Document) -> Document:
        """Return the document behind a stub, with its mark.

        Raises:
            CorruptError: If the file is gone or damaged.
        """
        whole = stub[MARK]["whole"]
        found = self._bucket.read(ObjectId(whole["file"]), 0, whole["size"])
        if digest_of(found) != whole["digest"]:
            raise CorruptError(
                "cannot read a large document",
                path=f"{self._url} {self._bucket.name} {whole['file']}",
                expected=f"{whole['size']} bytes with digest {whole['digest']}",
                got=f"{len(found)} bytes with digest {digest_of(found)}",
                fix="restore the database from a copy",
            )
        text = bytes(found).decode()
        document: Document = loads(text) if '{"$' in text else json.loads(text)
        return {**document, MARK: stub[MARK]}

    def clean(self, needed: Sequence[Document], before: datetime) -> None:
        """Remove the files begun before a moment that no stub names."""
        names = {stub[MARK]["whole"]["file"] for stub in needed}
        old = self._bucket.written_before(before)
        self._bucket.remove([file for file, _ in old if str(file) not in names])


def _fits(document: Document) -> bool:
    try:
        return _depth(document) <= _MAX_DEPTH and len(encode(document)) <= _MAX_BYTES
    except (BSONError, RecursionError):
        return False


def _depth(value: Value) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return depth
