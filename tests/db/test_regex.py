from __future__ import annotations

import re
from typing import Any

import pymongo
import pytest

from ptutils.db.filters.match import compile_filter
from ptutils.db.filters.regex import compile_regex
from ptutils.errors import QueryError
from ptutils.meta.values import Value

TEXTS = [*"aAksé1É", "", "\u212a", "\u017f", "\u0660", "\xa0", "\t"]
LONGER = [
    "a\n",
    "\na",
    "a\nb",
    "ab\n\n",
    "a.b",
    "a{,2}",
    "aa",
    "a b",
    "a-",
    "\x1c",
    "_",
]
PATTERNS = [
    *(
        "a",
        "(?i)k",
        "É",
        r"\d",
        r"\D",
        r"\w",
        r"\W",
        r"\s",
        r"\S",
        r"\bb",
        r"\B",
        r"\h",
    ),
    *("^a", "b$", r"a\Z", r"a\z", r"\Aa", "a{,2}", "[^a]", r"[\da]", r"[^\w]", r"[\W]"),
    *(
        r"[^\wé]",
        r"[\]a]",
        "[]a]",
        r"[\Dk]a?",
        "(?=a)",
        "a|b",
        "(?:a)+",
        r"[a\-\d]",
        ".",
    ),
]


@pytest.mark.mongo
@pytest.mark.parametrize("options", ["", "i", "m", "s", "ims", "x", "u"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_pattern_finds_what_mongod_finds(
    mongo: Any, pattern: str, options: str
) -> None:
    collection: pymongo.collection.Collection = mongo.ptutils.regex
    if not collection.find_one({}):
        collection.insert_many([{"a": text} for text in TEXTS + LONGER])
    filter = {"a": {"$regex": pattern, "$options": options}}
    theirs = {each["a"] for each in collection.find(filter)}
    matches = compile_filter(filter)
    assert {text for text in TEXTS + LONGER if matches({"a": text})} == theirs


@pytest.mark.parametrize(
    ("pattern", "options", "text"),
    [
        (1, "", "\\$regex as text or a compiled pattern"),
        ("a", 1, "made of the letters i, m, s, x"),
        ("a", "k", "made of the letters i, m, s, x"),
        ("a\0", "", "a pattern without NUL"),
        ("(", "", "a valid regular expression"),
        ("[[:alpha:]]", "", "no POSIX classes"),
        (r"[\d-]", "", "'-' in a class"),
        (r"\u0041", "", "that PCRE and Python share"),
        ("a#b", "x", "that PCRE and Python share"),
        ("a(?i)", "", "options at the start"),
        ("(?m:a)", "", "options at the start"),
        (r"\p{L}", "", "a valid regular expression"),
        ("[a", "", "a valid regular expression"),
        ("[[a]]", "", "a valid regular expression"),
    ],
)
def test_pattern_with_another_meaning_is_refused(
    pattern: Value, options: Value, text: str
) -> None:
    with pytest.raises(QueryError, match=text):
        compile_regex(pattern, options)


def test_pattern_of_bytes_is_refused() -> None:
    with pytest.raises(QueryError, match="a pattern of text, not of bytes"):
        compile_filter({"a": re.compile(b"a")})
