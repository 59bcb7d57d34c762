"""From the methods of callbacks to an ordered list of plain calls.

A handler is a method named after a trigger; its parameters are what it reads, and the
``writes`` of its callback what it may change. Per trigger, writers come before readers,
then ``after`` and ``before`` decide, then the list; triggers that close something
(``after_...``, ``end_...``) take the list backwards, so that what was set up first is
taken down last.
"""

from __future__ import annotations

import inspect
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ptutils.errors import CallbackError, nearest
from ptutils.meta.values import Value

__all__ = [
    "Handler",
    "Reaction",
    "adapt",
    "arrange",
    "handlers_of",
    "is_trigger",
    "snake",
]

Reaction: TypeAlias = Callable[[dict[str, Any]], None]
"""A handler as it is called: with all values, of which it takes what it reads."""

_ENDS = ("start_of_training_step", "end_of_training_step")


@dataclass(frozen=True, kw_only=True)
class Handler:
    """One method of one callback, with what it declares.

    Attributes:
        owner: The callback.
        name: The callback's name where it is registered.
        trigger: What it reacts to; the method's name.
        function: The method.
        reads: The names of its parameters.
        writes: What the dict that it returns may hold.
        after: Names of callbacks that come before it.
        before: Names of callbacks that come after it.
    """

    owner: object
    name: str
    trigger: str
    function: Callable[..., Any]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    after: tuple[str, ...]
    before: tuple[str, ...]

    def is_called(self, name: str) -> bool:
        """Tell whether ``name`` is the callback's name here, or that of its class."""
        return name.lower() in (self.name.lower(), type(self.owner).__name__.lower())


def is_trigger(name: str) -> bool:
    """Tell whether a method's name is that of a trigger of the training loop."""
    return name.startswith(("before_", "after_")) or name in _ENDS


def snake(name: str) -> str:
    """Return a class's name as a name of an instance.

    Example:
        >>> snake("FitBatch"), snake("HTTPProbe"), snake("NaNDetector")
        ('fit_batch', 'http_probe', 'nan_detector')
    """
    name = name.replace("NaN", "Nan")  # One word, whatever its capitals say.
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def handlers_of(callback: object, name: str) -> list[Handler]:
    """Return the handlers of a callback, in the order its class defines them.

    Raises:
        CallbackError: If it reacts to nothing, or a handler cannot be called by name.
    """
    own = tuple(getattr(callback, "triggers", ()))
    names = [
        attribute
        for attribute in _attributes(type(callback))
        if (is_trigger(attribute) or attribute in own)
        and callable(getattr(callback, attribute))
    ]
    if not names:
        raise CallbackError(
            f"cannot register {type(callback).__qualname__}",
            expected="a method named after a trigger, such as after_update",
            got="no such method",
            fix="name a method after the trigger it reacts to; list triggers of your "
            "own in the class attribute 'triggers'",
        )
    return [_handler(callback, name, trigger) for trigger in names]


def arrange(
    trigger: str, handlers: Sequence[Handler], offered: frozenset[str]
) -> list[Handler]:
    """Return the handlers of one trigger in the order in which they run.

    Args:
        trigger: The trigger they react to.
        handlers: In the order of the list.
        offered: The names of the values that the trigger offers.

    Raises:
        CallbackError: If a handler reads what is not there by then, two unordered
            handlers write one value, or the declarations form a circle.
    """
    closes = trigger.startswith(("after_", "end_"))
    listed = list(reversed(handlers)) if closes else list(handlers)
    named = _named_pairs(listed)
    _require_single_writers(listed, named)
    ordered = _sorted(trigger, listed, named | _data_pairs(listed))
    there = set(offered)
    for handler in ordered:
        _require_there(handler, there, ordered)
        there |= set(handler.writes)
    return ordered


def adapt(handler: Handler) -> Reaction:
    """Return a function that calls the handler with what it reads out of a dict."""
    function, reads = handler.function, handler.reads
    writes = frozenset(handler.writes)
    pick = _picker(reads)

    def react(values: dict[str, Value]) -> None:
        try:
            given = pick(values)
        except KeyError as error:
            raise _unwritten(handler, error.args[0]) from error
        result = function(*given)
        if result is not None:
            _assign(handler, writes, values, result)

    return react


def _picker(names: tuple[str, ...]) -> Callable[[dict[str, Value]], tuple[Value, ...]]:
    if len(names) > 1:
        return operator.itemgetter(*names)
    return lambda values: tuple(values[name] for name in names)


def _attributes(kind: type[Any]) -> Iterator[str]:
    seen: set[str] = set()
    for base in kind.__mro__[:-1]:
        for name in vars(base):
            if name not in seen:
                seen.add(name)
                yield name


def _handler(callback: object, name: str, trigger: str) -> Handler:
    function = getattr(callback, trigger)
    parameters = inspect.signature(function).parameters.values()
    for parameter in parameters:
        if parameter.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
            raise CallbackError(
                f"cannot attach {type(callback).__qualname__}.{trigger}",
                expected="plain parameters, each named after a value it reads",
                got=str(parameter),
                fix="name the values one by one",
            )
    return Handler(
        owner=callback,
        name=name,
        trigger=trigger,
        function=function,
        reads=tuple(parameter.name for parameter in parameters),
        writes=_names(callback, "writes"),
        after=_names(callback, "after"),
        before=_names(callback, "before"),
    )


def _names(callback: object, attribute: str) -> tuple[str, ...]:
    names = getattr(callback, attribute, ())
    return (names,) if isinstance(names, str) else tuple(names)


def _require_there(
    handler: Handler, there: set[str], ordered: Sequence[Handler]
) -> None:
    for name in handler.reads:
        if name in there:
            continue
        others = (other for other in ordered if other is not handler)
        late = [other.name for other in others if name in other.writes]
        guess = nearest(name, there)
        got, fix = f"a parameter {name!r}, which nobody provides there", ""
        if late:
            got = f"a parameter {name!r}, which {late[0]!r} provides too late"
            fix = f"declare after = ({late[0]!r},) in {handler.name!r}"
        elif guess:
            fix = f"did you mean {guess!r}?"
        raise CallbackError(
            f"cannot attach {handler.name!r} to {handler.trigger!r}",
            expected=", ".join(sorted(there)) or "no parameters",
            got=got,
            fix=fix or "name a value that the trigger offers",
        )


def _unwritten(handler: Handler, name: str) -> CallbackError:
    return CallbackError(
        f"cannot call {handler.name!r} at {handler.trigger!r}",
        expected=f"a value for {name!r}",
        got="none yet: who declares to write it has not returned it",
        fix=f"return {{{name!r}: ...}} there the first time already",
    )


def _named_pairs(handlers: Sequence[Handler]) -> set[tuple[int, int]]:
    """Return the index pairs (earlier, later) that ``after`` and ``before`` ask for."""
    pairs = set()
    for index, handler in enumerate(handlers):
        for other, candidate in enumerate(handlers):
            if any(candidate.is_called(name) for name in handler.after):
                pairs.add((other, index))
            if any(candidate.is_called(name) for name in handler.before):
                pairs.add((index, other))
    return pairs


def _data_pairs(handlers: Sequence[Handler]) -> set[tuple[int, int]]:
    """Return the index pairs (writer, reader)."""
    return {
        (first, second)
        for first, writer in enumerate(handlers)
        for second, reader in enumerate(handlers)
        if first != second
        and (set(writer.writes) & set(reader.reads)) - set(reader.writes)
    }


def _require_single_writers(
    handlers: Sequence[Handler], named: set[tuple[int, int]]
) -> None:
    for first, one in enumerate(handlers):
        for second in range(first + 1, len(handlers)):
            both = sorted(set(one.writes) & set(handlers[second].writes))
            ordered = {(first, second), (second, first)} & named
            if both and not ordered:
                raise CallbackError(
                    f"two callbacks write {both[0]!r} at {one.trigger!r}",
                    expected="an order between them",
                    got=f"{one.name!r} and {handlers[second].name!r}",
                    fix=f"declare after = ({one.name!r},) or before = ({one.name!r},) "
                    f"in {handlers[second].name!r}",
                )


def _sorted(
    trigger: str, handlers: Sequence[Handler], pairs: set[tuple[int, int]]
) -> list[Handler]:
    left, order = list(range(len(handlers))), []
    while left:
        free = [i for i in left if not any((j, i) in pairs for j in left)]
        if not free:
            names = ", ".join(repr(handlers[index].name) for index in left)
            raise CallbackError(
                f"the callbacks of {trigger!r} wait for each other in a circle",
                expected="an order",
                got=names,
                fix="remove one of their reads, 'after' or 'before'",
            )
        left.remove(free[0])
        order.append(handlers[free[0]])
    return order


def _assign(
    handler: Handler, writes: frozenset[str], values: dict[str, Value], result: Value
) -> None:
    if not isinstance(result, dict) or not writes.issuperset(result):
        extra = sorted(set(result) - writes) if isinstance(result, dict) else []
        raise CallbackError(
            f"cannot take what {handler.name!r} returned at {handler.trigger!r}",
            expected=f"None, or a dict of {', '.join(sorted(writes)) or 'nothing'}",
            got=", ".join(extra) or type(result).__name__,
            fix=f"declare writes = ({extra[0]!r}, ...) on the class"
            if extra
            else "return None",
        )
    values.update(result)
