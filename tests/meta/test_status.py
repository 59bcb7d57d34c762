"""A run's phase changes in legal ways only, and is written down in plain values."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptutils.errors import StateMismatchError, StatusError
from ptutils.meta.status import Origin, Phase, Status

_LEGAL = {
    "created": {"running", "failed", "interrupted"},
    "running": {"paused", "completed", "failed", "interrupted", "lost"},
    "paused": {"running", "failed", "interrupted", "lost"},
    "completed": {"running"},
    "failed": {"running"},
    "interrupted": {"running"},
    "lost": {"running"},
}
_WAYS = list(product(_LEGAL, _LEGAL))


def _in(phase: str) -> Status:
    status = Status()
    status.load_state_dict({**status.state_dict(), "phase": phase})
    return status


def _failed() -> Status:
    status = _in("running")
    try:
        raise ValueError("loss is NaN")
    except ValueError as error:
        status.to("failed", "an exception", exception=error)
    return status


@pytest.mark.parametrize(
    ("old", "new"), [(old, new) for old, new in _WAYS if new in _LEGAL[old]]
)
def test_legal_change_is_made(old: str, new: str) -> None:
    status = _in(old)
    status.to(new)
    assert status() is status.check() is status.phase is Phase(new)


@pytest.mark.parametrize(
    ("old", "new"), [(old, new) for old, new in _WAYS if new not in _LEGAL[old]]
)
def test_illegal_change_is_refused_and_changes_nothing(old: str, new: str) -> None:
    status = _in(old)
    before = status.state_dict()
    with pytest.raises(StatusError, match=f"from {old} to {new}"):
        status.to(new)
    assert status.state_dict() == before


def test_refusal_names_the_legal_changes() -> None:
    with pytest.raises(StatusError, match="running or failed or interrupted"):
        Status().to("completed")


def test_misspelt_phase_is_refused_with_the_nearest() -> None:
    with pytest.raises(StatusError, match=r"phase of a run(?s:.*)mean 'completed'"):
        Status().to("complete")


def test_unknown_phase_is_refused() -> None:
    with pytest.raises(StatusError, match="expected: created, running"):
        Status().to("on fire")


def test_running_notes_where_and_since_when() -> None:
    status = Status()
    status.to("running")
    assert status.pid == os.getpid()
    assert status.host
    assert status.started == status.heartbeat
    assert status.ended is None


def test_times_are_utc_with_whole_milliseconds() -> None:
    status = Status()
    status.to("running")
    assert status.started is not None
    assert status.started.tzinfo is UTC
    assert status.started.microsecond % 1000 == 0


def test_ending_notes_when_and_why() -> None:
    status = _in("running")
    status.to("completed", "all epochs done")
    assert status.ended == status.heartbeat is not None
    assert (status.reason, status.eta_s) == ("all epochs done", None)


def test_pausing_is_no_end() -> None:
    status = _in("running")
    status.to("paused")
    assert status.ended is None


def test_resumed_run_keeps_its_first_start_and_forgets_its_failure() -> None:
    status = _failed()
    status.started = first = datetime(2024, 1, 1, tzinfo=UTC)
    status.to("running")
    assert status.started == first
    assert (status.ended, status.reason, status.exception) == (None, "", None)


def test_exception_is_kept_with_message_and_traceback() -> None:
    exception = _failed().exception
    assert exception is not None
    assert (exception["type"], exception["message"]) == ("ValueError", "loss is NaN")
    assert 'raise ValueError("loss is NaN")' in exception["traceback"]


def test_exception_text_that_no_database_stores_is_written_out() -> None:
    status = _in("running")
    status.to("failed", exception=ValueError("a\0b\ud800"))
    assert status.exception is not None
    assert status.exception["message"] == "a\\x00b\\ud800"


def test_heartbeat_says_that_the_run_lives() -> None:
    status = Status()
    status.beat()
    assert status.heartbeat is not None


def test_end_is_estimated_from_the_speed_since_the_start() -> None:
    status = Status()
    status.to("running")
    status.advance(step=30, epoch=1, fraction=0.5)
    assert status.progress == {"step": 30, "epoch": 1, "fraction": 0.5}
    assert status.eta_s is not None
    assert 0 <= status.eta_s < 60


def test_estimate_of_a_resumed_run_ignores_what_was_done_before() -> None:
    status = _in("interrupted")
    status.advance(step=99, epoch=1, fraction=0.99)
    status.to("running")
    status.advance(step=99, epoch=1, fraction=0.99)
    assert status.eta_s is None


@pytest.mark.parametrize("fraction", [None, 0.5])
def test_without_a_start_or_a_fraction_there_is_no_estimate(
    fraction: float | None,
) -> None:
    status = Status()
    if fraction is None:
        status.to("running")
    status.advance(step=1, epoch=0, fraction=fraction)
    assert status.eta_s is None


_TIMES = st.datetimes(datetime(1970, 1, 1), timezones=st.just(UTC)).map(
    lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000)
)
_STATES = st.fixed_dictionaries(
    {
        "phase": st.sampled_from([phase.value for phase in Phase]),
        "origin": st.sampled_from([origin.value for origin in Origin]),
        "progress": st.fixed_dictionaries(
            {
                "step": st.integers(0, 10**9),
                "epoch": st.integers(0),
                "fraction": st.none(),
            }
        ),
        "eta_s": st.none() | st.floats(0, 1e9),
        "host": st.text(),
        "pid": st.integers(0, 2**31),
        "started": st.none() | _TIMES,
        "ended": st.none() | _TIMES,
        "heartbeat": st.none() | _TIMES,
        "reason": st.text(),
        "exception": st.none() | st.just({"type": "E", "message": "", "traceback": ""}),
    }
)


@given(_STATES)
def test_state_of_a_status_loads_into_an_equal_one(state: dict[str, Any]) -> None:
    status = Status()
    status.load_state_dict(state)
    assert status.state_dict() == state


def test_state_holds_plain_values_only() -> None:
    state = _failed().state_dict()
    kinds = {type(value) for value in state.values()}
    assert kinds <= {str, int, float, dict, datetime, type(None)}


def test_state_is_a_copy() -> None:
    status = Status()
    status.state_dict()["progress"]["step"] = 7
    assert status.progress["step"] == 0


def test_origin_is_loaded_as_an_origin() -> None:
    status = Status()
    status.load_state_dict({**status.state_dict(), "origin": "branched"})
    assert status.origin is Origin.BRANCHED


@pytest.mark.parametrize("change", [{"phse": "running"}, {}])
def test_state_with_other_names_is_refused(change: dict[str, Any]) -> None:
    state = {**Status().state_dict(), **change}
    if not change:
        del state["phase"]
    with pytest.raises(StateMismatchError, match="cannot load a status"):
        Status().load_state_dict(state)


def test_state_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(StateMismatchError, match=r"got:      list"):
        Status().load_state_dict([1, 2])  # type: ignore[arg-type]


def test_state_with_an_unknown_origin_is_refused_and_changes_nothing() -> None:
    status = Status()
    before = status.state_dict()
    with pytest.raises(StatusError, match="origin of a run"):
        status.load_state_dict({**before, "origin": "stolen", "pid": 7})
    assert status.state_dict() == before


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_status_saved_to_a_file_loads_equal(tmp_path: Any, suffix: str) -> None:
    status = _failed()
    path = status.save(tmp_path / f"status{suffix}")
    assert Status.load(path).state_dict() == status.state_dict()


def test_status_says_where_the_run_is() -> None:
    status = Status()
    status.advance(step=3, epoch=1)
    assert repr(status) == "Status(created, step=3, epoch=1)"
