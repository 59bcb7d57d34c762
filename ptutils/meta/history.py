"""History: every metric by step and epoch, appended in about a microsecond."""

from __future__ import annotations

import importlib
import itertools
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from ptutils.errors import (
    ConfigError,
    EncodeError,
    MissingNameError,
    StateMismatchError,
    nearest,
)
from ptutils.meta.column import Chunk, Column, Point, Series
from ptutils.meta.metamodule import MetaModule
from ptutils.meta.scalars import Scalar, read_scalars
from ptutils.meta.values import Document, Value

__all__ = ["Chunk", "Column", "History", "Point"]


class History(MetaModule):
    """Metrics by step and epoch, stored by column.

    One thread appends, which costs one ``list.append`` and never waits for a device:
    tensors are kept as they come (hand them over detached) and are read many at a time
    when somebody asks. Any thread may read or :meth:`take`.

    A metric's path has parts (``valid.accuracy``), and no metric may lie below another.

    Example:
        >>> history = History()
        >>> for step, loss in enumerate((0.5, 0.25, 0.75), start=1):
        ...     history.append(step, 1, {"train.loss": loss})
        >>> history["train.loss"].values.tolist()
        [0.5, 0.25, 0.75]
        >>> history.best("train.loss", mode="min")
        Point(step=2, epoch=1, value=0.25)
    """

    def __init__(self) -> None:
        # What was appended and not read yet. Always the same list, never replaced:
        # another thread may be about to append to it.
        self._rows: list[_Row] = []
        self._series: dict[str, Series] = {}
        self._lock = threading.RLock()

    def append(self, step: int, epoch: int, values: Mapping[str, Value]) -> None:
        """Note values of several metrics; ``values`` is the History's from now on.

        Args:
            step: Updates done.
            epoch: Full passes done.
            values: Path to number, or to a detached tensor of one element. What cannot
                be read as a number is an error when it is read.
        """
        self._rows.append((step, epoch, None, values))

    def record(self, step: int, epoch: int, path: str, value: Value) -> None:
        """Note the value of one metric; see :meth:`append`."""
        self._rows.append((step, epoch, path, value))

    def __repr__(self) -> str:
        return f"History({', '.join(self.paths())})"

    def __call__(self, step: int, epoch: int, values: Mapping[str, Value]) -> None:
        """Note values of several metrics; see :meth:`append`."""
        self.append(step, epoch, values)

    def paths(self) -> list[str]:
        """Return the paths of all metrics, in the order of their first points."""
        with self._lock:
            self._read()
            return list(self._series)

    def last(self, path: str) -> Point:
        """Return the newest point of a metric; reads no other one.

        Raises:
            MissingNameError: If there is no such metric.
        """
        with self._lock:
            for known, step, epoch, value in _split(reversed(self._rows)):
                if known == path:
                    return Point(step, epoch, read_scalars([value], path)[0])
            return self._find(path).last

    def best(self, path: str, *, mode: str) -> Point:
        """Return the first point of the least ("min") or greatest ("max") value.

        NaN is passed over unless there is nothing else.

        Raises:
            MissingNameError: If there is no such metric.
            ConfigError: If ``mode`` is neither.
        """
        with self._lock:
            self._read()
            return self._find(path).best(mode)

    def summary(self) -> Document:
        """Return what runs are queried by, nested along the paths.

        Each metric has ``first last min max`` and their steps, ``first_step`` and so
        on. NaN is passed over by ``min`` and ``max`` unless there is nothing else.
        """
        result: Document = {}
        with self._lock:
            self._read()
            for path, series in self._series.items():
                *above, name = path.split(".")
                level = result
                for part in above:
                    level = level.setdefault(part, {})
                level[name] = series.summary()
        return result

    def take(self) -> dict[str, Chunk]:
        """Return the points appended since they were last taken, by path."""
        with self._lock:
            self._read()
            fresh = {
                path: series.column(series.taken)
                for path, series in self._series.items()
                if series.taken < len(series)
            }
            for path in fresh:
                self._series[path].taken = len(self._series[path])
            return fresh

    def extend(self, path: str, chunk: Chunk) -> None:
        """Add points that are stored already; :meth:`take` will not return them.

        Raises:
            EncodeError: If the path or the chunk is no metric's.
            StateMismatchError: If points of this metric wait to be taken.
        """
        with self._lock:
            self._read()
            series = self._series.get(path)
            if series is not None and series.taken < len(series):
                raise StateMismatchError(
                    "cannot add stored points after new ones",
                    path=path,
                    expected="that all points were taken",
                    got=f"{len(series) - series.taken} that were not",
                    fix="extend before appending",
                )
            self._store(path, chunk)
            if len(chunk):
                self._series[path].taken = len(self._series[path])

    def to_pandas(self) -> Any:
        """Return a ``pandas.DataFrame``: one row per step, one column per metric.

        Raises:
            ConfigError: If pandas is not installed.
        """
        pandas = _optional("pandas")
        rows: dict[tuple[int, int, int], dict[str, Scalar]] = {}
        for path in self.paths():
            seen: dict[tuple[int, int], int] = {}
            for step, epoch, value in self[path]:
                # A metric that has two values at one step gets two rows.
                count = seen[step, epoch] = seen.get((step, epoch), -1) + 1
                row = rows.setdefault((step, epoch, count), {})
                row.update({"step": step, "epoch": epoch, path: value})
        columns = ["step", "epoch", *self.paths()]
        ordered = [rows[key] for key in sorted(rows)]
        return pandas.DataFrame(ordered, columns=columns).set_index("step")

    def plot(self, *paths: str) -> Any:
        """Return a ``matplotlib.figure.Figure`` of metrics over steps.

        Args:
            *paths: The metrics to draw; all where none is named.

        Raises:
            ConfigError: If matplotlib is not installed.
            MissingNameError: If there is no such metric.
        """
        figure = _optional("matplotlib.figure").Figure()
        axes = figure.subplots()
        for path in paths or self.paths():
            column = self[path]
            axes.plot(column.steps, column.values, label=path)
        axes.set_xlabel("step")
        axes.legend()
        return figure

    def state_dict(self) -> Document:
        """Return all points as plain lists, one dict per metric."""
        with self._lock:
            columns = [(path, self[path]) for path in self]
        return {
            "columns": [
                {
                    "path": path,
                    "steps": list(column.steps),
                    "epochs": list(column.epochs),
                    "values": list(column.values),
                }
                for path, column in columns
            ]
        }

    def load_state_dict(self, state: Mapping[str, Value]) -> None:
        """Replace all points; they count as taken.

        Raises:
            StateMismatchError: If ``state`` is not what :meth:`state_dict` returns.
            EncodeError: If a column is no metric's.
        """
        loaded = History()
        try:
            for column in state["columns"]:
                parts = column["steps"], column["epochs"], column["values"]
                loaded.extend(column["path"], Column(*parts))
        except (KeyError, TypeError) as error:
            raise StateMismatchError(
                "cannot load a history",
                expected="columns, each with path, steps, epochs and values",
                got=f"{type(error).__name__}: {error}",
            ) from error
        with self._lock:
            self._rows.clear()
            self._series = loaded._series

    def __getitem__(self, path: str) -> Column:
        with self._lock:
            self._read()
            return self._find(path).column()

    def __contains__(self, path: object) -> bool:
        return path in self.paths()

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths())

    def __getstate__(self) -> dict[str, Any]:
        # Copies and pickles cannot take the lock along.
        return {name: v for name, v in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state, _lock=threading.RLock())

    def _find(self, path: str) -> Series:
        series = self._series.get(path)
        if series is None:
            self._read()
            series = self._series.get(path)
        if series is not None:
            return series
        longer = (known for known in self._series if known.endswith(f".{path}"))
        near = nearest(path, self._series) or next(longer, "")
        raise MissingNameError(
            "history holds no such metric",
            path=path,
            expected=f"one of: {', '.join(self._series) or 'nothing, it is empty'}",
            fix=f"did you mean {near!r}?" if near else "",
        )

    def _read(self) -> None:
        """Move what was appended into the series; the caller holds the lock.

        Points that cannot be kept raise once all others are.
        """
        # Both statements are atomic, and what is appended between them stays.
        rows = self._rows[:]
        del self._rows[: len(rows)]
        faults: list[EncodeError] = []
        chunks = _grouped(rows)
        _read_values(chunks, faults)
        for path, parts in chunks.items():
            try:
                self._store(path, Column(*parts))
            except EncodeError as fault:
                faults.append(fault)
        if faults:
            raise faults[0]

    def _store(self, path: str, column: Column) -> None:
        series = self._series.get(path)
        if series is not None:
            series.extend(column)
        elif len(column):
            _check(path, self._series)
            self._series[path] = Series(column)


_Row: TypeAlias = tuple[int, int, str | None, Value]
_Parts: TypeAlias = tuple[list[int], list[int], list[Scalar]]


def _split(rows: Iterable[_Row]) -> Iterator[tuple[str, int, int, Value]]:
    """Yield path, step, epoch and value of each metric in the rows."""
    for step, epoch, path, value in rows:
        if path is not None:
            yield path, step, epoch, value
        else:
            for name, item in value.items():
                yield name, step, epoch, item


def _grouped(rows: Iterable[_Row]) -> dict[str, _Parts]:
    chunks: dict[str, _Parts] = {}
    for path, step, epoch, value in _split(rows):
        parts = chunks.get(path)
        if parts is None:
            parts = chunks[path] = ([], [], [])
        steps, epochs, values = parts
        steps.append(step)
        epochs.append(epoch)
        values.append(value)
    return chunks


def _read_values(chunks: dict[str, _Parts], faults: list[EncodeError]) -> None:
    """Put numbers in place of all values; take out the points that hold none."""
    everything = [value for *_, values in chunks.values() for value in values]
    try:
        numbers = iter(read_scalars(everything))
    except EncodeError:
        for path, parts in chunks.items():
            chunks[path] = _readable(path, parts, faults)
        return
    for *_, values in chunks.values():
        values[:] = itertools.islice(numbers, len(values))


def _readable(path: str, parts: _Parts, faults: list[EncodeError]) -> _Parts:
    kept: _Parts = ([], [], [])
    for step, epoch, value in zip(*parts, strict=True):
        try:
            kept[2].extend(read_scalars([value], path))
        except EncodeError as fault:
            faults.append(fault)
        else:
            kept[0].append(step)
            kept[1].append(epoch)
    return kept


def _check(path: str, known: Mapping[str, Series]) -> None:
    """Refuse a path that is no path, or that would hide another in the summary."""
    if not (isinstance(path, str) and all(path.split(".")) and _is_storable(path)):
        raise EncodeError(
            "cannot record a metric by this name",
            expected="a text, or texts joined by single dots, that UTF-8 can write",
            got=repr(path),
        )
    for other in known:
        shorter, longer = sorted((path, other), key=len)
        if longer.startswith(f"{shorter}."):
            raise EncodeError(
                "cannot record a metric below another",
                path=longer,
                expected="a path that no other metric's path begins with",
                got=f"{shorter!r} is a metric too",
                fix=f"name that one, say, {shorter + '.value'!r}",
            )


def _optional(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ConfigError(
            f"cannot show the history: {package} is not installed",
            fix="pip install 'ptutils[plots]'",
        ) from error


def _is_storable(path: str) -> bool:
    # No database keeps lone surrogates in a text, nor NUL in a name.
    return not any("\ud800" <= letter <= "\udfff" or letter == "\0" for letter in path)
