"""What the codec writes for values of Python, and what it refuses."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import random
import subprocess
import sys
import zoneinfo
from collections import OrderedDict, defaultdict, namedtuple
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from ptutils.errors import EncodeError
from ptutils.meta.codec import decode, encode
from ptutils.meta.codec.encode import MAX_DEPTH
from ptutils.meta.config import Config
from ptutils.meta.registry import register
from ptutils.testing.sameness import same
from ptutils.testing.values import Access, Box, Colour, Frozen, Level, Mode, Point


def round_trip(value):
    return decode(encode(value))


@pytest.mark.parametrize(
    ("value", "document"),
    [
        ((0.9, 0.999), [0.9, 0.999]),
        ({0: "a", 1: "b"}, {"0": "a", "1": "b"}),
        (
            {"a.b": 1, "$set": 2, "": 3, "\0": 4},
            {"a．b": 1, "＄set": 2, "∅": 3, "␀": 4},
        ),
        ({0: 1, "0": 2}, {"0": 1, "0~1": 2}),
        ({"_ptutils": 1}, {"＿ptutils": 1}),
        ({(1, "a"): 1, None: 2, True: 3}, {"(1, a)": 1, "None": 2, "True": 3}),
        ({frozenset({1}): 1, 2**70: 2}, {"frozenset": 1, "0x400000000000000000": 2}),
        ({3, 1, 2}, [1, 2, 3]),
        (Path("a/b"), "a/b"),
        (2**70, str(2**70)),
        (2**5000, hex(2**5000)),
        (1 + 2j, [1.0, 2.0]),
        (range(1, 5, 2), [1, 5, 2]),
        (dt.date(2026, 1, 31), "2026-01-31"),
        (dt.time(1, 2, 3), "01:02:03"),
        (dt.timedelta(seconds=90), 90.0),
        (Colour.RED, "RED"),
        (Mode.MAX, "max"),
        (Level.HIGH, 2),
        (Level.HUGE, str(2**70)),
        (Access.READ | Access.WRITE, 3),
        (Point(1, 2), {"x": 1, "y": 2}),
        (Box(1, "b"), {"content": 1, "label": "b"}),
        (Frozen(1), {"content": 1}),
        (np.float32(0.5), 0.5),
        (np.arange(3), "int64[3]"),
        (b"x" * 2000, "bytes[2000]"),
        ("a\0b\ud800", "a␀b�"),
    ],
)
def test_a_document_shows_what_people_look_for(value, document):
    assert encode(value).document == document
    assert same(round_trip(value), value)


@pytest.mark.parametrize(
    "value",
    [
        collections.Counter("aab"),
        collections.deque([1, (2,)], maxlen=3),
        dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5))),
        dt.datetime(9999, 12, 31, 23, tzinfo=dt.timezone(dt.timedelta(hours=-5))),
        np.zeros((0, 3)),
        np.zeros(2, dtype="S0"),
        np.zeros((2, 3), dtype=">f4").T,
    ],
    ids=repr,
)
def test_a_value_of_this_kind_comes_back(value):
    assert same(round_trip(value), value)


@pytest.mark.parametrize(
    ("moment", "instant"),
    [
        (dt.datetime(2026, 1, 1, 12), dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)),
        (
            dt.datetime(2026, 1, 1, 12, tzinfo=zoneinfo.ZoneInfo("Europe/Paris")),
            dt.datetime(2026, 1, 1, 11, tzinfo=dt.UTC),
        ),
        (
            dt.datetime(2026, 1, 1, microsecond=1999, tzinfo=dt.UTC),
            dt.datetime(2026, 1, 1, microsecond=1000, tzinfo=dt.UTC),
        ),
    ],
)
def test_a_datetime_shows_its_utc_instant_in_milliseconds(moment, instant):
    assert same(encode(moment).document, instant)
    assert same(round_trip(moment), moment)


def test_time_zones_are_stored_alone_and_with_times():
    paris = zoneinfo.ZoneInfo("Europe/Paris")
    value = [dt.UTC, paris, dt.time(2, 30, tzinfo=paris, fold=1)]
    back = round_trip(value)
    assert back == value
    assert back[2].fold == 1


def test_a_time_that_the_clock_skipped_comes_back_as_it_was():
    skipped = dt.datetime(2026, 3, 29, 2, 30, tzinfo=zoneinfo.ZoneInfo("Europe/Paris"))
    assert same(round_trip(skipped), skipped)


def test_a_time_zone_of_unknown_kind_is_refused():
    class Zone(dt.tzinfo):
        def utcoffset(self, moment):
            return dt.timedelta(0)

    with pytest.raises(EncodeError, match=r"time zone at 'a\.b'"):
        encode({"a": {"b": dt.datetime(2026, 1, 1, tzinfo=Zone())}})


def test_random_state_of_python_and_numpy_comes_back():
    generator = np.random.default_rng(7)
    value = {
        "python": random.getstate(),
        "pcg64": generator.bit_generator.state,
        "legacy": np.random.RandomState(5).get_state(),
    }
    assert same(round_trip(value), value)


def test_a_container_reached_twice_comes_back_shared():
    shared = [1, 2]
    encoded = encode({"a": shared, "b": {"c": shared}})
    assert encoded.document == {"a": [1, 2], "b": {"c": [1, 2]}}
    back = decode(encoded)
    assert back["a"] is back["b"]["c"]


@pytest.mark.parametrize(
    "shared", [{}, set(), bytearray(), OrderedDict(), collections.deque(), Box(1)]
)
def test_mutable_values_keep_their_identity(shared):
    back = round_trip([shared, (shared,)])
    assert back[0] is back[1][0]


def test_cycles_through_mutable_containers_come_back():
    cycle: dict = {"list": [], "deque": collections.deque(), "box": Box(None)}
    for inner in (cycle["list"], cycle["deque"]):
        inner.append(cycle)
    cycle["box"].content = (cycle,)
    back = round_trip(cycle)
    assert back["list"][0] is back["deque"][0] is back["box"].content[0] is back


@pytest.mark.parametrize(
    "make", [lambda inner: (inner,), Frozen, lambda i: Point(i, 0)]
)
def test_a_cycle_back_to_an_immutable_value_is_refused(make):
    inner: list = []
    outer = make(inner)
    inner.append(outer)
    with pytest.raises(EncodeError, match="that contains itself"):
        encode({"a": outer})


def test_sharing_cannot_make_the_document_explode():
    value: list = [1]
    for _ in range(100):
        value = [value, value]
    encoded = encode(value)
    assert len(str(encoded.document)) < 100_000
    back = decode(encoded)
    assert back[0] is back[1]


def nested(depth):
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


def test_values_may_be_nested_as_deep_as_the_limit():
    assert same(round_trip(nested(MAX_DEPTH)), nested(MAX_DEPTH))
    assert same(round_trip((nested(MAX_DEPTH - 1),)), (nested(MAX_DEPTH - 1),))


def test_values_nested_deeper_are_refused():
    value = nested(MAX_DEPTH + 1)
    with pytest.raises(EncodeError, match="at most 200 containers inside each other"):
        encode(value)


def test_attributes_of_an_ordered_dict_come_back():
    value = OrderedDict(weight=1)
    value._metadata = OrderedDict({"": {"version": (2,)}})
    back = round_trip(value)
    assert same(back._metadata, value._metadata)


def test_long_bytes_in_attributes_are_refused():
    value = OrderedDict()
    value.note = b"x" * 2000
    with pytest.raises(EncodeError, match="attributes of an OrderedDict at 'a'"):
        encode({"a": value})


def test_a_counter_with_attributes_is_refused():
    value = collections.Counter("aab")
    value.note = 1
    with pytest.raises(EncodeError, match="Counter with attributes"):
        encode(value)


@pytest.mark.parametrize("factory", [None, list, dict, int, float, set])
def test_a_defaultdict_keeps_a_builtin_factory(factory):
    assert round_trip(defaultdict(factory, a=1)).default_factory is factory


def test_a_defaultdict_with_another_factory_is_refused():
    with pytest.raises(EncodeError, match="defaultdict with this factory"):
        encode(defaultdict(lambda: 1))


def test_an_object_in_a_set_or_key_is_refused():
    class Keyed(Box):
        __hash__ = object.__hash__

    register(dataclasses.dataclass(eq=False)(Keyed), name="tests.Keyed")
    with pytest.raises(EncodeError, match="inside a set or a key at 'a"):
        encode({"a": {Keyed(1)}})


def test_long_bytes_in_a_key_stay_in_the_key():
    value = {(b"x" * 2000, 1): {b"y" * 2000}}
    assert same(round_trip(value), value)


class Plain:
    pass


class Listed(list):
    pass


class Unregistered(enum.Enum):
    A = 1


@dataclasses.dataclass
class Unknown:
    a: int


@dataclasses.dataclass
class DictLike(dict):
    a: int = 0


Pair = namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Plain(), "convert it to a type that"),
        (Listed(), "convert it to list; subclasses of it are not stored"),
        (lambda: 1, "function"),
        (Plain, "builtins.type"),
        (DictLike(), "convert it to dict"),
        (Unregistered.A, r"put @ptutils\.register on Unregistered"),
        (Unknown(1), r"put @ptutils\.register on Unknown"),
        (Pair(1, 2), r"put @ptutils\.register on Pair"),
        (np.array([object()]), "dtype"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_its_path(value, text):
    with pytest.raises(EncodeError, match=text) as caught:
        encode({"a": [value]}, path="session")
    assert caught.value.path == "session.a.0"


def test_a_module_that_is_a_dataclass_is_not_stored_by_value():
    @register(name="tests.ModuleLike")
    @dataclasses.dataclass
    class ModuleLike:
        _ptutils_is_module = True

    with pytest.raises(EncodeError, match="cannot store this value"):
        encode(ModuleLike())


def test_a_dataclass_with_more_than_its_fields_is_refused():
    box = Box(1)
    box.extra = 2
    with pytest.raises(EncodeError, match="also extra"):
        encode(box)


def test_a_dataclass_without_one_of_its_fields_is_refused():
    box = Box(1)
    del box.content
    with pytest.raises(EncodeError, match="without content"):
        encode(box)


def test_decoding_a_dataclass_runs_none_of_its_code():
    @register(name="tests.Loud")
    @dataclasses.dataclass
    class Loud:
        a: int

        def __post_init__(self):
            self.a += 1

    assert round_trip(Loud(1)).a == 2


def test_a_registered_named_tuple_may_have_methods():
    @register(name="tests.Named")
    class Named(NamedTuple):
        a: int

    assert same(round_trip(Named(1)), Named(1))


def test_a_config_keeps_plain_dicts_inside():
    value = Config({"net": {"class": "Linear", "args": (1, 2)}})
    encoded = encode(value)
    assert '"is":"Config"' in encoded.types
    assert same(decode(encoded), value)


def test_encoding_is_the_same_in_every_process():
    code = (
        "from ptutils.meta.codec import *;"
        "v = {'s': {'b', 'a', 'c', (1, 'x'), 2.5}, frozenset({'u', 'v'}): None};"
        "e = encode(v); print(dumps(e.document), e.types)"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1
    assert "torch" not in texts.pop()


def test_plain_values_load_neither_numpy_nor_torch():
    code = (
        "import sys; from ptutils.meta.codec import *;"
        "from ptutils.meta.state import State;"
        "decode(encode(State(a=(1, {2}))));"
        "print([m for m in ('numpy', 'torch') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    assert result.stdout == "[]\n"
