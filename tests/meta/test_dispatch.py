"""Handlers are found, checked and ordered by what they declare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ptutils.errors import CallbackError
from ptutils.meta.dispatch import Handler, adapt, arrange, handlers_of, snake


def handler(
    function: Callable[..., Any], name: str = "mine", **declared: Any
) -> Handler:
    """Make a handler of a function; ``declared`` are its callback's attributes."""
    trigger = declared.pop("trigger", "before_fit")
    kind = type(name.title(), (), {trigger: staticmethod(function), **declared})
    (made,) = handlers_of(kind(), name)
    return made


def order(*handlers: Handler, trigger: str = "before_fit", offered: str = "") -> str:
    arranged = arrange(trigger, handlers, frozenset(offered.split()))
    return " ".join(one.name for one in arranged)


def test_methods_named_after_triggers_are_handlers() -> None:
    class Two:
        def after_update(self) -> None: ...
        def helper(self) -> None: ...
        def end_of_training_step(self, step: int) -> None: ...

    found = handlers_of(Two(), "two")

    assert [(one.trigger, one.reads) for one in found] == [
        ("after_update", ()),
        ("end_of_training_step", ("step",)),
    ]


def test_inherited_handlers_count_once() -> None:
    class Base:
        def after_update(self) -> str:
            return "base"

    class Derived(Base):
        def after_update(self) -> str:
            return "derived"

    (found,) = handlers_of(Derived(), "derived")
    assert found.function() == "derived"


def test_own_triggers_are_handled_by_methods_of_any_name() -> None:
    class Own:
        triggers = ("rewind",)

        def rewind(self) -> None: ...

    (found,) = handlers_of(Own(), "own")
    assert found.trigger == "rewind"


def test_declarations_may_be_single_names() -> None:
    made = handler(lambda: None, writes="loss", after="a", before="b")
    assert (made.writes, made.after, made.before) == (("loss",), ("a",), ("b",))


def test_callback_that_reacts_to_nothing_is_refused() -> None:
    with pytest.raises(CallbackError, match="cannot register object") as caught:
        handlers_of(object(), "none")
    assert "a method named after a trigger" in str(caught.value)


@pytest.mark.parametrize(
    ("function", "parameter"),
    [
        (lambda *args: None, r"\*args"),
        (lambda **kwargs: None, r"\*\*kwargs"),
        (lambda *, step: None, "step"),
        (lambda step, /: None, "step"),
    ],
)
def test_handler_without_plain_parameters_is_refused(
    function: Callable[..., Any], parameter: str
) -> None:
    with pytest.raises(CallbackError, match=rf"Mine.before_fit\n.*\n.*{parameter}"):
        handler(function)


def test_handlers_run_in_the_order_of_the_list() -> None:
    one, two = handler(lambda: None, "one"), handler(lambda: None, "two")
    assert order(one, two) == "one two"


@pytest.mark.parametrize("trigger", ["after_fit", "end_of_training_step"])
def test_what_was_set_up_first_is_taken_down_last(trigger: str) -> None:
    one, two = handler(lambda: None, "one"), handler(lambda: None, "two")
    assert order(one, two, trigger=trigger) == "two one"


@pytest.mark.parametrize("trigger", ["before_fit", "after_fit"])
def test_writers_come_before_readers(trigger: str) -> None:
    reader = handler(lambda loss: None, "reader")
    writer = handler(lambda loss: None, "writer", writes=("loss",))
    assert order(reader, writer, trigger=trigger, offered="loss") == "writer reader"
    assert order(writer, reader, trigger=trigger, offered="loss") == "writer reader"


def test_names_order_what_the_values_leave_open() -> None:
    one = handler(lambda: None, "one", after=("three",))
    two = handler(lambda: None, "two")
    three = handler(lambda: None, "three", before=("TWO",))
    assert order(one, two, three) == "three one two"


def test_names_of_classes_count_in_any_case() -> None:
    one = handler(lambda: None, "first", after=("SECOND",))
    two = handler(lambda: None, "second")
    assert order(one, two) == "second first"


def test_names_of_callbacks_that_are_not_there_are_passed_over() -> None:
    one = handler(lambda: None, "one", after=("absent",), before=("absent",))
    assert order(one) == "one"


def test_reading_an_unknown_value_names_the_nearest() -> None:
    with pytest.raises(CallbackError, match="cannot attach 'mine' to") as caught:
        order(handler(lambda los: None), offered="loss step")
    assert "a parameter 'los', which nobody provides there" in str(caught.value)
    assert "expected: loss, step" in str(caught.value)
    assert "did you mean 'loss'?" in str(caught.value)


def test_reading_an_unknown_value_like_no_other_says_what_to_do() -> None:
    with pytest.raises(CallbackError, match="name a value that the trigger offers"):
        order(handler(lambda los: None))


def test_reader_of_its_own_writes_needs_somebody_to_provide_them() -> None:
    with pytest.raises(CallbackError, match="'noise', which nobody provides there"):
        order(handler(lambda noise: None, writes=("noise",)))


def test_reader_that_is_put_before_the_writer_is_refused() -> None:
    change = handler(lambda noise: None, "change", writes=("noise",), before=("make",))
    make = handler(lambda: None, "make", writes=("noise",))
    with pytest.raises(CallbackError, match="'make' provides too late") as caught:
        order(change, make)
    assert "declare after = ('make',) in 'change'" in str(caught.value)


def test_unordered_writers_of_one_value_are_refused_with_both_names() -> None:
    one = handler(lambda: None, "one", writes=("loss",))
    two = handler(lambda: None, "two", writes=("loss",))
    with pytest.raises(CallbackError, match="two callbacks write 'loss'") as caught:
        order(one, two)
    assert "'one' and 'two'" in str(caught.value)


def test_ordered_writers_of_one_value_run_in_that_order() -> None:
    one = handler(lambda loss: None, "one", writes=("loss",), after=("two",))
    two = handler(lambda loss: None, "two", writes=("loss",))
    assert order(one, two, offered="loss") == "two one"


def test_circle_is_refused_with_all_names() -> None:
    one = handler(lambda a: None, "one", writes=("b",))
    two = handler(lambda b: None, "two", writes=("a",))
    free = handler(lambda: None, "free")
    with pytest.raises(CallbackError, match="wait for each other") as caught:
        order(one, two, free)
    assert "'one', 'two'" in str(caught.value)
    assert "free" not in str(caught.value)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda: {"got": ()}, ()),
        (lambda a: {"got": (a,)}, (1,)),
        (lambda c, a: {"got": (c, a)}, (3, 1)),
    ],
)
def test_adapted_handler_gets_what_it_reads_and_writes_what_it_returns(
    function: Callable[..., Any], expected: tuple[int, ...]
) -> None:
    values = {"a": 1, "b": 2, "c": 3}
    adapt(handler(function, writes=("got",)))(values)
    assert values["got"] == expected


def test_handler_that_returns_nothing_writes_nothing() -> None:
    values = {"a": 1}
    adapt(handler(lambda a: None, writes=("a",)))(values)
    assert values == {"a": 1}


def test_undeclared_return_is_refused_by_name() -> None:
    react = adapt(handler(lambda: {"loss": 1, "los": 2}, writes=("loss",)))
    with pytest.raises(CallbackError, match="cannot take what 'mine'") as caught:
        react({})
    assert "None, or a dict of loss" in str(caught.value)
    assert "got:      los\n" in str(caught.value)


def test_return_of_another_type_is_refused() -> None:
    react = adapt(handler(lambda: 3))
    with pytest.raises(CallbackError, match="a dict of nothing") as caught:
        react({})
    assert "got:      int\n  fix:      return None" in str(caught.value)


def test_value_that_was_declared_but_not_written_is_named() -> None:
    react = adapt(handler(lambda noise, step: None))
    with pytest.raises(CallbackError, match="cannot call 'mine'") as caught:
        react({"step": 1})
    assert "a value for 'noise'" in str(caught.value)


def test_error_inside_a_handler_is_its_own() -> None:
    def fail(step: int) -> None:
        raise KeyError("step")

    with pytest.raises(KeyError):
        adapt(handler(fail))({"step": 1})


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Epoch", "epoch"), ("FitBatch", "fit_batch"), ("EMA", "ema"), ("A2C", "a2_c")],
)
def test_names_of_classes_become_names_of_instances(name: str, expected: str) -> None:
    assert snake(name) == expected
