"""Stage: one piece of training logic, preceded and followed by its callbacks.

A tree of stages is compiled once per training: every stage becomes one function of the
values in flight, with its callbacks resolved, ordered and checked. A trigger without
callbacks costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeAlias

from ptutils.core.module import Module
from ptutils.errors import CallbackError, nearest
from ptutils.meta.callbacks import Callbacks
from ptutils.meta.dispatch import Handler, adapt, arrange, handlers_of, is_trigger
from ptutils.meta.values import Value

__all__ = ["Part", "Stage", "Unwind", "Values", "compile_stages"]

Part: TypeAlias = Callable[["Values"], None]


class Values(dict[str, Any]):
    """What is in flight during training, by name; stages and callbacks share it."""


class Unwind(Exception):  # noqa: N818 - not an error: it carries a decision upwards
    """Leave the loop where it is, so that it can be entered again at that place."""


class Stage(Module):
    """A piece of training logic that may hold stages of its own.

    Subclass it, declare what it ``reads``, what it ``provides`` to the stages inside and
    what it ``writes`` for those after it, and fill :meth:`run`. Stages inside are keyword
    arguments: one of a default's name replaces that default, None
    removes it, another name is appended::

        FitBatch(update=MyUpdate(), measure=Measure())

    Its triggers are ``before_<name>`` and ``after_<name>``, its class's name in snake
    case; ``opens`` and ``closes`` name further ones.
    """

    reads: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[tuple[str, ...]] = ()
    provides: ClassVar[tuple[str, ...]] = ()
    defaults: ClassVar[Mapping[str, Callable[[], Stage]]] = {}
    opens: ClassVar[tuple[str, ...]] = ()
    closes: ClassVar[tuple[str, ...]] = ()

    parts: tuple[Part, ...] = ()

    def __init__(self, **stages: Stage | None) -> None:
        for name, default in self.defaults.items():
            if name not in stages:
                setattr(self, name, default())
            elif stages[name] is not None:
                setattr(self, name, stages[name])
        for name, stage in stages.items():
            if name not in self.defaults:
                setattr(self, name, stage)

    def __call__(self, values: Values) -> None:
        """Run the stage; the same as :meth:`run`."""
        self.run(values)

    def run(self, values: Values) -> None:
        """Do the stage's work on the values in flight: by default, its stages' work."""
        for part in self.parts:
            part(values)

    def is_due(self, values: Values) -> bool:
        """Tell whether the stage is to run now. True by default."""
        return True

    def prepare(self, values: Values) -> None:
        """Get ready for a training that is about to start. Empty by default."""

    def stages(self) -> Iterator[Stage]:
        """Yield the stages inside, in order."""
        for value in vars(self).values():
            if isinstance(value, Stage):
                yield value

    def triggers(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names of the triggers before and after this stage."""
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()
        return (f"before_{name}", *self.opens), (*self.closes, f"after_{name}")


def compile_stages(
    root: Stage, registries: Iterable[Callbacks], values: Values
) -> Part:
    """Compile a tree of stages with the callbacks of some registries.

    Args:
        root: The tree.
        registries: Whose callbacks react; the order is the order of the list.
        values: What every trigger offers.

    Returns:
        The whole as one function of the values in flight.

    Raises:
        CallbackError: If a callback or stage cannot be attached as it is declared.
    """
    handlers = [
        handler
        for registry in registries
        for name, callback in registry.items()
        for handler in handlers_of(callback, name)
    ]
    _require_known_triggers(root, handlers)
    return _Compiler(handlers, set(values)).compile(root, values)


class _Compiler:
    """One walk in order of execution; ``offered`` grows as stages write."""

    def __init__(self, handlers: list[Handler], offered: set[str]) -> None:
        self.handlers = handlers
        self.offered = offered

    def compile(self, stage: Stage, values: Values) -> Part:
        stage.prepare(values)
        before, after = stage.triggers()
        opening = [react for trigger in before for react in self._reactions(trigger)]
        self._require(stage)
        self.offered |= set(stage.provides)
        stage.parts = tuple(self.compile(inner, values) for inner in stage.stages())
        self.offered |= set(stage.writes)
        closing = [react for trigger in after for react in self._reactions(trigger)]
        return _joined(stage, tuple(opening), tuple(closing))

    def _reactions(self, trigger: str) -> list[Part]:
        mine = [handler for handler in self.handlers if handler.trigger == trigger]
        ordered = arrange(trigger, mine, frozenset(self.offered))
        for handler in ordered:
            self.offered |= set(handler.writes)
        return [adapt(handler) for handler in ordered]

    def _require(self, stage: Stage) -> None:
        for name in stage.reads:
            if name not in self.offered:
                guess = nearest(name, self.offered)
                raise CallbackError(
                    f"cannot run the stage {type(stage).__qualname__}",
                    expected=", ".join(sorted(self.offered)),
                    got=f"it reads {name!r}, which nobody provides before it",
                    fix=f"did you mean {guess!r}?"
                    if guess
                    else "put the stage after the one that writes it",
                )


def _joined(stage: Stage, opening: tuple[Part, ...], closing: tuple[Part, ...]) -> Part:
    """Return the stage as one function: as short as its callbacks allow."""
    run: Part = stage.run
    if "reached" in stage.state:
        return _resumable(stage, opening, closing)
    is_gated = type(stage).is_due is not Stage.is_due
    if not (opening or closing or is_gated):
        return run

    def joined(values: Values) -> None:
        if is_gated and not stage.is_due(values):
            return
        for react in opening:
            react(values)
        run(values)
        for react in closing:
            react(values)

    return joined


def _resumable(
    stage: Stage, opening: tuple[Part, ...], closing: tuple[Part, ...]
) -> Part:
    """Join a stage that a checkpoint may be taken inside of.

    ``state.reached`` tells how far it got, so that a resumed run neither repeats nor
    skips what surrounds it: 0 outside, 1 once it was entered, then one more for the end
    of its body and for each callback called after it.
    """
    run: Part = stage.run

    def joined(values: Values) -> None:
        state = stage.state
        if state["reached"] == 0:
            if not stage.is_due(values):
                return
            for react in opening:
                react(values)
            state["reached"] = 1
        if state["reached"] == 1:
            run(values)
            state["reached"] = 2
        for position in range(state["reached"] - 2, len(closing)):
            # Counted before the call: one that stops the training has had its say.
            state["reached"] = position + 3
            closing[position](values)
        state["reached"] = 0

    return joined


def _require_known_triggers(root: Stage, handlers: Iterable[Handler]) -> None:
    known = {
        trigger
        for _, stage in root.named_modules()
        if isinstance(stage, Stage)
        for triggers in stage.triggers()
        for trigger in triggers
    }
    for handler in handlers:
        if is_trigger(handler.trigger) and handler.trigger not in known:
            owner = getattr(handler.function, "__self__", None)
            if handler.trigger in getattr(owner, "triggers", ()):
                continue
            guess = nearest(handler.trigger, known)
            raise CallbackError(
                f"cannot attach {handler.name!r}",
                expected=", ".join(sorted(known)),
                got=f"a handler of {handler.trigger!r}, which no stage raises",
                fix=f"did you mean {guess!r}?"
                if guess
                else "list triggers of your own in the class attribute 'triggers'",
            )
