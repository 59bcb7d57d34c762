"""Ids sort by time; a lease holds while its process lives and renews it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, timedelta
from pathlib import Path

import pytest

from ptutils.core.records import identity
from ptutils.core.records.identity import (
    LEASE_S,
    is_expired,
    new_lease,
    new_run_id,
    now,
)

NOBODY = 65534


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"]
    ) as process:
        yield process
        process.kill()


@contextmanager
def as_nobody() -> Iterator[None]:
    """Give up the rights of root, if this is root, while the block runs."""
    users = os.getresuid()
    if users[1] == 0:
        os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(*users)


def lease_of(pid: int) -> dict[str, object]:
    return {**new_lease("me"), "pid": pid, "born": identity._birth(pid)}


def test_ids_are_unique_and_easy_to_type() -> None:
    ids = {new_run_id() for _ in range(1000)}
    assert len(ids) > 990  # Of 2 ** 23 in one second one may repeat, by chance.
    assert {len(each) for each in ids} == {11}
    assert not set("".join(ids)) & set("ilouABCXYZ")


def test_id_of_a_later_second_sorts_later() -> None:
    assert sorted(identity._ALPHABET) == list(identity._ALPHABET)
    first, second = new_run_id(), int(time.time())
    while int(time.time()) == second:
        time.sleep(0.01)
    assert first < new_run_id()


def test_now_is_utc_in_whole_milliseconds() -> None:
    assert now().tzinfo is UTC
    assert now().microsecond % 1000 == 0


def test_new_lease_holds_for_its_time() -> None:
    lease = new_lease("me")
    assert lease["owner"] == "me"
    assert lease["pid"] == os.getpid()
    assert timedelta() < lease["expires"] - now() <= timedelta(seconds=LEASE_S)
    assert not is_expired(lease)


def test_run_without_lease_is_held_by_nobody() -> None:
    assert is_expired(None)


def test_lease_that_ran_out_is_expired() -> None:
    assert is_expired({**new_lease("me"), "expires": now() - timedelta(seconds=1)})


def test_lease_of_a_living_process_holds(sleeper: subprocess.Popen[bytes]) -> None:
    assert not is_expired(lease_of(sleeper.pid))


def test_lease_of_a_dead_process_is_expired_at_once(
    sleeper: subprocess.Popen[bytes],
) -> None:
    lease = lease_of(sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    assert is_expired(lease)


def test_lease_of_a_zombie_is_expired(sleeper: subprocess.Popen[bytes]) -> None:
    lease = lease_of(sleeper.pid)
    os.kill(sleeper.pid, signal.SIGKILL)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)  # Leaves it unburied.
    assert is_expired(lease)


def test_lease_of_a_process_whose_id_was_reused_is_expired() -> None:
    lease = new_lease("me")
    assert is_expired({**lease, "born": lease["born"] - 1})


@pytest.mark.parametrize("change", [{"host": "elsewhere"}, {"boot": "another"}])
def test_lease_of_another_machine_or_container_holds(change: dict[str, str]) -> None:
    assert not is_expired({**new_lease("me"), "born": -1, **change})


def test_process_with_a_hostile_name_has_a_birth(tmp_path: Path) -> None:
    fields = " ".join(["S", *map(str, range(4, 60))])
    (tmp_path / "7").mkdir()
    (tmp_path / "7/stat").write_bytes(b"7 (a) Z \xff) " + fields.encode())
    assert identity._birth(7, tmp_path) == 22


def test_machine_without_proc_is_told_by_process_ids_alone(tmp_path: Path) -> None:
    assert identity._boot(tmp_path) == ""
    assert identity._birth(os.getpid(), tmp_path) == os.getpid()


def test_dead_process_is_noticed_without_proc(
    sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    assert identity._birth(sleeper.pid, tmp_path) == sleeper.pid
    sleeper.kill()
    sleeper.wait()
    assert identity._birth(sleeper.pid, tmp_path) is None


def test_process_of_another_user_is_noticed_without_proc(tmp_path: Path) -> None:
    with as_nobody():
        assert identity._birth(1, tmp_path) == 1
