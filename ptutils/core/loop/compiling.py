"""From a tree of stages and the callbacks around it to one function.

The tree is walked once, in the order of execution, so that what each reads can be
checked against what was written before it. A trigger without callbacks costs nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from ptutils.core.loop.stage import Part, Stage, Values
from ptutils.errors import CallbackError, StopTraining, nearest
from ptutils.meta.callbacks import Callbacks
from ptutils.meta.dispatch import Handler, adapt, arrange, handlers_of

__all__ = ["Loop", "check_stages", "compile_stages", "walk"]


@dataclass(frozen=True, kw_only=True)
class Loop:
    """A compiled tree of stages.

    Attributes:
        run: The whole as one function of the values in flight.
        lasting: Names of the values that stages and callbacks write between steps:
            later ones may read them, in a resumed run too.
    """

    run: Part
    lasting: frozenset[str]


def compile_stages(
    root: Stage, name: str, registries: Iterable[Callbacks], values: Values
) -> Loop:
    """Compile a tree of stages with the callbacks of some registries.

    Args:
        root: The tree, whose stages are prepared here.
        name: What the root is called.
        registries: Whose callbacks react; the order is the order of the list.
        values: What every trigger offers.

    Raises:
        CallbackError: If a callback or stage cannot be attached as it is declared.
    """
    offered = frozenset(values)
    for _, stage in walk(root, name):
        stage.prepare(values)
    loop = check_stages(root, name, registries, offered)
    # What stages have put in flight while they got ready, they will again.
    return replace(loop, lasting=loop.lasting - values.keys())


def check_stages(
    root: Stage, name: str, registries: Iterable[Callbacks], offered: Collection[str]
) -> Loop:
    """Compile likewise, but prepare no stage: only to see whether all fits.

    Args:
        root: The tree.
        name: What the root is called.
        registries: Whose callbacks react.
        offered: The names of what every trigger offers.

    Raises:
        CallbackError: If a callback or stage cannot be attached as it is declared.
    """
    handlers = [
        handler
        for registry in registries
        for key, callback in registry.items()
        for handler in handlers_of(callback, key)
    ]
    tree = list(walk(root, name))
    _require_known_triggers(tree, handlers)
    _require_known_writes(tree, handlers, offered)
    compiler = _Compiler(handlers, set(offered))
    run = compiler.compile(root, name)
    return Loop(run=run, lasting=frozenset(compiler.lasting.difference(offered)))


def walk(stage: Stage, name: str) -> Iterator[tuple[str, Stage]]:
    """Yield a stage and all stages inside, with their names, in order of execution."""
    yield name, stage
    for key, inner in stage.stages():
        yield from walk(inner, key)


class _Compiler:
    """One walk in order of execution.

    ``offered`` grows as stages and callbacks write. ``has_begun`` is True from the
    first trigger of a step until its update is taken: whoever stops the training then
    gives the step up; at any other time what is in progress comes to its end.
    """

    def __init__(self, handlers: list[Handler], offered: set[str]) -> None:
        self.handlers = handlers
        self.offered = offered
        self.lasting: set[str] = set()
        self.depth = 0
        self.has_begun = False

    def compile(self, stage: Stage, name: str) -> Part:
        before, after = stage.triggers(name)
        is_step = "step" in stage.writes
        self.has_begun = self.has_begun or is_step
        opening = self._reactions(before)
        self._require(stage)
        self._compile_inside(stage)
        self._write(stage.writes)
        if is_step or name == "update":  # What stands in for Update, declared or not.
            self.has_begun = False
        return _joined(stage, opening, self._reactions(after))

    def _compile_inside(self, stage: Stage) -> None:
        outside = set(self.offered)
        self.offered |= set(stage.provides)
        self.depth += bool(stage.provides)
        stage.parts = tuple(self.compile(inner, name) for name, inner in stage.stages())
        if stage.provides:
            self.depth -= 1
            self.offered = outside

    def _reactions(self, triggers: Iterable[str]) -> tuple[Part, ...]:
        reactions: list[Part] = []
        for trigger in triggers:
            mine = [handler for handler in self.handlers if handler.trigger == trigger]
            for handler in arrange(trigger, mine, frozenset(self.offered)):
                self._write(handler.writes)
                react = adapt(handler)
                reactions.append(react if self.has_begun else _going_on(react))
        return tuple(reactions)

    def _write(self, names: Iterable[str]) -> None:
        self.offered |= set(names)
        if not self.depth:
            self.lasting |= set(names)

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


def _going_on(react: Part) -> Part:
    """Let a stop take effect at the next place where training can be resumed."""

    def reacting(values: Values) -> None:
        try:
            react(values)
        except StopTraining as stop:
            values["clock"].interrupt(stop.reason)

    return reacting


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
            # Counted before the call: it may take a checkpoint.
            state["reached"] = position + 3
            closing[position](values)
        state["reached"] = 0

    return joined


def _require_known_triggers(
    tree: Iterable[tuple[str, Stage]], handlers: Iterable[Handler]
) -> None:
    known = {
        trigger
        for name, stage in tree
        for triggers in stage.triggers(name)
        for trigger in triggers
    }
    for handler in handlers:
        own = getattr(handler.owner, "triggers", ())
        if handler.trigger in known or handler.trigger in own:
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


def _require_known_writes(
    tree: Iterable[tuple[str, Stage]],
    handlers: list[Handler],
    offered: Iterable[str],
) -> None:
    """Refuse what is written for nobody: it is a misspelt name."""
    known = set(offered)
    for _, stage in tree:
        known.update(stage.reads, stage.writes, stage.provides)
    for handler in handlers:
        others = {
            name for other in handlers if other is not handler for name in other.reads
        }
        for name in handler.writes:
            if name in known or name in others:
                continue
            guess = nearest(name, known | others)
            raise CallbackError(
                f"cannot attach {handler.name!r} to {handler.trigger!r}",
                expected=", ".join(sorted(known | others)),
                got=f"it writes {name!r}, which nobody reads",
                fix=f"did you mean {guess!r}?" if guess else "keep it in self.state",
            )
