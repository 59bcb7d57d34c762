"""YAML reads what people mean, refuses what would be lost, and writes it back."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptutils.errors import FormatError
from ptutils.meta.yaml import read_written_yaml, read_yaml, write_yaml

_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.from_regex(r"[-+]?[0-9._]{1,4}([eE][-+]?[0-9]{1,2})?", fullmatch=True)
    | st.binary()
)
_PLAIN = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


def _typed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _typed(item) for key, item in value.items()}
    return [_typed(i) for i in value] if isinstance(value, list) else repr(value)


@given(_PLAIN)
def test_what_is_written_reads_back_equal_and_of_the_same_types(value: Any) -> None:
    assert _typed(read_yaml(write_yaml(value), "here")) == _typed(value)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1e-3", 1e-3),
        ("1.5e3", 1500.0),
        ("-2E5", -2e5),
        ("1.e2", 100.0),
        (".5e1", 5.0),
        ("1_000e1", 1e4),
        ("0.1", 0.1),
        ("7", 7),
    ],
)
def test_numbers_are_read_as_researchers_write_them(text: str, number: float) -> None:
    assert repr(read_yaml(text, "here")) == repr(number)


@pytest.mark.parametrize("text", ["e5", "1e", "abc", "1e5x", "v1e5"])
def test_text_that_only_resembles_a_number_stays_text(text: str) -> None:
    assert read_yaml(text, "here") == text


def test_empty_text_holds_nothing() -> None:
    assert read_yaml("# only a comment\n", "here") is None


def test_short_lists_are_written_on_one_line() -> None:
    assert write_yaml({"betas": [0.9, 0.999]}) == "betas: [0.9, 0.999]\n"


@pytest.mark.parametrize("text", ["naïve", "学习", "\N{ROCKET}", "a: \\U0001F680"])
def test_letters_of_all_languages_stay_readable(text: str) -> None:
    assert text in write_yaml({"notes": text})


def test_merge_keys_are_no_repetition() -> None:
    text = "a: &a {x: 1}\nw: {b: &b {<<: *a, x: 2}}\nc: {<<: *b, y: 3}"
    read = read_yaml(text, "here")
    assert read["c"] == {"x": 2, "y": 3}


def test_anchors_unfold() -> None:
    assert read_yaml("a: &a [1]\nb: [*a, *a]", "here")["b"] == [[1], [1]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2", "line 4(?s:.*)'c' again, first on line 3"),
        ("{a: 1, a: 2}", "line 1(?s:.*)'a' again, first on line 1"),
        ("1: x\n1.0: y", "line 2(?s:.*)1.0 again, first on line 1"),
        ("a:\n\tb: 1", "line 2(?s:.*)spaces instead of tabs"),
        ("a: [1", "line 1(?s:.*)while parsing a flow sequence"),
        ("a: [1\n", "line 2(?s:.*)while parsing a flow sequence"),
        ("a: 1\n---\nb: 1", "line 2(?s:.*)another document"),
        ("a: 1\nb: !!python/name:os.system ''", "line 2(?s:.*)python/name:os.system"),
        ("? [1]\n: 2", "line 1(?s:.*)unhashable key"),
        ("a: 1\nb: 2024-13-45", "line 2(?s:.*)month must be in"),
        ("a: &a [*a]", "line 1(?s:.*)an alias inside what it stands for"),
        ("a: 1\x00", "cannot read here\n(?s:.*)special characters"),
        ("[" * 3000, "cannot read here\n(?s:.*)recursion"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_yaml(text, "here")


def test_aliases_of_aliases_do_not_fill_the_memory() -> None:
    lines = ["a0: &a0 [1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(FormatError, match="aliases that unfold to over 1,000,000"):
        read_yaml("\n".join(lines), "here")


@given(_PLAIN)
def test_what_is_written_is_read_fast_and_equal(value: Any) -> None:
    assert _typed(read_written_yaml(write_yaml(value), "here")) == _typed(value)


@pytest.mark.parametrize(
    "text", ["a: 1\x00", "[" * 3000, "[" * 10_000, "a: 1\na: 2", "a: [1"]
)
def test_reading_fast_refuses_in_the_same_words(text: str) -> None:
    with pytest.raises(FormatError) as slow:
        read_yaml(text, "here")
    with pytest.raises(FormatError) as fast:
        read_written_yaml(text, "here")
    assert fast.value.what == slow.value.what


@pytest.mark.parametrize("read", [read_yaml, read_written_yaml])
def test_nan_comes_back_without_a_sign(read):
    assert struct.pack(">d", read(".nan", "x")) == struct.pack(">d", math.nan)
