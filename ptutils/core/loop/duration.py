"""Durations: a count with its unit, since a bare number says too little."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ptutils.errors import ConfigError, nearest
from ptutils.meta.values import Value

__all__ = ["Duration"]

_PATTERN = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)\s*")
_SECONDS: Final = {"s": 1, "min": 60, "h": 3600}
_UNITS: Final = {
    "step": "steps",
    "epoch": "epochs",
    "sample": "samples",
    "second": "s",
    "sec": "s",
    "minute": "min",
    "hour": "h",
}
_EXPECTED = "a text such as '100 steps', '1 epoch', '5000 samples', '30 s', '5 min'"


@dataclass(frozen=True, kw_only=True)
class Duration:
    """How long something lasts, or how often it happens.

    Attributes:
        count: Positive; whole unless the unit is one of time.
        unit: ``steps``, ``epochs``, ``samples``, ``s``, ``min`` or ``h``.

    Example:
        >>> Duration.parse("100 steps")
        Duration(count=100, unit='steps')
        >>> str(Duration.parse("1 epochs")), Duration.parse("1.5 h").seconds
        ('1 epoch', 5400.0)
    """

    count: int | float
    unit: str

    @classmethod
    def parse(cls, text: str | Duration) -> Duration:
        """Read a duration as people write it; one that is read already stays.

        Raises:
            ConfigError: If there is no unit, the unit is unknown, or the count is zero,
                or a fraction of what cannot be divided.
        """
        if isinstance(text, Duration):
            return text
        match = _PATTERN.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise _fault(text, _fix_of(text))
        number, name = match.groups()
        unit = _unit(name)
        if unit is None:
            near = nearest(name, [*_UNITS.values(), *_UNITS])
            raise _fault(text, f"did you mean {f'{number} {near}'!r}?" if near else "")
        count = float(number) if "." in number else int(number)
        if not count or (unit not in _SECONDS and isinstance(count, float)):
            raise _fault(text, f"give a positive, whole number of {unit}")
        return cls(count=count, unit=unit)

    @property
    def seconds(self) -> float | None:
        """The duration in seconds, or None if its unit is not one of time."""
        return self.count * _SECONDS[self.unit] if self.unit in _SECONDS else None

    def __str__(self) -> str:
        single = self.count == 1 and self.unit not in _SECONDS
        return f"{self.count} {self.unit.removesuffix('s') if single else self.unit}"


def _unit(name: str) -> str | None:
    name = name.lower()
    if name in _SECONDS:
        return name
    return _UNITS.get(name) or _UNITS.get(name.removesuffix("s"))


def _fix_of(value: Value) -> str:
    """Suggest units for a bare number, which is what people forget most."""
    text = str(value).strip()
    return f"write '{text} steps' or '{text} epochs'" if text.isdecimal() else ""


def _fault(got: Value, fix: str) -> ConfigError:
    return ConfigError(
        "cannot read a duration", expected=_EXPECTED, got=repr(got), fix=fix
    )
