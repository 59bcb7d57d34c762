"""Canonical JSON text, and plain keys."""

from __future__ import annotations

import datetime as dt
import json
import math

import pytest
from hypothesis import given, settings

from ptutils.errors import DecodeError, EncodeError
from ptutils.meta.codec import dumps, loads
from ptutils.meta.codec.keys import is_plain_key, plain_key
from ptutils.testing.sameness import same
from ptutils.testing.values import keys, plain_values


@settings(max_examples=200, deadline=None)
@given(plain_values)
def test_loads_reads_what_dumps_wrote(value):
    assert same(loads(dumps(value)), value)


@settings(max_examples=200, deadline=None)
@given(keys)
def test_every_key_has_a_plain_key_not_yet_taken(key):
    first = plain_key(key, ())
    second = plain_key(key, {first})
    assert is_plain_key(first)
    assert is_plain_key(second)
    assert first != second


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [1.0, None, True]}, '{"b":1,"a":[1.0,null,true]}'),
        (math.inf, '{"$float":"Infinity"}'),
        ([-math.inf, math.nan], '[{"$float":"-Infinity"},{"$float":"NaN"}]'),
        (-0.0, "-0.0"),
        (b"ab", '{"$bytes":"YWI="}'),
        (dt.datetime(1, 1, 1, tzinfo=dt.UTC), '{"$date":"0001-01-01T00:00:00.000Z"}'),
        ("é", '"\\u00e9"'),
    ],
)
def test_a_plain_value_has_one_text(value, text):
    assert dumps(value) == text


@pytest.mark.parametrize("value", [{1, 2}, dt.datetime(2026, 1, 1), object(), [1j]])
def test_what_is_not_plain_is_not_written(value):
    with pytest.raises(EncodeError, match=r"encode\(\) it first"):
        dumps(value)


def test_a_cycle_is_not_written():
    value: list = []
    value.append(value)
    with pytest.raises(EncodeError, match="without cycles"):
        dumps(value)


def test_what_is_nested_without_end_is_not_written():
    value: list = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(EncodeError, match="cannot write this value as JSON"):
        dumps(value)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "well-formed JSON"),
        ("NaN", "NaN is not JSON"),
        ('{"a":1,"a":2}', "each key once"),
        ('{"$float":"1"}', "no special float"),
        ('{"$float":[]}', "unhashable"),
        ('{"$bytes":"a"}', "not base64"),
        ('{"$bytes":1}', "cannot read this JSON text"),
        ('{"$date":"2026-01-01"}', "not a date"),
        ('{"$date":"2026-13-01T00:00:00.000Z"}', "month"),
        ('{"$date":1}', "expected string"),
        ("[" * 100_000, "cannot read this JSON text"),
        ("1" * 5000, "cannot read this JSON text"),
    ],
)
def test_damaged_text_is_refused(text, fault):
    with pytest.raises(DecodeError, match=fault):
        loads(text)


def test_an_unknown_key_with_a_dollar_is_left_for_decode_to_refuse():
    assert loads('{"$other":1}') == {"$other": 1}


def test_the_text_is_json_for_any_reader():
    assert json.loads(dumps({"a": [math.nan, b""]})) == {
        "a": [{"$float": "NaN"}, {"$bytes": ""}]
    }
