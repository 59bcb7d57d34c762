"""Stage: one piece of training logic, preceded and followed by its callbacks.

A tree of stages is compiled once per training (:mod:`ptutils.core.loop.compiling`):
every stage becomes one function of the values in flight, with its callbacks resolved,
ordered and checked.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, TypeAlias

from ptutils.core.module import Module
from ptutils.errors import ConfigError, nearest

__all__ = ["Part", "Stage", "Unwind", "Values"]

Part: TypeAlias = Callable[["Values"], None]
"""A compiled stage, or one of its reactions."""


class Values(dict[str, Any]):
    """What is in flight during training, by name; stages and callbacks share it.

    A class of its own, so that who keeps one does not have its content for children.
    """


class Unwind(Exception):  # noqa: N818 - not an error: it carries a decision upwards
    """Leave the loop where it is, so that it can be entered again at that place."""


class Stage(Module, abc.ABC):
    """A piece of training logic that may hold stages of its own.

    Subclass it, declare what it ``reads``, what it ``provides`` to the stages inside
    and what it ``writes`` for those after it, and fill :meth:`run`. What comes into
    being inside a stage that provides something (batches, say) ends with it, but for
    its own ``writes``. Stages inside are keyword arguments: one of a default's name
    replaces that default, None removes it, another name is appended::

        FitBatch(update=MyUpdate(), measure=Measure())

    A stage's triggers are ``before_<name>`` and ``after_<name>``, by its name in the
    stage that holds it: what stands in for ``update`` raises ``before_update``.
    ``opens`` and ``closes`` name further ones. A ``reached`` in its state makes it one
    that a checkpoint may be taken inside of.

    Raises:
        ConfigError: If what is to be a stage is none, or what is to be removed is not
            there.
    """

    reads: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[tuple[str, ...]] = ()
    provides: ClassVar[tuple[str, ...]] = ()
    defaults: ClassVar[Mapping[str, Callable[[], Stage]]] = {}
    opens: ClassVar[tuple[str, ...]] = ()
    closes: ClassVar[tuple[str, ...]] = ()

    parts: tuple[Part, ...] = ()

    def __init__(self, **stages: Stage | None) -> None:
        chosen: dict[str, Stage | None] = {
            name: stages[name] if name in stages else default()
            for name, default in self.defaults.items()
        }
        for name, stage in {**chosen, **stages}.items():
            self._require_stage(name, stage)
            setattr(self, name, stage)

    def __call__(self, values: Values) -> None:
        """Run the stage; the same as :meth:`run`."""
        self.run(values)

    @abc.abstractmethod
    def run(self, values: Values) -> None:
        """Do the stage's work on the values in flight; here, its stages' work."""
        for part in self.parts:
            part(values)

    def is_due(self, values: Values) -> bool:
        """Tell whether the stage is to run now. True by default."""
        return True

    def prepare(self, values: Values) -> None:
        """Get ready for a training that is about to start. Empty by default."""

    def stages(self) -> Iterator[tuple[str, Stage]]:
        """Yield the stages inside with their names, in order."""
        for name, value in vars(self).items():
            if isinstance(value, Stage):
                yield name, value

    def triggers(self, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the triggers before and after this stage, where it is called so."""
        return (f"before_{name}", *self.opens), (*self.closes, f"after_{name}")

    def _require_stage(self, name: str, stage: object) -> None:
        kind = type(self).__qualname__
        if stage is None and name not in self.defaults:
            guess = nearest(name, self.defaults)
            raise ConfigError(
                f"cannot remove the stage {name!r} from {kind}",
                expected=", ".join(self.defaults) or "no name: it has no stages",
                got=name,
                fix=f"did you mean {guess!r}?" if guess else "leave it out",
            )
        if stage is not None and not isinstance(stage, Stage):
            raise ConfigError(
                f"cannot use this as the stage {name!r} of {kind}",
                expected="a Stage, or None to remove one",
                got=repr(stage),
                fix="subclass ptutils.Stage and pass an instance",
            )
