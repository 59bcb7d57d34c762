"""Values of every kind that the codec stores, for property tests with hypothesis."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import math
import zoneinfo
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st

from ptutils.meta.registry import register
from ptutils.meta.state import State

__all__ = [
    "NUMBERS",
    "TENSOR_DTYPES",
    "Access",
    "Box",
    "Colour",
    "Frozen",
    "Level",
    "Mode",
    "Point",
    "any_text",
    "arrays",
    "keys",
    "plain_values",
    "tensors",
    "trees",
]


@register(name="testing.Colour")
class Colour(enum.Enum):
    """An enum."""

    RED = 1
    BLUE = "blue"


@register(name="testing.Mode")
class Mode(enum.StrEnum):
    """An enum of text."""

    MIN = "min"
    MAX = "max"


@register(name="testing.Level")
class Level(enum.IntEnum):
    """An enum of ints, one of more than 64 bits."""

    LOW = 1
    HIGH = 2
    HUGE = 2**70


@register(name="testing.Access")
class Access(enum.Flag):
    """Flags."""

    READ = 1
    WRITE = 2


@register(name="testing.Point")
class Point(NamedTuple):
    """A named tuple."""

    x: Any
    y: Any


@register(name="testing.Box")
@dataclasses.dataclass
class Box:
    """A dataclass."""

    content: Any
    label: str = ""


@register(name="testing.Frozen")
@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    """A frozen dataclass with slots."""

    content: Any


any_text = st.text(st.characters(), max_size=8) | st.sampled_from(
    ["", ".", "a.b", "$", "$set", "$date", "\0", "a\0", "_ptutils", "0", "None", "~1",
     "\ud800", "\ud83d\ude00", "/", "..", "．", "＄x", "∅", "1e-3", "yes", "null", "=",
     "<<", "é\x85\u2028", " x ", "#", "- a", "\ufeff", "\uffff", "0~1", "int"]
)  # fmt: skip
any_int = st.integers() | st.sampled_from(
    [2**63, -(2**63), 2**63 - 1, 2**5000, -(2**128)]
)
any_zone = st.none() | st.sampled_from(
    [
        dt.UTC,
        dt.timezone(dt.timedelta(hours=-3, minutes=-30)),
        dt.timezone(dt.timedelta(0), "zero"),
        dt.timezone(dt.timedelta(microseconds=-1), "odd"),
        zoneinfo.ZoneInfo("Europe/Paris"),
        zoneinfo.ZoneInfo("Asia/Kathmandu"),
    ]
)
any_moment = st.builds(
    lambda moment, zone, fold: moment.replace(tzinfo=zone, fold=fold),
    st.datetimes() | st.sampled_from([dt.datetime.min, dt.datetime.max]),
    any_zone,
    st.sampled_from([0, 1]),
)
NUMBERS = [
    np.float16(0.1),
    np.float32("nan"),
    np.float64(-0.0),
    np.longdouble(1) / 3,
    np.clongdouble(1) / 3 - 2j,
    np.complex64(1 - 2j),
    np.complex128(complex("inf+nanj")),
    np.int8(-3),
    np.longlong(7),
    np.uint64(2**64 - 1),
    np.bool_(True),
    np.str_("a\0"),
    np.bytes_(b"a\0"),
    np.datetime64("NaT"),
    np.datetime64("2026-01-01T00:00:00", ("s", 25)),
    np.datetime64(2**62, "Y"),
    np.timedelta64(-5, "ns"),
    np.zeros(1, dtype=[("a", ">f4"), ("b", "S3")])[0],
]
hashable_scalars = st.one_of(
    st.none(),
    st.booleans(),
    any_int,
    any_text,
    st.floats(allow_nan=False),
    st.binary(max_size=4),
    st.dates(),
    st.timedeltas(),
    any_moment,
    st.uuids(),
    st.sampled_from([*Colour, *Mode, *Level, Access.READ | Access.WRITE]),
    any_text.filter(lambda text: "\0" not in text).map(PurePosixPath),
)
scalars = st.one_of(
    hashable_scalars,
    st.floats(),
    st.times(),
    st.complex_numbers(),
    st.decimals(),
    st.fractions(),
    any_text.map(PureWindowsPath),
    st.binary(min_size=1020, max_size=1030),
    st.binary(max_size=3).map(bytearray),
    st.builds(range, st.integers(-5, 2**70), st.integers(0, 9), st.integers(1, 3)),
    st.builds(slice, st.none() | st.integers(), st.none(), st.just("x")),
    st.sampled_from(NUMBERS),
)
keys = st.recursive(
    hashable_scalars, lambda inner: st.lists(inner, max_size=2).map(tuple), max_leaves=3
)


@st.composite
def arrays(draw: Any) -> np.ndarray:
    """Arrays of many dtypes, as views with steps, reversed, transposed, read-only."""
    dtype = draw(
        st.sampled_from(
            ["?", "i1", ">i2", "<u8", "f2", ">f4", "f8", "g", "c8", "S3", "U2",
             "M8[ns]", "m8", "V5", "S0", "i4,(2,)f4"]
        )
    )  # fmt: skip
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    count = math.prod(shape) * np.dtype(dtype).itemsize
    content = bytes(range(256)) * (count // 256 + 1)
    array = np.frombuffer(bytearray(content[:count] or b"\0"), np.uint8)[:count]
    if np.dtype(dtype).itemsize:
        array = array.view(dtype).reshape(shape)
    else:
        array = np.zeros(shape, dtype)
    if draw(st.booleans()):
        array = array.T
    if array.ndim and draw(st.booleans()):
        array = array[:: draw(st.sampled_from([1, 2, -1, -2]))]
    if draw(st.booleans()):
        array = array.view()
        array.flags.writeable = False
    return array


TENSOR_DTYPES = sorted(
    (
        dtype
        for dtype in {d for d in vars(torch).values() if isinstance(d, torch.dtype)}
        if not str(dtype).startswith(("torch.q", "torch.bits"))
    ),
    key=str,
)


@st.composite
def tensors(draw: Any) -> torch.Tensor:
    """Tensors of every dtype: views, expanded, transposed, conjugate, parameters."""
    dtype = draw(st.sampled_from(TENSOR_DTYPES))
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    storage = torch.arange(512, dtype=torch.int16).view(torch.uint8).untyped_storage()
    strides = draw(st.sampled_from([[1, 3, 0], [9, 3, 1], [0, 0, 0]]))[: len(shape)]
    offset = draw(st.integers(0, 9))
    tensor = torch.empty(0, dtype=dtype).set_(storage, offset, shape, strides)
    if draw(st.booleans()):
        tensor = tensor.conj() if dtype.is_complex else tensor
    wants = draw(st.booleans()) and (dtype.is_floating_point or dtype.is_complex)
    if draw(st.booleans()):
        return torch.nn.Parameter(tensor, requires_grad=wants)
    return tensor.requires_grad_(wants)


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(inner, max_size=4)
    pairs = st.lists(st.tuples(keys, inner), max_size=4)
    return st.one_of(
        lists,
        lists.map(tuple),
        pairs.map(dict),
        pairs.map(collections.OrderedDict),
        pairs.map(State),
        pairs.map(lambda items: collections.defaultdict(list, items)),
        lists.map(lambda items: collections.deque(items, maxlen=5)),
        inner.map(lambda item: [item, {"again": item}, item]),
        st.builds(Point, inner, inner),
        st.builds(Box, inner, any_text),
        st.builds(Frozen, inner),
        st.sets(keys, max_size=3),
        st.frozensets(keys, max_size=3),
        st.dictionaries(st.text(max_size=3), st.integers(-9, 9)).map(
            collections.Counter
        ),
    )


leaves = st.one_of(scalars, arrays(), tensors())
trees = st.recursive(leaves, _containers, max_leaves=12)
"""Any value that the codec stores."""

plain_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
        st.binary(max_size=4),
        st.datetimes().map(
            lambda moment: moment.replace(
                microsecond=moment.microsecond // 1000 * 1000, tzinfo=dt.UTC, fold=0
            )
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
            .filter(lambda key: not key.startswith(("$", "_ptutils")))
            .filter(lambda key: "." not in key and "\0" not in key),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)
"""Any value that needs no sidecar."""
