"""``history.csv``: the points of a run, one a line, exact.

The columns are step, epoch, path, value, segment, index and stored. The points with
one path, segment and index are one document of the collection ``history``; the index of
a further part of very many points is ``INDEX.PART``. ``stored`` stands in the first of
its lines: when it was written, in microseconds since 1970.

A value is written as Python writes it: ``0.1``, ``1e-05``, ``inf``, ``nan``, ``-nan``,
``7``, ``True``. A NaN with other bits is ``nan(0x7ff8000000000001)``.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ptutils.core.records.series import chunk_documents, history_of
from ptutils.db.files.batch import Batch
from ptutils.db.files.form import Form, Wanted, filling
from ptutils.db.files.names import name_of, text_of
from ptutils.db.files.rows import Row
from ptutils.db.filters.order import key
from ptutils.errors import CorruptError, PtutilsError
from ptutils.meta.codec import dumps
from ptutils.meta.column import Chunk
from ptutils.meta.values import Document, Value

__all__ = ["ChunkForm", "sound_end"]

_HEADER: Final = "step,epoch,path,value,segment,index,stored"
_WIDTH: Final = 7
_BREAKS: Final = re.compile(r"[\n\r\0]")
_WHOLE_LINE: Final = re.compile(rb"[^\n]*,\d+,(\d{16,})?\Z")
_ODD_NAN: Final = re.compile(r"nan\(0x([0-9a-f]{16})\)\Z")
_TAIL_BYTES: Final = 1 << 16
_CONSTANTS: Final = {"True": True, "False": False}

_Key = tuple[str, int, int, int]
"""Path, segment, index, part."""


class ChunkForm(Form):
    """``runs/<id>/history.csv``, with many documents each."""

    def paths(self, only: Wanted) -> Iterator[Path]:
        """Yield the files that may hold what is wanted."""
        if "run" not in only and "_id" in only:
            only = {"run": [each.partition(".")[0] for each in only["_id"]]}
        for folder in self.run_folders(only, "run"):
            yield folder / "history.csv"

    def path_of(self, row: Row) -> Path | None:
        """Return where a document goes, or None if it does not fit."""
        document = row.document
        if not _fits(document):
            return None
        return self.root / "runs" / name_of(document["run"]) / "history.csv"

    def read(self, path: Path, content: bytes, modified_us: int) -> list[Row]:
        """Return the documents of a file."""
        run = text_of(path.parent.name)
        points: dict[_Key, tuple[list[int], list[int], list[str]]] = {}
        places: dict[_Key, int] = {}
        for number, cells in _lines(path, content):
            try:
                step, epoch, metric, value, segment, index = cells[:6]
                whole, _, part = index.partition(".")
                name = metric, int(segment), int(whole), int(part or 0)
                steps, epochs, values = points.setdefault(name, ([], [], []))
                steps.append(int(step))
                epochs.append(int(epoch))
                values.append(value)
                if len(cells) > 6 and cells[6]:
                    places.setdefault(name, int(cells[6]))
            except ValueError as error:
                raise _damaged(path, number, ",".join(cells)) from error
        rows = []
        for name, (steps, epochs, values) in points.items():
            chunk = Chunk(steps, epochs, _values(path, name[0], values))
            document = _document(run, name, chunk)
            place = places.get(name, modified_us)
            rows.append(Row(key(document["_id"]), place, document))
        return rows

    def write(
        self, batch: Batch, path: Path, before: Sequence[Row], after: Sequence[Row]
    ) -> None:
        """Note in a batch how a file changes."""
        old = len(before)
        if before and list(after[:old]) == list(before):
            offset, lead = sound_end(path)
            batch.append(path, offset, lead + _csv(after[old:]))
        elif after:
            batch.write(path, filling(f"{_HEADER}\n".encode() + _csv(after)))
        else:
            batch.remove(path)


def sound_end(path: Path) -> tuple[int, bytes]:
    """Return where to append to a file, and what must come first there.

    A last line that was cut off by a crash, and zeros for which room was taken, are
    left out; a last line that only lacks its end, after somebody edited it, is not.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - _TAIL_BYTES)
        file.seek(start)
        tail = file.read().rstrip(b"\0")
    last = tail.rfind(b"\n") + 1
    if last < len(tail) and _WHOLE_LINE.fullmatch(tail, last):
        return start + len(tail), b"\n"
    return start + last, b""


def _lines(path: Path, content: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the cells of each line but the header."""
    body = content.rstrip(b"\0")
    last = body.rfind(b"\n") + 1
    if last < len(body) and not _WHOLE_LINE.fullmatch(body, last):
        body = body[:last]
    try:
        lines = body.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        number = body.count(b"\n", 0, error.start) + 1
        raise _damaged(path, number, str(error)) from error
    if lines[0].rstrip("\r") not in (_HEADER, _HEADER.rpartition(",")[0], ""):
        raise _damaged(path, 1, lines[0])
    try:
        for number, cells in enumerate(csv.reader(lines[1:], strict=True), start=2):
            if cells:
                yield number, cells
    except csv.Error as error:
        raise _damaged(path, number + 1, str(error)) from error


def _damaged(path: Path, line: int, got: str) -> CorruptError:
    return CorruptError(
        f"cannot read {path}, line {line}",
        expected=_HEADER,
        got=f"{got:.80}",
        fix="mend or remove that line",
    )


def _csv(rows: Sequence[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        document, stored = row.document, str(row.place)
        metric, segment, index, part = _key(document)
        chunk = _chunk(document)
        place = segment, f"{index}.{part}" if part else index
        for step, epoch, value in zip(
            chunk.steps, chunk.epochs, map(_text, chunk.values), strict=True
        ):
            writer.writerow((step, epoch, metric, value, *place, stored))
            stored = ""
    return text.getvalue().encode()


def _key(document: Document) -> _Key:
    metric, segment, index, part = (
        document[name] for name in ("path", "segment", "index", "part")
    )
    return metric, segment, index, part


def _chunk(document: Document) -> Chunk:
    """Return the points of one document."""
    return history_of([document], {document["segment"]: None})[document["path"]]


def _document(run: str, name: _Key, chunk: Chunk) -> Document:
    """Return the document of some points."""
    metric, segment, index, part = name
    (document,) = chunk_documents(run, segment, index, {metric: chunk})
    if not part:
        return document
    return {**document, "_id": f"{document['_id']}.{part}", "part": part}


def _text(value: Value) -> str:
    if type(value) is not float or not math.isnan(value):
        return repr(value)
    bits = struct.pack(">d", value).hex()
    plain = {"7ff8000000000000": "nan", "fff8000000000000": "-nan"}
    return plain.get(bits, f"nan(0x{bits})")


def _values(path: Path, metric: str, texts: Sequence[str]) -> Sequence[Value]:
    try:
        if all("." in text or "n" in text for text in texts):
            return [float(text) for text in texts]
    except ValueError:
        pass
    try:
        return [_value(text) for text in texts]
    except ValueError as error:
        raise CorruptError(
            f"cannot read {path}",
            expected=f"numbers as values of {metric!r}",
            got=str(error),
            fix=f"look for it: grep -n {metric} {path}",
        ) from error


def _value(text: str) -> Value:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    odd = _ODD_NAN.match(text)
    if odd:
        (value,) = struct.unpack(">d", bytes.fromhex(odd[1]))
        return value
    return int(text) if text.lstrip("+-").isdecimal() else float(text)


def _fits(document: Document) -> bool:
    """Return whether a document is a chunk of points that lines tell exactly."""
    run, metric = document.get("run"), document.get("path")
    if type(run) is not str or type(metric) is not str or not run or not metric:
        return False
    if "." in run or _BREAKS.search(metric) or text_of(name_of(run)) != run:
        return False
    try:
        chunk = _chunk(document)
        texts = [_value(_text(value)) for value in chunk.values]
        again = _document(
            run, _key(document), Chunk(list(chunk.steps), list(chunk.epochs), texts)
        )
        return dumps(again) == dumps(document) and min(_key(document)[1:]) >= 0
    except (PtutilsError, KeyError, TypeError, ValueError, OverflowError):
        return False
