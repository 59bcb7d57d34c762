"""Checkpoints: a safetensors file each, complete in itself, and a JSON beside it.

The tensors are named by their path in the State. What is no tensor that fills its
storage is bytes, named ``_ptutils.<number>``. The JSON is the document, in which every
artifact is told by its name in the file, its digest and its size. Those in slices have
one name: they are one tensor of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final

from ptutils.core.records.artifacts import Group, groups_of
from ptutils.db.artifacts import digest_of
from ptutils.db.files.batch import Batch
from ptutils.db.files.form import Form, Wanted, filling
from ptutils.db.files.headers import is_digest, metadata_of
from ptutils.db.files.holding import Holding
from ptutils.db.files.names import name_of, names_in, text_of
from ptutils.db.files.rows import Row, row_of, with_place
from ptutils.db.files.texts import as_json, read_json_text
from ptutils.errors import CorruptError, NotFoundError, PtutilsError
from ptutils.meta.codec import dumps, loads
from ptutils.meta.formats.entries import Entry, entries_of
from ptutils.meta.formats.header import header_of
from ptutils.meta.values import Document, Value

__all__ = ["BULK", "CheckpointForm", "tensors_beside"]

BULK: Final = frozenset({"artifacts", "state"})
"""The fields that are read from the file only when they are asked for."""

_STATE: Final = ("skeleton", "types", "digest")


class CheckpointForm(Form):
    """``runs/<id>/checkpoints/<step>…``, two files each.

    Args:
        root: The folder of the database.
        holding: Where the artifacts are.
    """

    def __init__(self, root: Path, holding: Holding) -> None:
        super().__init__(root)
        self._holding = holding

    def paths(self, only: Wanted) -> Iterator[Path]:
        """Yield the files that may hold what is wanted."""
        if "_id" in only:
            for each in only["_id"]:
                run, _, rest = each.partition(".")
                yield self._path(run, rest)
            return
        for folder in self.run_folders(only, "run"):
            for name in names_in(folder / "checkpoints"):
                if name.endswith(".json"):
                    yield folder / "checkpoints" / name

    def path_of(self, row: Row) -> Path | None:
        """Return where a document goes, or None if it does not fit."""
        document = row.document
        if not _fits(document):
            return None
        try:
            self._entries(document)
        except (PtutilsError, KeyError, ValueError, TypeError, AttributeError):
            return None
        run = document["run"]
        return self._path(run, document["_id"].removeprefix(f"{run}."))

    def read(self, path: Path, content: bytes, modified_us: int) -> list[Row]:
        """Return the document without its bulk."""
        row = self._read(path, content, modified_us)
        return [self.kept(row)]

    def kept(self, row: Row) -> Row:
        """Return what to keep in memory of a document."""
        state = {**row.document["state"], "skeleton": None, "types": None}
        document = {**row.document, "state": state, "artifacts": None}
        return replace(row, document=document, is_whole=False)

    def whole(self, row: Row, path: Path) -> Document:
        """Return a document with its bulk, every byte of which is verified."""
        if row.is_whole:
            return row.document
        written = self._read(path, path.read_bytes(), 0).document
        state = {
            name: value if isinstance(value, str) else dumps(value)
            for name, value in written["state"].items()
        }
        artifacts = [self._item(path, told) for told in written["artifacts"]]
        return {**written, "state": state, "artifacts": artifacts}

    def write(
        self, batch: Batch, path: Path, before: Sequence[Row], after: Sequence[Row]
    ) -> None:
        """Note in a batch how a file changes."""
        tensors = tensors_beside(path)
        if not after:
            self._holding.release(batch, tensors)
            batch.remove(path)
            return
        document = after[0].document
        told = self._told(document)
        if not before or self.told(path) != told:
            if before:
                self._holding.release(batch, tensors)
            batch.write(tensors, self._filling(document, told))
            lasting = {each["blake3"] for each in told if not each.get("inline")}
            self._holding.absorb(batch, lasting)
        state = {name: _opened(text) for name, text in document["state"].items()}
        written = {**document, "state": state, "artifacts": told}
        batch.write(path, filling(as_json(with_place(written, after[0].place))))

    def _item(self, path: Path, told: Document) -> bytes | str:
        digest: str = told["blake3"]
        if not told.get("inline"):
            return digest
        try:
            return bytes(self._holding.read(digest))
        except NotFoundError as error:
            raise CorruptError(
                f"cannot read the tensor {told['tensor']!r}",
                path=str(tensors_beside(path)),
                expected=f"{told['bytes']} bytes with digest {digest}",
                got="no such file, or no such tensor in it",
                fix="restore it from a copy, or delete this checkpoint",
            ) from error

    def told(self, path: Path) -> list[Document]:
        """Return what a JSON tells of each artifact."""
        told: list[Document] = self._read(path, path.read_bytes(), 0).document[
            "artifacts"
        ]
        return told

    def _path(self, run: str, rest: str) -> Path:
        folder = self.root / "runs" / name_of(run) / "checkpoints"
        return folder / f"{name_of(rest)}.json"

    def _read(self, path: Path, content: bytes, modified_us: int) -> Row:
        row = row_of(path, read_json_text(path, content), modified_us)
        document = row.document
        try:
            expected = self._path(document["run"], document["_id"].partition(".")[2])
            is_sound = expected == path and _tells(document)
        except (KeyError, TypeError, AttributeError):
            is_sound = False
        if not is_sound:
            raise CorruptError(
                f"cannot read {path}",
                expected="the checkpoint of this run and name, whole",
                got=f"{document.get('_id')!r:.80} of run {document.get('run')!r:.40}",
                fix="restore it from a copy",
            )
        return row

    def _told(self, document: Document) -> list[Document]:
        """Return what the JSON tells of each artifact."""
        told = []
        groups = _groups(document)
        for entry, group in zip(self._entries(document), groups, strict=True):
            for item in group:
                digest = digest_of(item) if isinstance(item, bytes) else item
                size = self._size(item)
                each = {"tensor": entry.name, "blake3": digest, "bytes": size}
                is_inline = isinstance(item, bytes)
                told.append({**each, "inline": True} if is_inline else each)
        return told

    def _entries(self, document: Document) -> list[Entry]:
        state = document["state"]
        sizes = [sum(map(self._size, group)) for group in _groups(document)]
        return entries_of(loads(state["skeleton"]), state["types"], sizes)

    def _size(self, item: bytes | str) -> int:
        return len(item) if isinstance(item, bytes) else self._holding.size(item)

    def _filling(
        self, document: Document, told: Sequence[Document]
    ) -> Callable[[BinaryIO], None]:
        groups = _groups(document)
        header, order = header_of(self._entries(document), metadata_of(told))

        def fill(file: BinaryIO) -> None:
            file.write(header)
            for number in order:
                for item in groups[number]:
                    content = (
                        self._holding.read(item) if isinstance(item, str) else item
                    )
                    file.write(content)

        return fill


def _groups(document: Document) -> list[Group]:
    return groups_of(document, f"checkpoints.{document['_id']}")


def tensors_beside(path: Path) -> Path:
    """Return the tensors' file beside a JSON."""
    return path.with_name(f"{path.name.removesuffix('.json')}.safetensors")


def _opened(text: str) -> Value:
    """Return a JSON text as what it holds, if the same text is made of that again."""
    if not text.startswith("{"):
        return text
    value = loads(text)
    return value if isinstance(value, dict) and dumps(value) == text else text


def _tells(document: Document) -> bool:
    """Return whether a JSON has what a checkpoint needs."""
    return document["state"].keys() == set(_STATE) and all(
        is_digest(told["blake3"]) and type(told["tensor"]) is str
        for told in document["artifacts"]
    )


def _fits(document: Document) -> bool:
    """Return whether a document has the fields and types of a checkpoint."""
    identity, run = document["_id"], document.get("run")
    state, artifacts = document.get("state"), document.get("artifacts")
    if type(identity) is not str or type(run) is not str or type(artifacts) is not list:
        return False
    is_named = run and "." not in run and identity.startswith(f"{run}.")
    if not is_named or text_of(name_of(run)) != run or not isinstance(state, dict):
        return False
    return (
        tuple(state) == _STATE
        and all(type(each) is str for each in state.values())
        and all(type(each) is bytes or is_digest(each) for each in artifacts)
    )
