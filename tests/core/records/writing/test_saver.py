"""Saver: what is handed over is written in the background, in order, or told of."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from ptutils.core.records.writing.saver import Saver


@dataclass(frozen=True)
class Item:
    number: int
    size_bytes: int = 1


class Slow:
    """Writes when it is let."""

    def __init__(self) -> None:
        self.written: list[int] = []
        self.may_write = threading.Event()
        self.faults: list[Exception] = []
        self.saver: Saver[Item] = Saver(self._write)

    def _write(self, batch: Sequence[Item]) -> None:
        assert self.may_write.wait(10)
        if self.faults:
            raise self.faults.pop()
        self.written += [item.number for item in batch]


@pytest.fixture
def slow() -> Iterator[Slow]:
    slow = Slow()
    yield slow
    slow.faults.clear()
    slow.may_write.set()
    slow.saver.close()


def test_items_are_written_in_order_while_the_caller_goes_on(slow: Slow) -> None:
    for number in range(5):
        slow.saver.make_room(1)
        slow.saver.put(Item(number))
    assert slow.written == []
    slow.may_write.set()
    slow.saver.flush()
    assert slow.written == [0, 1, 2, 3, 4]


def test_closed_saver_starts_again_when_it_is_given_something(slow: Slow) -> None:
    slow.may_write.set()
    slow.saver.put(Item(1))
    slow.saver.close()
    slow.saver.put(Item(2))
    slow.saver.close()
    assert slow.written == [1, 2]


@pytest.mark.parametrize("verb", ["flush", "close", "make_room", "put"])
def test_fault_is_raised_once_at_the_next_call(slow: Slow, verb: str) -> None:
    slow.faults.append(ValueError("no room on the disk"))
    slow.may_write.set()
    slow.saver.put(Item(1))
    slow.saver._changed.acquire()
    slow.saver._changed.wait_for(lambda: not slow.saver._in_flight)
    slow.saver._changed.release()
    arguments = {"make_room": [1], "put": [Item(2)]}.get(verb, [])
    with pytest.raises(ValueError, match="no room on the disk"):
        getattr(slow.saver, verb)(*arguments)
    slow.saver.put(Item(3))
    slow.saver.flush()
    assert slow.written == [3]


def test_too_much_waits_for_room_and_says_so_once(
    slow: Slow, caplog: pytest.LogCaptureFixture
) -> None:
    large = 1 << 27
    timer = threading.Timer(0.05, slow.may_write.set)
    with caplog.at_level(logging.WARNING, "ptutils"):
        slow.saver.make_room(large)
        slow.saver.put(Item(1, large))
        timer.start()
        slow.saver.make_room(large)
        assert slow.written == [1]
        slow.may_write.clear()
        slow.saver.put(Item(2, large))
        threading.Timer(0.05, slow.may_write.set).start()
        slow.saver.make_room(1)
    assert slow.written == [1, 2]
    assert caplog.text.count("training waits for them") == 1


def test_fault_of_what_was_waited_for_is_raised(slow: Slow) -> None:
    slow.faults.append(ValueError("no room on the disk"))
    slow.saver.put(Item(1, 1 << 27))
    threading.Timer(0.05, slow.may_write.set).start()
    with pytest.raises(ValueError, match="no room on the disk"):
        slow.saver.make_room(1)


PROGRAM = """
import os, sys, time
from dataclasses import dataclass
from ptutils.core.records.writing.saver import Saver

@dataclass
class Item:
    size_bytes: int = 1

def write(batch):
    time.sleep(0.2)
    if sys.argv[1:] == ["fail"]:
        raise ValueError("no room on the disk")
    print("written")

Saver(write).put(Item())
if sys.argv[1:] == ["fork"] and os.fork():
    os.wait()
"""


def test_program_that_ends_writes_what_waits() -> None:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "written\n"


def test_program_that_was_forked_waits_for_no_thread_of_its_parent() -> None:
    command = [sys.executable, "-c", PROGRAM, "fork"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "written\n"


def test_fault_that_nobody_asked_for_is_told_at_the_end_of_the_program() -> None:
    command = [sys.executable, "-c", PROGRAM, "fail"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "ValueError: no room on the disk" in done.stderr


def test_thread_that_ends_leaves_what_comes_to_the_next(slow: Slow) -> None:
    slow.may_write.set()
    slow.saver._waiting.append(Item(1))  # As if another thread were to take it.
    assert slow.saver._next() is None
    assert slow.saver._waiting == [Item(1)]
    slow.saver._waiting.clear()


def test_forked_program_does_not_flush(slow: Slow) -> None:
    slow.saver.put(Item(1))
    slow.saver._end(0)
    assert slow.written == []


def test_program_that_took_something_flushes_it(slow: Slow) -> None:
    slow.may_write.set()
    slow.saver.put(Item(1))
    slow.saver._end(os.getpid())
    assert slow.written == [1]


def test_thread_that_has_nothing_to_do_ends(
    slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ptutils.core.records.writing.saver._IDLE_S", 0.01)
    slow.may_write.set()
    slow.saver.put(Item(1))
    thread = slow.saver._thread
    assert thread is not None
    thread.join(10)
    assert slow.saver._thread is None
    slow.saver.put(Item(2))
    slow.saver.flush()
    assert slow.written == [1, 2]


class Killed(BaseException):
    """Ends what it meets."""


def test_whatever_ends_the_writing_is_raised(slow: Slow) -> None:
    slow.faults.append(Killed())  # type: ignore[arg-type]
    slow.may_write.set()
    slow.saver.put(Item(1))
    with pytest.raises(Killed):
        slow.saver.flush()


def test_often_is_written_together(slow: Slow) -> None:
    slow.may_write.set()
    for number in range(20):
        slow.saver.put(Item(number))
    slow.saver.flush()
    assert slow.written == list(range(20))
