"""Worker processes that read batches ahead, kept from pass to pass.

Workers are forked where the system can: they start in milliseconds, share the
dataset's memory and need no importable main module. A fork inherits locks that other
threads hold. A worker runs nothing but torch's reading loop and the dataset: it takes
no lock of ours, never finalizes what it inherited, and leaves without exit handlers;
but it seeds the global streams of torch and numpy, which have locks. So no thread of
ours draws from them, and where a thread of the user's does, a crew that cannot start is
an error instead of a hang. Randomness comes with each task, so workers hold no state,
and any number of them gives the same batches.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import multiprocessing
import signal
import threading
import warnings
import weakref
from collections.abc import Iterable, Iterator
from multiprocessing import util
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Semaphore
from types import FrameType
from typing import TypeAlias

import torch
from torch.utils.data import DataLoader as TorchLoader

from ptutils.data.batching import BatchReader, Task
from ptutils.errors import DataError
from ptutils.meta.values import Value

__all__ = ["Workers"]

Flag: TypeAlias = "Synchronized[bool]"
_CONTEXT = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
_START_S = 60.0


class Workers:
    """Run passes in ``num_workers`` processes, at least one.

    A pass takes an idle crew of workers or starts one, and gives it back at its end,
    also when it is abandoned half way; a crew that failed is dropped.

    Args:
        reader: What the workers read with; they see it as it is when they start.
        num_workers: How many processes a crew has.
    """

    def __init__(self, reader: BatchReader, num_workers: int) -> None:
        self._reader = reader
        self._num_workers = num_workers
        self._idle: list[_Crew] = []

    def run(self, tasks: Iterable[Task]) -> Iterator[Value]:
        """Yield the batch of each task, in order.

        Raises:
            DataError: If a sample cannot be read, or a worker died.
        """
        crew = (
            self._idle.pop() if self._idle else _Crew(self._reader, self._num_workers)
        )
        try:
            for batch in crew.start(tasks):
                if type(batch) is DataError:
                    raise batch
                yield batch
        except GeneratorExit:
            self._idle.append(crew)
            raise
        except DataError:
            del crew  # Nobody else refers to it: its workers end here.
            raise
        except RuntimeError as error:
            del crew
            # The frames of its traceback would keep the other workers alive.
            raise _lost(error) from error.with_traceback(None)
        self._idle.append(crew)


class _Tasks:
    """The batch sampler that torch iterates; holds the tasks of the present pass."""

    tasks: Iterable[Task] = ()

    def __iter__(self) -> Iterator[Task]:
        return iter(self.tasks)


class _Crew:
    """One torch loader with persistent workers, and a generator of its own.

    Without that generator torch would draw each pass's seed from the global stream.
    """

    def __init__(self, reader: BatchReader, num_workers: int) -> None:
        self._is_started = False
        self._num_workers = num_workers
        context = multiprocessing.get_context(_CONTEXT)
        self._ready = context.Semaphore(0)
        self._leaving = context.Value(ctypes.c_bool, False)
        weakref.finalize(self, _let_go, self._leaving)
        # In a process that multiprocessing started, too, where no atexit function runs:
        # its finalizers come before it ends the workers and waits for them.
        util.Finalize(None, _let_go, (self._leaving,), exitpriority=0)
        self._tasks = _Tasks()
        self._loader: TorchLoader[Value] = TorchLoader(
            reader,  # type: ignore[arg-type]  # torch calls __getitems__ alone
            batch_sampler=self._tasks,  # type: ignore[arg-type]
            collate_fn=_as_it_is,
            num_workers=num_workers,
            worker_init_fn=functools.partial(_settle, self._ready, self._leaving),
            multiprocessing_context=_CONTEXT,
            generator=torch.Generator(),
            persistent_workers=True,
        )

    def start(self, tasks: Iterable[Task]) -> Iterator[Value]:
        self._tasks.tasks = tasks
        if self._is_started:
            return iter(self._loader)
        self._is_started = True
        iterator = _fork(self._loader)
        for _ in range(self._num_workers):
            if not self._ready.acquire(timeout=_START_S):
                raise _stuck()
        return iterator


def _fork(loader: TorchLoader[Value]) -> Iterator[Value]:
    # Workers inherit the mask and so leave Ctrl-C to the training process for good.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with warnings.catch_warnings():
            # Why forking beside threads is safe here is said at the top.
            warnings.filterwarnings(
                "ignore", ".* is multi-threaded", DeprecationWarning
            )
            iterator = iter(loader)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    _guard_child_signal()
    return iterator


def _as_it_is(batch: Value) -> Value:
    return batch


def _settle(ready: Semaphore, leaving: Flag, worker: int) -> None:
    gc.freeze()  # What was inherited is the training process's to finalize.
    signal.signal(signal.SIGTERM, functools.partial(_outlive, leaving))
    ready.release()


def _outlive(leaving: Flag, number: int, frame: FrameType | None) -> None:
    """Ignore SIGTERM, which a cluster sends to all processes, until the crew is let go.

    The training process then finishes its step, for which it may need a batch.
    """
    if leaving.value:
        raise SystemExit


def _let_go(leaving: Flag) -> None:
    leaving.value = True


def _guard_child_signal() -> None:
    """Let torch report a dead worker only while somebody waits for a batch.

    Its handler of SIGCHLD raises wherever the main thread happens to be, even in the
    middle of writing a checkpoint.
    """
    if threading.current_thread() is threading.main_thread():
        handler = signal.getsignal(signal.SIGCHLD)
        if callable(handler) and not isinstance(handler, _WhileWaiting):
            signal.signal(signal.SIGCHLD, _WhileWaiting(handler))


class _WhileWaiting:
    """Call a signal handler only if :meth:`Workers.run` is running."""

    def __init__(self, handler: Value) -> None:
        self._handler = handler

    def __call__(self, number: int, frame: FrameType | None) -> None:
        while frame is not None:
            if frame.f_code is Workers.run.__code__:
                self._handler(number, frame)
                return
            frame = frame.f_back


def _lost(error: RuntimeError) -> DataError:
    return DataError(
        "cannot read on: a data worker died",
        expected="workers that live until the end",
        got=str(error),
        fix="look for a lack of memory or a crash in native code; num_workers=0 reads "
        "in the training process and shows where",
    )


def _stuck() -> DataError:
    return DataError(
        "cannot start data workers",
        expected=f"all of them ready within {_START_S:g} s",
        got="a worker that waits, probably for a lock that a thread held at the fork",
        fix="let no other thread draw from the global streams of torch or numpy while "
        "a loop over a loader begins, or use num_workers=0",
    )
