"""Signals ask for an orderly end, once; then the program goes on as before."""

from __future__ import annotations

import signal
import threading

import pytest

from ptutils.core.signals import Signals, listening


def test_nothing_is_raised_when_no_signal_came() -> None:
    reasons: list[str] = []
    with listening(reasons.append) as signals:
        signals.raise_if_any()
    assert reasons == []
    assert signals.received is None


def test_interrupt_gives_a_reason_and_is_raised_when_all_is_saved() -> None:
    reasons: list[str] = []
    with listening(reasons.append) as signals:
        signal.raise_signal(signal.SIGINT)
    assert reasons == ["interrupted by Ctrl-C"]
    with pytest.raises(KeyboardInterrupt, match="interrupted by Ctrl-C"):
        signals.raise_if_any()


def test_termination_ends_with_the_code_of_the_signal() -> None:
    reasons: list[str] = []
    with listening(reasons.append) as signals:
        signal.raise_signal(signal.SIGTERM)
    assert reasons == ["terminated by SIGTERM"]
    with pytest.raises(SystemExit) as stopped:
        signals.raise_if_any()
    assert stopped.value.code == 143


def test_second_interrupt_is_raised_at_once() -> None:
    reasons: list[str] = []
    with listening(reasons.append):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt, match="interrupted twice by Ctrl-C"):
            signal.raise_signal(signal.SIGINT)
    assert reasons == ["interrupted by Ctrl-C"]


def test_termination_after_an_interrupt_is_another_signal() -> None:
    reasons: list[str] = []
    with listening(reasons.append) as signals:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert signals.received is signal.SIGTERM
    assert len(reasons) == 2


def test_handlers_of_before_come_back_also_after_an_error() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), listening(print):
        raise ZeroDivisionError
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_other_threads_change_no_handler() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen: list[object] = []

    def listen() -> None:
        with listening(print) as signals:
            seen.extend([signal.getsignal(signal.SIGINT), type(signals)])

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert seen == [before, Signals]
