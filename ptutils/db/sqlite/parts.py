"""Parts of documents: what a filter looks at, which SQLite can take out of each.

Where no index narrows a query, every document is looked at. Reading the few fields that
the filter names takes a third of the time of reading all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Final

from ptutils.db.filters.match import LOGICAL
from ptutils.meta.codec import loads
from ptutils.meta.values import Document

__all__ = ["fields_of", "part_in_sql", "part_of"]

_NAME: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def fields_of(filter: Document) -> tuple[str, ...]:
    """Return the fields that a valid filter looks at; none if it may look at others.

    Example:
        >>> fields_of({"$or": [{"a.b": 1}, {"c": 2}]}), fields_of({"$expr": {"$a": 1}})
        (('a', 'c'), ())
    """
    names = tuple(dict.fromkeys(_names(filter)))
    return names if all(map(_NAME.fullmatch, names)) else ()


def part_in_sql(fields: Sequence[str], text: str) -> str:
    """Return the SQL expression of a list of fields, or of null for damaged JSON.

    Args:
        fields: What :func:`fields_of` returned.
        text: The column that holds the document.
    """
    if not fields:
        return "NULL"
    # Two paths and more make json_extract return the text of a list, digits untouched.
    paths = ", ".join(f"""'$."{name}"'""" for name in ("_id", *fields))
    return f"CASE WHEN json_valid({text}) THEN json_extract({text}, {paths}) END"


def part_of(fields: Sequence[str], text: str | None) -> Document | None:
    """Return the document of only these fields; None where a filter needs the whole.

    Args:
        fields: What :func:`part_in_sql` was given.
        text: What it gave.
    """
    if text is None:
        return None
    _, *values = loads(text) if '{"$' in text else json.loads(text)
    # Of null nobody can tell whether it is in the document at all.
    is_told = all(value is not None for value in values)
    return dict(zip(fields, values, strict=True)) if is_told else None


def _names(filter: Document) -> Iterator[str]:
    for path, operand in filter.items():
        if path in LOGICAL:
            for each in operand:
                yield from _names(each)
        else:
            yield path.partition(".")[0]
