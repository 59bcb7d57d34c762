"""Artifacts on the server: packs in GridFS, and an index from digest to pack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from bson import ObjectId
from pymongo import ReplaceOne

from ptutils.core.hooks import Stored
from ptutils.core.records.identity import now
from ptutils.db.artifacts import absent, digest_of
from ptutils.db.compression import COMPRESSED_SUFFIX, Compression, expanded, lots
from ptutils.db.mongo.bucket import Bucket
from ptutils.db.mongo.connection import RESERVED, Connection, Documents
from ptutils.db.packing import layout
from ptutils.errors import CorruptError
from ptutils.meta.codec import Buffer
from ptutils.meta.values import Document

__all__ = ["Packs"]

_INDEX: Final = f"{RESERVED}artifacts"
_MANY: Final = 10_000


class Packs:
    """The artifacts of one database.

    Args:
        connection: The database.
        compression: Of new packs.
    """

    def __init__(self, connection: Connection, compression: Compression = None) -> None:
        self._connection = connection
        self._compression: Compression = compression
        self._bucket = Bucket(connection, "packs")
        self._is_indexed = False
        self._places: dict[str, Document] = {}

    def put(self, artifacts: Sequence[Buffer]) -> list[str]:
        """Store what is not here yet in new packs, and note the time for all."""
        digests = [digest_of(artifact) for artifact in artifacts]
        new = dict(zip(digests, artifacts, strict=True))
        moment = now()
        for digest in self._renewed(list(new), moment):
            del new[digest]
        for suffix, contents in lots(new, self._compression):
            header, offsets = layout(contents)
            parts = _in_line(header, offsets, contents)
            pack = self._bucket.write(f"{digest_of(header)}{suffix}", parts)
            rows: dict[str, Document] = {
                digest: {"_id": digest, "pack": pack, "offset": offset, "put": moment}
                for digest, offset in offsets.items()
            }
            for digest, row in rows.items():
                row["size"] = len(new[digest])
                if suffix == COMPRESSED_SUFFIX:
                    row["frame"] = len(contents[digest])
            self._note(rows.values())
        return digests

    def get(self, digest: str) -> memoryview:
        """Return an artifact, verified."""
        place, found = self._read(digest)
        if digest_of(found) != digest:
            # Another process may have removed it, and stored it again elsewhere.
            self.forget()
            place, found = self._read(digest)
        if digest_of(found) != digest:
            self.forget()
            raise CorruptError(
                f"cannot read artifact {digest}",
                path=f"{self._connection.address.url} {self._bucket.name} "
                f"{place['pack']}",
                expected=f"{place['size']} bytes at {place['offset']} with that digest",
                got=f"{len(found)} bytes with digest {digest_of(found)}",
                fix="restore this database from a copy, or go back to a checkpoint "
                "that does not need it",
            )
        return found

    def forget(self) -> None:
        """Let go of what was read last."""
        self._places = {}
        self._bucket.forget()

    def stored(self, digests: Iterable[str] | None) -> dict[str, Stored]:
        """Return size and time of those that are here."""
        shown = {"size": 1, "put": 1}
        found: dict[str, Stored] = {}
        for wanted in _filters(digests):
            for each in self._index.find(wanted, shown):
                found[each["_id"]] = Stored(
                    size=each["size"], put=each["put"].astimezone(UTC)
                )
        return found

    def drop(self, digests: Iterable[str], before: datetime) -> int:
        """Forget what is old; remove packs of which nothing is left."""
        self.forget()
        touched: set[ObjectId] = set()
        for wanted in _filters(digests):
            old = {**wanted, "put": {"$lt": before}}
            touched.update(self._index.distinct("pack", old))
            self._index.delete_many(old)
        files = dict(self._bucket.written_before(before))
        for pack in touched - files.keys():
            if not self._bucket.is_kept(pack):
                files[pack] = self._bucket.size_of(pack)
        dead = [pack for pack in files if not self._index.find_one({"pack": pack})]
        self._bucket.remove(dead)
        return sum(files[pack] for pack in dead)

    def put_aside(self, digests: Iterable[str]) -> list[str]:
        """Forget what cannot be read; its packs are kept from now on. Return which."""
        self.forget()
        packs: set[ObjectId] = set()
        for digest in digests:
            row = self._index.find_one({"_id": digest})
            if row is not None and digest_of(self._span(row)) != digest:
                packs.add(row["pack"])
                self._bucket.keep(row["pack"])
                self._index.delete_one({"_id": digest, "pack": row["pack"]})
        return [f"{self._bucket.name} {pack}" for pack in sorted(packs)]

    def _read(self, digest: str) -> tuple[Document, memoryview]:
        if digest not in self._places:
            self._look_up(digest)
        place = self._places[digest]
        return place, self._span(place)

    def _span(self, place: Document) -> memoryview:
        size = place["frame"] if "frame" in place else place["size"]
        found = self._bucket.read(place["pack"], place["offset"], size)
        if "frame" not in place:
            return found
        try:
            return expanded(found, place["size"])
        except ValueError:
            return found  # Its digest tells that it is damaged.

    def _look_up(self, digest: str) -> None:
        """Note where an artifact lies, and all others of its pack."""
        place = self._index.find_one({"_id": digest})
        if place is None:
            raise absent(digest, self._connection.address.url)
        rows = self._index.find({"pack": place["pack"]})
        self._places = {digest: place, **{row["_id"]: row for row in rows}}

    @property
    def _index(self) -> Documents:
        return self._connection.lenient(_INDEX)

    def _renewed(self, digests: Sequence[str], moment: datetime) -> Iterator[str]:
        """Note the time for what is here, whole packs only, and yield the digests.

        What was found counts once the note is durable: another process may have put it
        there a moment ago, and a server that is killed forgets that.
        """
        for wanted in _filters(digests):
            places = list(self._index.find(wanted, {"pack": 1}))
            packs = self._bucket.present({each["pack"] for each in places})
            here = [each["_id"] for each in places if each["pack"] in packs]
            if here and self._note_time(here, moment) == len(here):
                yield from here

    def _note_time(self, digests: Sequence[str], moment: datetime) -> int:
        noted = {"$set": {"put": moment}}
        return self._index.update_many(_among(digests), noted).matched_count

    def _note(self, rows: Iterable[Document]) -> None:
        if not self._is_indexed:
            self._index.create_index("pack")
            self._is_indexed = True
        if self._connection.is_real:
            writes = [ReplaceOne({"_id": row["_id"]}, row, upsert=True) for row in rows]
            self._index.bulk_write(writes, ordered=False)
            return
        for row in rows:  # mongomock does not know the bulk writes of every pymongo.
            self._index.replace_one({"_id": row["_id"]}, row, upsert=True)


def _in_line(
    header: bytes, offsets: Mapping[str, int], artifacts: Mapping[str, Buffer]
) -> Iterator[Buffer]:
    """Yield a pack's bytes from its beginning, gaps included."""
    yield header
    end = len(header)
    for digest, offset in offsets.items():
        yield bytes(offset - end)
        yield artifacts[digest]
        end = offset + len(artifacts[digest])


def _filters(digests: Iterable[str] | None) -> Iterator[Document]:
    """Yield filters for some digests, none too long; one that finds all for None."""
    if digests is None:
        yield {}
        return
    rest = iter(digests)
    while some := list(islice(rest, _MANY)):
        yield _among(some)


def _among(digests: Sequence[str]) -> Document:
    return {"_id": {"$in": list(digests)}}
