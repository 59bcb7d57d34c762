"""Reading what somebody hostile stored: an error of ours or valid data, nothing more.

``PTUTILS_SOAK=1`` tries many thousand changes instead of some hundred.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import sqlite3
import struct
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from ptutils.cli.main import main
from ptutils.core.dbinterface import DBInterface
from ptutils.core.records.run import Run
from ptutils.db.memory import MemoryInterface
from ptutils.db.mongo.interface import MongoInterface
from ptutils.db.sqlite.interface import SQLiteInterface
from ptutils.errors import DatabaseError, PtutilsError
from ptutils.meta.codec import dumps
from ptutils.meta.config import Config
from ptutils.meta.history import History
from ptutils.meta.state import State
from ptutils.meta.status import Status
from ptutils.testing.experiment import experiment
from tests.db.hostile import Stored, hostile, stored

CASES = 5_000 if os.environ.get("PTUTILS_SOAK") else 80
PATIENCE_S = 10
MORE_BYTES = 3 << 30
FORBIDDEN = ("os.", "subprocess.", "socket.", "pickle.", "shutil.", "ctypes.dlopen")
HARMLESS = ("os.listdir", "os.scandir", "os.putenv", "os.unsetenv", "os.getxattr")

_watching: list[list[str]] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event == "import" and str(arguments[0]).startswith("planted"):
        _watching[-1].append(f"import {arguments[0]}")
    elif event.startswith(FORBIDDEN) and event not in HARMLESS:
        _watching[-1].append(f"{event} {arguments!r:.300}")


sys.addaudithook(_audit)


@contextlib.contextmanager
def watched() -> Iterator[list[str]]:
    """Note what is imported, started or connected to while the block runs."""
    seen: list[str] = []
    _watching.append(seen)
    try:
        yield seen
    finally:
        _watching.remove(seen)


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Let the block compute some seconds, take some memory, and no more.

    What others compute meanwhile does not count, so that it may run beside them.
    """

    def too_long(*_: object) -> None:
        raise TimeoutError(f"reading took more than {PATIENCE_S} s")

    taken = (
        int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    signals = (signal.SIGALRM, signal.SIGPROF)
    before = [signal.signal(each, too_long) for each in signals]
    signal.setitimer(signal.ITIMER_PROF, PATIENCE_S)
    signal.alarm(10 * PATIENCE_S)
    resource.setrlimit(resource.RLIMIT_AS, (taken + MORE_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)


@pytest.fixture(scope="module")
def original() -> Stored:
    """A run that was stopped, resumed and branched, with History in two segments."""
    db = MemoryInterface()
    first = experiment(db, duration="3 steps").run()
    assert first is not None
    found = first.resume({"schedule.duration": "5 steps"}).run()
    assert found is not None
    found.branch({"trainer.model.optimizer.lr": 0.5}, step=3).run()
    return stored(db)


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a package that can be imported and leaves a mark; return the mark's path."""
    mark = tmp_path / "mark"
    code = f"open({str(mark)!r}, 'w').close()\nclass Evil: pass\n"
    (tmp_path / "planted").mkdir()
    for name in ("__init__.py", "sub.py"):
        (tmp_path / "planted" / name).write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return mark


READINGS: dict[str, Callable[[Run], object]] = {
    "repr": repr,
    "config": lambda run: checked(run.config, Config),
    "status": lambda run: checked(run.status, Status).state_dict(),
    "source": lambda run: checked(run.source, dict),
    "lineage": lambda run: checked(run.lineage, dict),
    "tree": lambda run: str(run.lineage()),
    "summary": lambda run: checked(run.summary, State).paths(),
    "history": lambda run: checked(run.history, History).summary(),
    "points": lambda run: [run.history[path].last for path in run.history.paths()],
    "segments": lambda run: [checked(each, History).paths() for each in run.segments],
    "states": lambda run: [checked(each.read(), State) for each in run.checkpoints],
    "lazily": lambda run: [
        checked(each.state, State).copy() for each in run.checkpoints
    ],
    "configs": lambda run: [each.config for each in run.checkpoints],
    "newest": lambda run: repr(run.newest()),
    "checkpoint": lambda run: run.checkpoint(3),
    "resume": lambda run: run.resume(),
    "going back": lambda run: run.resume(step=3),
    "branch": lambda run: run.branch(step=3),
    "restart": lambda run: run.restart(),
    "evaluate": lambda run: run.evaluate(),
    "diff": lambda run: repr(run.diff(run)),
}


def checked(value: Any, kind: type) -> Any:
    assert isinstance(value, kind)
    return value


def read_all(db: DBInterface) -> list[str]:
    """Read everything there is; return what went wrong in another way than ours."""
    faults: list[str] = []

    def attempt(read: Callable[[], Any], name: object) -> Any:
        try:
            return read()
        except PtutilsError as error:
            str(error)
        except Exception as error:  # noqa: BLE001 - this is what the test looks for
            faults.append(f"reading {name}: {where(error)}: {error!s:.200}")
        return None

    attempt(db.runs.find, "the list")
    for document in attempt(lambda: db._find("runs", {}), "the runs") or []:
        run = attempt(lambda document=document: Run(db, document), "a run")
        for name, read in READINGS.items() if run else ():
            attempt(lambda read=read, run=run: read(run), name)
    return faults


def where(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}"


def fill(db: DBInterface, documents: Stored) -> DBInterface | None:
    """Insert what a database takes; None if it takes it not."""
    try:
        for name, each in documents.items():
            db._insert(name, each)
    except PtutilsError:
        return None
    return db


def test_changed_documents_are_refused_or_valid(
    original: Stored, planted: Path
) -> None:
    for case in range(CASES):
        chance = random.Random(case)  # noqa: S311
        documents = hostile(original, chance)
        with MemoryInterface() as db, watched() as seen, bounded():
            faults = read_all(db) if fill(db, documents) else []
        assert (case, faults, seen) == (case, [], [])
    assert not planted.exists()


def test_changed_files_are_refused_or_valid(original: Stored, planted: Path) -> None:
    whole = planted.with_name("whole.db")
    with SQLiteInterface(str(whole)) as db:
        assert fill(db, original)
    for case in range(CASES // 2):
        chance = random.Random(case)  # noqa: S311
        path = shutil.copy(whole, planted.with_name("changed.db"))
        scribble(path, hostile(original, chance), chance)
        with SQLiteInterface(str(path)) as db, watched() as seen, bounded():
            faults = read_all(db)
        assert (case, faults, seen) == (case, [], [])
    assert not planted.exists()


@pytest.mark.mongo
def test_changed_documents_on_a_server_are_refused_or_valid(
    original: Stored, planted: Path, mongo: MongoClient[Any]
) -> None:
    host, port = mongo.address or ("", 0)
    url = f"mongodb://{host}:{port}/hostile"
    for case in range(CASES // 10):
        mongo.drop_database("hostile")
        documents = hostile(original, random.Random(case))  # noqa: S311
        with MongoInterface(url) as db, watched() as seen, bounded():
            faults = read_all(db) if fill(db, documents) else []
        others = [each for each in seen if not is_of_client(each, port)]
        assert (case, faults, others) == (case, [], [])
    assert not planted.exists()


def is_of_client(event: str, port: int) -> bool:
    """Return whether an event is a client's connection to our server."""
    is_new = event.startswith("socket.__new__")
    return is_new or (event.startswith("socket.") and f"127.0.0.1', {port}" in event)


def scribble(path: Path, documents: Stored, chance: random.Random) -> None:
    """Overwrite texts in a SQLite file with changed ones, or with no JSON at all."""
    connection = sqlite3.connect(path)
    numbers = dict(connection.execute("SELECT name, id FROM collections"))
    for name, changed in documents.items():
        table = f"documents_{numbers[name]}"
        for place, document in enumerate(changed, 1):
            text = dumps(document)
            if chance.random() < 0.05:
                at = chance.randrange(len(text))
                text = text[:at] + chance.choice('{}[]",:\\') + text[at + 1 :]
            update = f"UPDATE {table} SET text = ? WHERE place = ?"  # noqa: S608
            connection.execute(update, (text, place))
    connection.commit()
    connection.close()


@pytest.mark.parametrize("case", range(CASES // 10))
def test_commands_end_in_a_message(
    original: Stored,
    planted: Path,
    case: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = str(planted.with_name("runs.db"))
    with SQLiteInterface(path) as db:
        if not fill(db, hostile(original, random.Random(case))):  # noqa: S311
            return
    run_id = str(original["runs"][0]["_id"])
    for words in (["ls"], ["ls", "--json"], ["show", run_id], ["lineage", run_id]):
        monkeypatch.setattr(sys, "argv", ["ptutils", *words, "--db", path])
        with pytest.raises(SystemExit) as left, watched() as seen, bounded():
            main()
        assert (left.value.code in (None, 0, 1), seen) == (True, []), words
        assert "Traceback" not in capsys.readouterr().err
    assert not planted.exists()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("pack", "../secret"),
        ("pack", "/etc/passwd"),
        ("pack", ".."),
        ("pack", ""),
        ("pack", b"bytes"),
        ("offset", -64),
        ("offset", 2**62),
        ("offset", "text"),
        ("size", -1),
        ("size", 2**62),
        ("size", 0.5),
    ],
)
def test_index_of_artifacts_leads_nowhere_else(
    tmp_path: Path, column: str, value: object
) -> None:
    (tmp_path / "secret").write_bytes(b"s" * 3000)
    path = tmp_path / "runs.db"
    with SQLiteInterface(str(path)) as db:
        (digest,) = db._put([b"s" * 3000])
    connection = sqlite3.connect(path)
    change = f"UPDATE artifacts SET offset = 0, {column} = ?"  # noqa: S608
    connection.execute(change, (value,))
    connection.commit()
    connection.close()
    with SQLiteInterface(str(path)) as db, bounded(), pytest.raises(DatabaseError):
        db._get(digest)


HEADERS = (
    b"",
    b"\xff" * 8,
    struct.pack("<Q", 2**63) + b"{}",
    struct.pack("<Q", 2**40) + b"{}",
    struct.pack("<Q", 2) + b"[]",
    struct.pack("<Q", 8) + b'{"a": 1}',
    struct.pack("<Q", 20_000) + b"[" * 20_000,
    *(
        struct.pack("<Q", len(text)) + text
        for text in (
            b'{"%s": {"dtype": "U8", "shape": [9], "data_offsets": %s}}' % (name, span)
            for name in (b"0" * 64, b"../../etc/passwd")
            for span in (b"[0, 9]", b"[-9, 9]", b"[0, 4611686018427387904]", b"3")
        )
    ),
)


@pytest.mark.parametrize("content", HEADERS, ids=range(len(HEADERS)))
def test_pack_of_somebody_else_is_looked_at_and_passed_over(
    tmp_path: Path, content: bytes
) -> None:
    with SQLiteInterface(str(tmp_path / "runs.db")) as db:
        (digest,) = db._put([b"a" * 3000])
        (db._packs.folder / f"{'0' * 64}.safetensors").write_bytes(content)
        with bounded():
            list(db.verify())
            list(db.verify(repair=True))
        assert bytes(db._get(digest)) == b"a" * 3000


@pytest.mark.parametrize("content", HEADERS, ids=range(len(HEADERS)))
def test_state_file_of_somebody_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with bounded(), pytest.raises(PtutilsError, match="cannot"):
        State(str(path))
