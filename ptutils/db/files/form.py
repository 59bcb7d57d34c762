"""Form: how one kind of document lies in files; and the two simple kinds."""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from ptutils.db.files.batch import Batch
from ptutils.db.files.names import folder_of, name_of, names_in, text_of
from ptutils.db.files.rows import Row, check_name, made_plain, row_of, with_place
from ptutils.db.files.texts import as_json, as_yaml, read_json_text, read_yaml_text
from ptutils.meta.values import Document, Value

__all__ = ["DocumentForm", "Form", "RunForm", "Wanted", "filling", "wanted"]

Wanted = Mapping[str, Sequence[Value]]
"""The only values that a filter lets ``_id`` and ``run`` have, where it tells."""

_TOLD: Final = ("_id", "run")


class Form(ABC):
    """One kind of files.

    Args:
        root: The folder of the database.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @abstractmethod
    def paths(self, only: Wanted) -> Iterator[Path]:
        """Yield the files that may hold what is wanted, whether they exist or not."""

    @abstractmethod
    def path_of(self, row: Row) -> Path | None:
        """Return where a document goes, or None if this form cannot hold it."""

    @abstractmethod
    def read(self, path: Path, content: bytes, modified_us: int) -> list[Row]:
        """Return the documents of a file.

        Raises:
            CorruptError: If it cannot be read; the message names file and line.
        """

    @abstractmethod
    def write(
        self, batch: Batch, path: Path, before: Sequence[Row], after: Sequence[Row]
    ) -> None:
        """Note in a batch how a file changes."""

    def whole(self, row: Row, path: Path) -> Document:
        """Return a document with its bulk."""
        return row.document

    def kept(self, row: Row) -> Row:
        """Return what to keep in memory of a document."""
        return row

    def run_folders(self, only: Wanted, told: str) -> Iterator[Path]:
        """Yield the folders of all runs, or of those that are wanted."""
        runs = self.root / "runs"
        if told in only:
            yield from (runs / name_of(each) for each in only[told])
        else:
            yield from (runs / name for name in names_in(runs))


class RunForm(Form):
    """``runs/<id>/run.yaml``, one for each run."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        # Making the text is the only way to know that it can be made.
        self._texts: weakref.WeakKeyDictionary[Row, bytes] = weakref.WeakKeyDictionary()

    def paths(self, only: Wanted) -> Iterator[Path]:
        """Yield the files that may hold what is wanted."""
        for folder in self.run_folders(only, "_id"):
            yield folder / "run.yaml"

    def path_of(self, row: Row) -> Path | None:
        """Return where a document goes, or None if it does not fit."""
        identity = row.document["_id"]
        if type(identity) is not str or not identity or _is_long(identity):
            return None
        text = as_yaml(with_place(row.document, row.place))
        if text is None:
            return None
        self._texts[row] = text
        return self.root / "runs" / name_of(identity) / "run.yaml"

    def read(self, path: Path, content: bytes, modified_us: int) -> list[Row]:
        """Return the documents of a file."""
        written = made_plain(read_yaml_text(path, content), path)
        row = row_of(path, written, modified_us)
        check_name(path, path.parent.name, row.document["_id"])
        return [row]

    def write(
        self, batch: Batch, path: Path, before: Sequence[Row], after: Sequence[Row]
    ) -> None:
        """Note in a batch how a file changes."""
        if after:
            batch.write(path, filling(self._texts[after[0]]))
        else:
            batch.remove(path)


class DocumentForm(Form):
    """``documents/<collection>/<id>.json``, which holds any plain document."""

    def __init__(self, root: Path, collection: str) -> None:
        super().__init__(root)
        self._folder = root / "documents" / folder_of(collection)

    def paths(self, only: Wanted) -> Iterator[Path]:
        """Yield the files that may hold what is wanted."""
        if "_id" in only:
            for each in only["_id"]:
                yield self._folder / f"{name_of(each)}.json"
        else:
            for name in names_in(self._folder):
                if name.endswith(".json"):
                    yield self._folder / name

    def path_of(self, row: Row) -> Path:
        """Return where a document goes, or None if it does not fit."""
        return self._folder / f"{name_of(row.document['_id'])}.json"

    def read(self, path: Path, content: bytes, modified_us: int) -> list[Row]:
        """Return the documents of a file."""
        written = made_plain(read_json_text(path, content), path, has_dots=True)
        row = row_of(path, written, modified_us)
        check_name(path, path.name.removesuffix(".json"), row.document["_id"])
        return [row]

    def write(
        self, batch: Batch, path: Path, before: Sequence[Row], after: Sequence[Row]
    ) -> None:
        """Note in a batch how a file changes."""
        if after:
            written = with_place(after[0].document, after[0].place)
            batch.write(path, filling(as_json(written)))
        else:
            batch.remove(path)


def filling(content: bytes) -> Callable[[BinaryIO], None]:
    """Return the function that writes some bytes into a file."""

    def fill(file: BinaryIO) -> None:
        file.write(content)

    return fill


def wanted(filter: Document) -> Wanted:
    """Return what a filter says outright of ``_id`` and ``run``: texts only."""
    told: dict[str, Sequence[Value]] = {}
    for name in _TOLD:
        asked = filter.get(name)
        if isinstance(asked, dict) and len(asked) == 1:
            asked = asked.get("$in", asked.get("$eq"))
        values = asked if isinstance(asked, list) else [asked]
        if all(type(each) is str for each in values):
            told[name] = values
    return told


def _is_long(text: str) -> bool:
    return text_of(name_of(text)) != text
