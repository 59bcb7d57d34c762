"""Callbacks are registered, found, replaced and called."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from ptutils.errors import CallbackError
from ptutils.meta.callbacks import Callbacks


class Shout:
    """Notes what it was called with; has no state."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    def after_update(self, step: int) -> None:
        self.heard.append(step)


class Double:
    """Changes a value."""

    writes = ("step",)

    def after_update(self, step: int) -> dict[str, int]:
        return {"step": 2 * step}


class Counter:
    """Has state."""

    triggers = ("rewind",)

    def __init__(self) -> None:
        self.count = 0

    def rewind(self) -> None:
        self.count += 1

    def state_dict(self) -> dict[str, int]:
        return {"count": self.count} if self.count else {}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.count = state["count"]


def registry(*callbacks: Any) -> Callbacks:
    made = Callbacks()
    for callback in callbacks:
        made.register(callback)
    return made


def test_registered_callback_is_returned_and_found_by_name() -> None:
    callbacks, shout = Callbacks(), Shout()
    assert callbacks.register(shout) is shout
    assert callbacks["shout"] is shout


@pytest.mark.parametrize("name", ["counter", "Counter", "COUNTER"])
def test_callback_is_found_by_its_class_in_any_case(name: str) -> None:
    callbacks, counter = Callbacks(), Counter()
    callbacks.register(counter, name="mine")
    assert callbacks[name] is counter


def test_name_comes_before_the_names_of_classes() -> None:
    callbacks, counter, shout = Callbacks(), Counter(), Shout()
    callbacks.register(counter)
    callbacks.register(shout, name="Counter")
    assert callbacks["Counter"] is shout


def test_second_callback_of_a_class_has_a_number() -> None:
    callbacks = registry(Shout(), Shout(), Shout())
    assert list(callbacks.keys()) == ["shout", "shout_2", "shout_3"]


def test_taken_name_is_refused() -> None:
    callbacks = registry(Shout())
    with pytest.raises(CallbackError, match="cannot register Counter as 'shout'"):
        callbacks.register(Counter(), name="shout")


def test_callback_that_is_here_already_is_refused() -> None:
    callbacks, shout = Callbacks(), Shout()
    callbacks.register(shout)
    with pytest.raises(CallbackError, match="a callback that is not here yet"):
        callbacks.register(shout)


def test_what_reacts_to_nothing_is_not_kept() -> None:
    callbacks = Callbacks()
    with pytest.raises(CallbackError, match="cannot register object"):
        callbacks.register(object())
    assert len(callbacks) == 0


@pytest.mark.parametrize("by_name", [True, False])
def test_unregistered_callback_is_returned_and_not_called(by_name: bool) -> None:
    callbacks, shout = Callbacks(), Shout()
    callbacks.register(shout)
    assert callbacks.unregister("Shout" if by_name else shout) is shout
    callbacks("after_update", step=1)
    assert shout.heard == []


def test_replaced_callback_keeps_name_and_place() -> None:
    old, new = Shout(), Shout()
    callbacks = registry(old, Counter())
    assert callbacks.replace("shout", new) is old
    assert next(iter(callbacks.items())) == ("shout", new)
    assert list(callbacks) == list(callbacks.values())


def test_replacing_by_what_reacts_to_nothing_changes_nothing() -> None:
    callbacks, shout = Callbacks(), Shout()
    callbacks.register(shout)
    with pytest.raises(CallbackError, match="cannot register object"):
        callbacks.replace(shout, object())
    assert callbacks["shout"] is shout


def test_unknown_callback_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(CallbackError, match="no callback 'shut'") as caught:
        registry(Shout()).unregister("shut")
    assert "did you mean 'shout'?" in str(caught.value)


def test_unknown_callback_in_an_empty_registry_is_refused() -> None:
    with pytest.raises(CallbackError, match="none is registered"):
        Callbacks().unregister(Shout())


def test_call_gives_handlers_what_they_read() -> None:
    callbacks, shout = Callbacks(), Shout()
    callbacks.register(shout)
    callbacks.call("after_update", step=3, epoch=1)
    assert shout.heard == [3]


def test_call_returns_what_was_written() -> None:
    assert registry(Double()).call("after_update", step=3) == {"step": 6}


def test_call_again_takes_the_same_way() -> None:
    callbacks, shout = Callbacks(), Shout()
    callbacks.register(shout)
    for step in (1, 2):
        callbacks.call("after_update", step=step)
    assert shout.heard == [1, 2]


def test_call_with_other_values_is_checked_again() -> None:
    callbacks = registry(Shout())
    callbacks.call("after_update", step=1)
    with pytest.raises(CallbackError, match="a parameter 'step'"):
        callbacks.call("after_update", epoch=1)


def test_callback_registered_after_a_call_is_called_next_time() -> None:
    callbacks, shout = Callbacks(), Shout()
    callbacks.call("after_update", step=1)
    callbacks.register(shout)
    callbacks.call("after_update", step=2)
    assert shout.heard == [2]


def test_trigger_without_handlers_calls_nothing() -> None:
    assert registry(Shout())("before_fit", step=1) == {"step": 1}


def test_triggers_are_attributes() -> None:
    callbacks = registry(Shout(), Counter())
    assert callbacks.triggers() == ["after_update", "rewind"]
    assert (callbacks.AFTER_UPDATE, callbacks.REWIND) == ("after_update", "rewind")


@pytest.mark.parametrize("name", ["BEFORE_FIT", "after_update"])
def test_other_attributes_name_the_triggers(name: str) -> None:
    with pytest.raises(AttributeError, match="triggers: after_update"):
        getattr(registry(Shout()), name)


def test_attribute_of_an_empty_registry_is_missing() -> None:
    with pytest.raises(AttributeError, match="triggers: none"):
        _ = Callbacks().REWIND


def test_copy_has_copies_of_the_callbacks() -> None:
    callbacks, shout = Callbacks(), Shout()
    callbacks.register(shout)
    copied = copy.deepcopy(callbacks)
    copied("after_update", step=1)
    assert (copied["shout"].heard, shout.heard) == ([1], [])


def test_membership_is_by_name_or_identity() -> None:
    shout = Shout()
    callbacks = registry(shout)
    assert shout in callbacks
    assert "shout" in callbacks
    assert Shout() not in callbacks


def test_repr_lists_the_names() -> None:
    assert repr(registry(Shout(), Counter())) == "Callbacks(shout, counter)"


def test_state_holds_what_has_some() -> None:
    counter, idle = Counter(), Counter()
    counter.rewind()
    assert registry(Shout(), counter, idle).state_dict() == {"counter": {"count": 1}}


def test_state_is_loaded_by_name(tmp_path: Path) -> None:
    counter = Counter()
    counter.rewind()
    path = registry(counter).save(tmp_path / "callbacks.yaml")

    loaded = registry(Shout(), Counter())
    assert loaded.load(path) is loaded
    assert loaded["counter"].count == 1


def test_state_of_an_unknown_callback_is_refused() -> None:
    with pytest.raises(CallbackError, match="no callback 'counter'"):
        registry(Shout()).load_state_dict({"counter": {"count": 1}})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Shout, r"got: +class Shout\n +fix: +Shout\(\)"),
        ("NaNDetector", r"got: +'NaNDetector'\n.*register_callback\('NaNDetector'\)"),
    ],
)
def test_callback_that_is_not_made_yet_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(CallbackError, match=message):
        Callbacks().register(wrong)


def test_replacing_by_a_class_is_refused() -> None:
    callbacks = registry(Shout())
    with pytest.raises(CallbackError, match="class Double"):
        callbacks.replace("shout", Double)
