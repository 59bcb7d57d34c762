"""The metrics in a run's summary, by the dotted names they were logged under."""

from __future__ import annotations

from collections.abc import Iterator

from ptutils.meta.values import Document, Value

__all__ = ["STATISTICS", "statistics_of"]

STATISTICS = ("first", "last", "min", "max")
"""What a summary tells of a metric, each with its step beside it."""


def statistics_of(summary: Document) -> dict[str, Document]:
    """Return each metric's first, last, min and max, by its name.

    Example:
        >>> best = {"first": 2.0, "last": 0.5, "min": 0.4, "max": 2.0, "min_step": 9}
        >>> statistics_of({"valid": {"loss": best}})["valid.loss"]["min"]
        0.4
    """
    return dict(_walk(summary, ""))


def _walk(summary: Value, path: str) -> Iterator[tuple[str, Document]]:
    if not isinstance(summary, dict):
        return
    if all(not isinstance(summary.get(name, {}), dict) for name in STATISTICS):
        yield path, summary
        return
    for key, child in summary.items():
        yield from _walk(child, f"{path}.{key}" if path else key)
