"""SQLite's file format, as far as it takes to read the rows of a damaged file.

Every page is looked at on its own: one that is damaged takes no other with it.

Source:
    https://www.sqlite.org/fileformat2.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from mmap import mmap
from typing import Final

from ptutils.meta.values import Value

__all__ = ["Pages", "Row"]

Row = tuple[int, list[Value]]
"""The number of a row in its table, and its values."""

_HEADER: Final = 100
_INTERIOR: Final = 5
_LEAF: Final = 13
_USUAL_SIZE: Final = 4096
_SIZES: Final = {1 << power for power in range(9, 17)}
_INTS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
"""Bytes of an int, by its type in a record."""

_BROKEN: Final = (IndexError, ValueError, struct.error)


class Pages:
    """The pages of a SQLite file, numbered from 1.

    Args:
        content: All of the file, whose log was merged into it; at least one page.
    """

    def __init__(self, content: bytes | mmap) -> None:
        size = 1 << 16 if content[16:18] == b"\0\1" else int.from_bytes(content[16:18])
        is_told = size in _SIZES and len(content) == size * int.from_bytes(
            content[28:32]
        )
        self._size = size if is_told else _USUAL_SIZE
        self._content = content
        self._count = len(content) // self._size

    def leaves_below(self, root: int) -> list[int]:
        """Return the pages that hold the rows of the table with this root, in order."""
        found: dict[int, None] = {}
        self._walk(root, found, set())
        return list(found)

    def leaves(self) -> set[int]:
        """Return all pages that look like those with rows and that are in use."""
        pages = range(1, self._count + 1)
        return {n for n in pages if self._kind(n) == _LEAF} - self._free()

    def rows(self, number: int) -> Iterator[Row | None]:
        """Yield the rows of a leaf; None stands for one that cannot be read."""
        try:
            cells = self._cells(number, 8)
        except _BROKEN:
            yield None
            return
        for cell in cells:
            try:
                yield self._row(self._page(number), cell)
            except _BROKEN:
                yield None

    def _page(self, number: int) -> bytes:
        if not 1 <= number <= self._count:
            raise IndexError(number)
        return self._content[(number - 1) * self._size : number * self._size]

    def _kind(self, number: int) -> int:
        return self._page(number)[_start(number)]

    def _cells(self, number: int, header: int) -> list[int]:
        """Return where in a page its cells begin."""
        page, start = self._page(number), _start(number)
        (count,) = struct.unpack_from(">H", page, start + 3)
        return list(struct.unpack_from(f">{count}H", page, start + header))

    def _walk(self, number: int, found: dict[int, None], seen: set[int]) -> None:
        if number in seen:
            return
        seen.add(number)
        try:
            kind = self._kind(number)
            if kind == _LEAF:
                found[number] = None
            if kind != _INTERIOR:
                return
            page = self._page(number)
            pointers = [*self._cells(number, 12), _start(number) + 8]
            children = [struct.unpack_from(">I", page, at)[0] for at in pointers]
        except _BROKEN:
            return
        for child in children:
            self._walk(child, found, seen)

    def _free(self) -> set[int]:
        """Return the pages that are not in use, as far as the list of them goes."""
        found: set[int] = set()
        (number,) = struct.unpack_from(">I", self._content, 32)
        while number and number not in found:
            found.add(number)
            try:
                page = self._page(number)
                number, count = struct.unpack_from(">II", page)
                found.update(struct.unpack_from(f">{count}I", page, 8))
            except _BROKEN:
                break
        return found

    def _row(self, page: bytes, at: int) -> Row:
        size, at = _varint(page, at)
        place, at = _varint(page, at)
        if size > len(self._content):
            raise ValueError(size)
        local = self._local(size)
        payload = page[at : at + local]
        if local < size:
            (following,) = struct.unpack_from(">I", page, at + local)
            payload += self._overflow(following, size - local)
        return place, _values(payload)

    def _local(self, size: int) -> int:
        """Return how many bytes of a row are in its own page."""
        if size <= self._size - 35:
            return size
        least = (self._size - 12) * 32 // 255 - 23
        local = least + (size - least) % (self._size - 4)
        return local if local <= self._size - 35 else least

    def _overflow(self, number: int, size: int) -> bytes:
        parts: list[bytes] = []
        while size > 0:
            page = self._page(number)
            parts.append(page[4 : 4 + size])
            size -= len(parts[-1])
            (number,) = struct.unpack_from(">I", page)
        return b"".join(parts)


def _start(number: int) -> int:
    return _HEADER if number == 1 else 0


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """Return a number of up to nine bytes, and where the next begins."""
    value = 0
    for index in range(8):
        byte = content[at + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    return value << 8 | content[at + 8], at + 9


def _values(record: bytes) -> list[Value]:
    end, at = _varint(record, 0)
    values: list[Value] = []
    body = end
    while at < end:
        kind, at = _varint(record, at)
        size = _INTS.get(kind, 0) or (8 if kind == 7 else max(0, kind - 12) // 2)
        values.append(_value(kind, record[body : body + size], size))
        body += size
    return values


def _value(kind: int, content: bytes, size: int) -> Value:
    if len(content) != size:
        raise ValueError(size)
    if kind in _INTS:
        return int.from_bytes(content, signed=True)
    if kind in (8, 9):
        return kind - 8
    if kind < 12:
        return None  # We store no floats.
    return content if kind % 2 == 0 else content.decode()
