"""How single values look: numbers, ages, curves, and texts that nobody vouches for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from ptutils.meta.values import Value

__all__ = ["format_age", "format_value", "one_line", "printable", "sparkline"]

_BLOCKS = "▁▂▃▄▅▆▇█"
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def format_value(value: Value) -> str:
    """Return a value as one short word: floats with 4 significant digits.

    Example:
        >>> format_value(0.123456), format_value(1200), format_value(None)
        ('0.1235', '1200', '')
    """
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def one_line(text: str) -> str:
    r"""Return a text as one line that a terminal shows and does not obey.

    Example:
        >>> print(one_line("two\n lines \x1b[31m"))
        two lines \x1b[31m
    """
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """Return a text that anybody may have written with control characters spelled out.

    The ends of lines and tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else ascii(letter)[1:-1]
        for letter in text
    )


def format_age(moment: datetime, now: datetime) -> str:
    """Return how long ago ``moment`` was, in its largest unit.

    Example:
        >>> format_age(datetime(2026, 11, 1), datetime(2026, 11, 21, 7))
        '20 d'
    """
    seconds = max(0, int((now - moment).total_seconds()))
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return "now"


def sparkline(values: Sequence[float], width: int = 32) -> str:
    """Draw a curve in one line of at most ``width`` block characters.

    Longer curves are averaged over equal shares; what is not finite leaves a gap.

    Example:
        >>> sparkline([0, 1, 2, 3, 4, 5, 6, 7, math.nan, 7])
        '▁▂▃▄▅▆▇█ █'
    """
    count = min(width, len(values))
    edges = [index * len(values) // count for index in range(count)] if count else []
    shares = [
        _mean(values[start:end]) for start, end in pairwise([*edges, len(values)])
    ]
    finite = [share for share in shares if math.isfinite(share)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(
        _BLOCKS[round((share - low) * scale)] if math.isfinite(share) else " "
        for share in shares
    )


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else math.nan
