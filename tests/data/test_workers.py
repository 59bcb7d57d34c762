from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import blake3
import numpy as np
import pytest
import torch

from ptutils.data import workers
from ptutils.data.loader import DataLoader
from ptutils.errors import DataError
from tests.data.samples import Faulty, loader_of, numbers, targets


@pytest.fixture(autouse=True)
def _no_worker_is_left() -> Iterator[None]:
    yield
    gc.collect()
    deadline = time.monotonic() + 10
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not multiprocessing.active_children()


class Slow:
    def __len__(self) -> int:
        return 100

    def __getitem__(self, index: int) -> int:
        time.sleep(0.02)
        return index


class Whoami:
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        return os.getpid()


def test_workers_live_from_pass_to_pass() -> None:
    loader = DataLoader(Whoami(), batch_size=2, num_workers=2)
    first, second = [{int(i) for b in loader for i in b} for _ in range(2)]
    assert first == second
    assert os.getpid() not in first


def test_a_pass_that_is_left_half_way_gives_its_workers_back() -> None:
    loader = loader_of(30, num_workers=2)
    for _ in range(3):
        next(iter(loader))
    assert targets(loader) == targets(loader.batches(0, start=3))
    assert len(multiprocessing.active_children()) == 2


def test_two_passes_at_once_do_not_mix() -> None:
    loader = loader_of(12, num_workers=2)
    pairs = zip(loader.batches(0), loader.batches(1), strict=True)
    first, second = zip(*pairs, strict=True)
    assert targets(first) == targets(loader.batches(0))
    assert targets(second) == targets(loader.batches(1))


def test_a_sample_that_fails_in_a_worker_is_named_with_its_cause() -> None:
    loader = DataLoader(Faulty(), batch_size=4, num_workers=2)
    with pytest.raises(DataError, match="cannot read sample 7 of Faulty") as caught:
        targets(loader)
    assert caught.value.got == "ValueError: bad pixel"
    assert 'raise ValueError("bad pixel")' in caught.value.__notes__[0]


def test_the_next_pass_after_a_failure_has_new_workers() -> None:
    loader = DataLoader(Faulty(), batch_size=4, num_workers=2)
    with pytest.raises(DataError, match="sample 7"):
        targets(loader)
    assert next(iter(loader.batches(indices=[1, 2]))).tolist() == [1, 2]


def kill_one_worker() -> None:
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)


def test_a_worker_that_is_killed_while_awaited_is_an_error() -> None:
    loader = DataLoader(Slow(), batch_size=10, num_workers=2)
    batches = iter(loader)
    next(batches)
    threading.Timer(0.05, kill_one_worker).start()
    with pytest.raises(DataError, match="cannot read on: a data worker died"):
        targets(batches)


def test_a_worker_that_is_killed_raises_nothing_outside_of_reading() -> None:
    batches = iter(DataLoader(Slow(), batch_size=10, num_workers=2))
    next(batches)
    kill_one_worker()
    time.sleep(0.2)  # Here the handler of SIGCHLD runs.
    with pytest.raises(DataError, match="a data worker died"):
        targets(batches)


def test_workers_leave_ctrl_c_to_the_training_process() -> None:
    loader = loader_of(30, num_workers=2)
    batches = iter(loader)
    next(batches)
    for child in multiprocessing.active_children():
        os.kill(child.pid, signal.SIGINT)
    assert len(list(batches)) == len(loader) - 1


def test_workers_start_beside_busy_threads() -> None:
    is_over = threading.Event()

    def work() -> None:
        while not is_over.is_set():
            torch.stack([torch.ones(100, 100) @ torch.ones(100, 100)] * 9).sum()
            blake3.blake3(bytes(100_000)).digest()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(5):
            assert len(targets(loader_of(9, num_workers=2))) == 3
    finally:
        is_over.set()
        thread.join()


def test_workers_that_cannot_start_are_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "_START_S", 0.5)
    is_held, is_over = threading.Event(), threading.Event()

    def draw() -> None:  # For as long as the test, by holding the lock of numpy.
        with np.random.mtrand._rand._bit_generator.lock:
            is_held.set()
            is_over.wait()

    thread = threading.Thread(target=draw)
    thread.start()
    is_held.wait()
    batches = iter(loader_of(9, num_workers=1))
    with pytest.raises(DataError, match="cannot start data workers"):
        next(batches)
    is_over.set()
    thread.join()


def test_workers_read_in_a_thread_that_is_not_the_main_one() -> None:
    answers: list[list[list[int]]] = []
    loader = loader_of(9, num_workers=1)
    thread = threading.Thread(target=lambda: answers.append(targets(loader)))
    thread.start()
    thread.join()
    assert answers == [targets(loader_of(9))]


def test_a_process_with_idle_workers_ends_at_once() -> None:
    code = (
        "from tests.data.samples import loader_of\n"
        "loader = loader_of(9, num_workers=2)\n"
        "next(iter(loader)); list(loader); rest = iter(loader); next(rest)\n"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    answer = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert (answer.returncode, answer.stderr) == (0, b"")


def test_threads_of_torch_are_left_as_they_are() -> None:
    before = torch.get_num_threads()
    targets(DataLoader(numbers(), num_workers=2))
    assert torch.get_num_threads() == before
