"""Part: what of a state to load, as what, and what to do where it does not fit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ptutils.core.renaming import Rename
from ptutils.core.selecting import Select, patterns_of
from ptutils.errors import ConfigError, nearest

__all__ = ["Mode", "Part"]


class Mode(StrEnum):
    """What to do about paths that do not fit.

    ``ERROR`` refuses the whole state. ``WARN`` and ``SKIP`` leave the tree as it is
    there; ``WARN`` says so in the log. ``INITIALIZE`` lets the tree begin anew there,
    as if it had just been made.
    """

    ERROR = "error"
    WARN = "warn"
    SKIP = "skip"
    INITIALIZE = "initialize"


@dataclass(frozen=True, kw_only=True)
class Part:
    """What is asked of loading a state; all of it, exactly, by default.

    Args:
        select: Which paths of the tree to load: names, patterns or a predicate.
        rename: Old paths to new ones.
        missing: What to do about selected paths that the state lacks.
        unexpected: Likewise about those that the tree lacks.
        mismatched: Likewise about those of another shape, dtype or kind.

    Raises:
        ConfigError: If a mode is unknown, or what is unexpected is to be initialized.
    """

    select: Select | None = None
    rename: Rename | None = None
    missing: str = Mode.ERROR
    unexpected: str = Mode.ERROR
    mismatched: str = Mode.ERROR

    def __post_init__(self) -> None:
        if not (self.select is None or callable(self.select)):
            object.__setattr__(self, "select", patterns_of(self.select))
        for name in ("missing", "unexpected", "mismatched"):
            choices = [mode for mode in Mode if (name, mode) != _SENSELESS]
            object.__setattr__(self, name, _mode(name, getattr(self, name), choices))


_SENSELESS = ("unexpected", Mode.INITIALIZE)
"""What the tree does not have cannot begin anew in it."""


def _mode(name: str, given: str, choices: list[Mode]) -> Mode:
    if given in choices:
        return Mode(given)
    near = nearest(str(given), choices)
    raise ConfigError(
        f"cannot treat what is {name} like this",
        path=name,
        expected=", ".join(choices),
        got=repr(str(given)),
        fix=f"did you mean {near!r}?" if near else "",
    )
