"""Files on the server in the layout of GridFS, written and read in pieces.

Source: the GridFS specification of the MongoDB drivers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from bson import ObjectId

from ptutils.core.records.identity import now
from ptutils.db.mongo.connection import RESERVED, Connection, Documents
from ptutils.meta.codec import Buffer

__all__ = ["Bucket"]

_CHUNK_BYTES: Final = 1 << 20
_WRITTEN_AT_ONCE: Final = 40
"""Pieces: nearly what one message may hold, as each message waits for the disk."""

_READ_AT_ONCE: Final = 16
_KEPT: Final = "metadata.damaged"


class Bucket:
    """The files of one kind.

    Args:
        connection: The database.
        name: Of the kind.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self.name = f"{RESERVED}{name}"
        self._connection = connection
        self._has_index = False
        self._latest: tuple[ObjectId, int, bytes] | None = None

    @property
    def files(self) -> Documents:
        """One document per file."""
        return self._connection.lenient(f"{self.name}.files")

    @property
    def chunks(self) -> Documents:
        """Their contents."""
        return self._connection.lenient(f"{self.name}.chunks")

    def write(self, name: str, parts: Iterable[Buffer]) -> ObjectId:
        """Write a new file, durable and visible as a whole on return."""
        self._make_index()
        identity, size = ObjectId(), 0
        # Each piece is durable before the next: a server that is killed in between may
        # lose what it has only acknowledged, and the driver goes on where it was.
        chunks = self.chunks
        batch: list[dict[str, Any]] = []
        for number, chunk in enumerate(_cut(parts)):
            batch.append({"files_id": identity, "n": number, "data": chunk})
            size += len(chunk)
            if len(batch) == _WRITTEN_AT_ONCE:
                chunks.insert_many(batch)
                batch = []
        if batch:
            chunks.insert_many(batch)
        self.files.insert_one(
            {
                "_id": identity,
                "filename": name,
                "length": size,
                "chunkSize": _CHUNK_BYTES,
                "uploadDate": now(),
            }
        )
        return identity

    def read(self, identity: ObjectId, offset: int, size: int) -> memoryview:
        """Return a span of a file, shorter where the file is damaged."""
        latest = self._latest
        if latest is not None and latest[0] == identity:
            start = offset - latest[1] * _CHUNK_BYTES
            if start >= 0 and start + size <= len(latest[2]):
                return memoryview(latest[2])[start : start + size]
        found = bytearray(size)
        first, last = offset // _CHUNK_BYTES, (offset + size - 1) // _CHUNK_BYTES
        cursor = self.chunks.find(
            {"files_id": identity, "n": {"$gte": first, "$lte": last}}, {"_id": 0}
        )
        filled = 0
        for chunk in cursor.sort("n", 1).batch_size(_READ_AT_ONCE):
            start = max(offset - chunk["n"] * _CHUNK_BYTES, 0)
            piece = memoryview(chunk["data"])[start : start + size - filled]
            if chunk["n"] * _CHUNK_BYTES + start != offset + filled:
                break
            found[filled : filled + len(piece)] = piece
            filled += len(piece)
            self._latest = identity, chunk["n"], chunk["data"]
        return memoryview(found)[:filled].toreadonly()

    def forget(self) -> None:
        """Let go of the piece that was read last."""
        self._latest = None

    def size_of(self, identity: ObjectId) -> int:
        """Return how many bytes a file has, 0 if there is none."""
        found = self.files.find_one({"_id": identity}, {"length": 1})
        return int(found.get("length", 0)) if found else 0

    def present(self, identities: Iterable[ObjectId]) -> set[ObjectId]:
        """Return which of these files are there."""
        wanted = {"_id": {"$in": list(identities)}}
        return {each["_id"] for each in self.files.find(wanted, {"_id": 1})}

    def remove(self, identities: Iterable[ObjectId]) -> None:
        """Remove files; what is left by a crash has no file any more, and no reader."""
        gone = list(identities)
        if gone:
            self.files.delete_many({"_id": {"$in": gone}})
            self.chunks.delete_many({"files_id": {"$in": gone}})

    def keep(self, identity: ObjectId) -> None:
        """Keep a file for a person: it is damaged, and counts as none any more."""
        self.files.update_one({"_id": identity}, {"$set": {_KEPT: True}}, upsert=True)

    def is_kept(self, identity: ObjectId) -> bool:
        """Return whether a file is damaged and kept for a person."""
        return self.files.find_one({"_id": identity, _KEPT: True}) is not None

    def written_before(self, moment: datetime) -> Iterator[tuple[ObjectId, int]]:
        """Yield id and size of what was begun before a moment, also if never ended."""
        bound = ObjectId.from_datetime(moment)
        old = {"_id": {"$lt": bound}, _KEPT: {"$ne": True}}
        for file in self.files.find(old, {"length": 1}):
            yield file["_id"], int(file["length"])
        whole = self.present(begun := self.chunks.distinct("files_id"))
        for identity in begun:
            if identity < bound and identity not in whole:
                yield identity, 0

    def _make_index(self) -> None:
        if not self._has_index:
            keys = [("files_id", 1), ("n", 1)]
            self.chunks.create_index(keys, unique=True)
            self._has_index = True


def _cut(parts: Iterable[Buffer]) -> Iterator[bytes]:
    """Yield all bytes in pieces of one size, the last one shorter."""
    held: list[memoryview] = []
    room = _CHUNK_BYTES
    for part in parts:
        rest = memoryview(part).cast("B")
        while rest:
            held.append(rest[:room])
            rest, room = rest[room:], room - len(held[-1])
            if not room:
                yield b"".join(held)
                held, room = [], _CHUNK_BYTES
    if held:
        yield b"".join(held)
