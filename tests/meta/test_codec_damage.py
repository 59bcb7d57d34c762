"""Damaged or hostile documents: refused before anything is allocated or run."""

from __future__ import annotations

import datetime as dt
import json

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ptutils.errors import DecodeError
from ptutils.meta.codec import Encoded, decode, dumps, encode
from ptutils.meta.codec.table import ENTRY_BY_TAG
from ptutils.testing.values import plain_values, trees

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support")

BYTES = (b"\0" * 64,)
TENSOR = "torch.Tensor"
ARRAY = "numpy.ndarray"
COO = {"shape": [2], "indices": "int64[1, 1]", "values": "float32[1]"}
PARTS = {"indices": {"is": TENSOR, "at": 0}, "values": {"is": TENSOR, "at": 0}}


def read(document, tree, artifacts=BYTES):
    types = dumps({"format": 1, "tree": tree})
    return decode(Encoded(document=document, types=types, artifacts=artifacts))


@pytest.mark.parametrize(
    ("document", "tree", "text"),
    [
        # the sidecar itself
        (1, 3, "a node of the sidecar"),
        (1, {"is": 3}, "a tag"),
        (1, "os.system", "a tag that ptutils knows"),
        ([], "tupel", "did you mean 'tuple'"),
        (1, "torch.load", "a tag that ptutils knows"),
        ([1], {"in": {"0": {"is": "ref", "to": 0}}}, "a value that comes before"),
        ([1], {"in": {"0": {"is": "ref"}}}, "a value that comes before"),
        ([[], []], {"in": {"0": {"id": 0}, "1": {"id": 0}}}, "an id that is used once"),
        ([], {"id": "x"}, "an id that is used once"),
        ([1], {"in": {"1": "int"}}, "positions inside the list"),
        ([1], {"in": []}, "expected: dict"),
        ({}, "tuple", "expected: list"),
        ([], "dict", "expected: dict"),
        # documents
        (2**63, None, "a plain value"),
        ("\0", None, "a plain value"),
        ({"a": ["\ud800"]}, None, "a plain value"),
        ({"a.b": 1}, None, "a plain key"),
        ({"$set": 1}, {}, "a plain key"),
        ({1: 1}, None, "a plain key"),
        ((1,), None, "a plain value"),
        # keys
        ({"a": 1}, {"keys": "int"}, "an int as key"),
        ({"01": 1}, {"keys": "int"}, "an int as key"),
        ({"a": 1, "b": 2}, {"keys": {"b": "a"}}, "each key once"),
        ({"a": 1}, {"keys": {"a": [[], {}]}}, "a key that can be hashed"),
        ({"a": 1}, {"keys": 3}, "expected: dict"),
        ({"a": 1}, {"is": "State", "in": 3}, "expected: dict"),
        ([], "State", "expected: dict"),
        # containers
        ([[]], "set", "members that can be hashed"),
        ([1, 1], "frozenset", "each member once"),
        ([1, 2], {"is": "deque", "maxlen": 1}, "a maxlen that the elements fit"),
        ([], {"is": "deque", "maxlen": "1"}, "a maxlen"),
        ({}, {"is": "defaultdict", "factory": "eval"}, "bool, dict, float"),
        ({}, {"is": "defaultdict", "factory": 3}, "bool, dict, float"),
        ({}, {"is": "OrderedDict", "attributes": [1]}, "attributes and their types"),
        ([0, 1, 0], "range", "a step that is not 0"),
        ([0, 1], "range", "start, stop"),
        ([0, 1], "slice", "3 parts"),
        # scalars
        ("x", "int", "an int"),
        (1, "int", "an int"),
        ("1" * 5000, "int", "an int"),
        ("a", {"is": "str", "utf8": "zz"}, "hexadecimal"),
        ("a", {"is": "str", "utf8": 3}, "hexadecimal"),
        ("a", "bytes", "expected: bytes"),
        ([1.0], "complex", "an imaginary part"),
        ("x", "UUID", "a UUID"),
        ("x", "Decimal", "a Decimal"),
        ("1/0", "Fraction", "a Fraction"),
        # times
        (1, "datetime", "expected: datetime"),
        ("x", "date", "an ISO 8601 date"),
        (1, "time", "an ISO 8601 time"),
        ("01:00", {"is": "time", "zone": "../etc"}, "a time zone"),
        ("01:00", {"is": "time", "zone": ["x"]}, "a time zone"),
        ("01:00", {"is": "time", "zone": 3}, "a time zone"),
        ("01:00", {"is": "time", "fold": 2}, "0 or 1"),
        (1.0, {"is": "timedelta", "parts": [1]}, "days, seconds"),
        (1.0, {"is": "timedelta", "parts": [10**10, 0, 0]}, "that Python can hold"),
        (1.0, {"is": "timedelta", "parts": [0, 2, 0]}, r"2\.0 seconds"),
        # records
        (1, {"is": "enum", "of": "os.system"}, "name of a registered class"),
        (1, {"is": "enum", "of": ["x"]}, "name of a registered class"),
        ({}, {"is": "dataclass", "of": "testing.Colour"}, "name of a registered class"),
        ("PINK", {"is": "enum", "of": "testing.Colour"}, "a member of Colour"),
        (99, {"is": "enum", "of": "testing.Access"}, "flags of Access"),
        ("x", {"is": "enum", "of": "testing.Access"}, "a member of Access"),
        (
            {"content": 1},
            {"is": "dataclass", "of": "testing.Box"},
            "the fields content",
        ),
        ({"x": 1}, {"is": "namedtuple", "of": "testing.Point"}, "the fields x, y"),
        # artifacts
        ("bytes[1]", {"is": "bytes", "at": 1}, "one of 1 artifacts"),
        ("bytes[1]", {"is": "bytes", "at": -1}, "one of 1 artifacts"),
        ("bytes[1]", {"is": "bytes", "at": True}, "one of 1 artifacts"),
        ("float32", TENSOR, "a dtype and sizes"),
        ("float32[-1]", TENSOR, "a dtype and sizes"),
        (3, TENSOR, "expected: str"),
        ("float33[1]", TENSOR, "a dtype of torch"),
        ("qint8[1]", TENSOR, "a dtype of torch"),
        ("float33[1]", ARRAY, "a dtype of numpy"),
        ("float32[1]", TENSOR, "inside the 0 bytes"),
        ("float32[1]", ARRAY, "inside the 0 bytes"),
        ("float32[17]", {"is": TENSOR, "at": 0}, "inside the 64 bytes"),
        ("float32[1]", {"is": TENSOR, "at": 0, "offset": 16}, "inside the 64 bytes"),
        ("float32[1]", {"is": TENSOR, "at": 0, "offset": -1}, "a list of ints"),
        ("float32[1]", {"is": TENSOR, "at": 0, "offset": 2**64}, "a list of ints"),
        ("float32[2]", {"is": TENSOR, "at": 0, "strides": [-1]}, "a list of ints"),
        ("float32[2]", {"is": TENSOR, "at": 0, "strides": [16]}, "inside the 64 bytes"),
        ("float32[2]", {"is": TENSOR, "at": 0, "strides": []}, "a stride for each"),
        ("float32[2]", {"is": ARRAY, "at": 0, "strides": [-4]}, "inside the 64 bytes"),
        (
            f"float32[{2**62}, 4]",
            {"is": TENSOR, "at": 0, "strides": [0, 0]},
            r"fewer than 2\*\*63 elements",
        ),
        (f"int8[{2**62}]", {"is": TENSOR, "device": "meta", "strides": [9]}, "a view"),
        ("float32[1]", {"is": TENSOR, "at": 0, "conj": 1}, "complex tensor to conj"),
        ("int8[1]", {"is": TENSOR, "at": 0, "grad": True}, "a floating dtype"),
        ("x[1]", {"is": ARRAY, "at": 0, "dtype": "|O"}, "a dtype without objects"),
        ("x[1]", {"is": ARRAY, "at": 0, "dtype": "os"}, "the descriptor of a dtype"),
        ("x[1]", {"is": ARRAY, "at": 0, "dtype": [["a"]]}, "the descriptor of a dtype"),
        ("x", "numpy.dtype", "a dtype of numpy"),
        # torch's own
        ({"shape": [2]}, "torch.sparse_coo", "shape, indices, values"),
        (COO, {"is": "torch.sparse_coo"}, "expected: Tensor"),
        (
            {**COO, "shape": [0]},
            {"is": "torch.sparse_coo", "in": PARTS},
            "the parts of a sparse tensor",
        ),
        ("cpu", {"is": "torch.Generator", "at": 0}, "the state of a generator"),
        ("nowhere", {"is": "torch.Generator", "at": 0}, "the state of a generator"),
        ("nowhere", "torch.device", "a device of torch"),
        ("system", "torch.dtype", r"a torch\.dtype"),
        ([1.5], "torch.Size", "a list of ints"),
        # numpy's scalars
        (300, "numpy.int8", "a scalar of numpy"),
        (0.1, "numpy.float32", "is in the document"),
        (1, "numpy.float32", "expected: float"),
        (["x", "0"], "numpy.longdouble", "a scalar of numpy"),
        (["1"], "numpy.longdouble", "a scalar of numpy"),
        (["1", "2"], "numpy.longdouble", "is in the document"),
        (
            "2020",
            {"is": "numpy.datetime64", "dtype": "<M8[s]", "bytes": b""},
            "8 bytes of a datetime64",
        ),
        (
            "2020",
            {"is": "numpy.datetime64", "dtype": "<M8[s]", "bytes": b"\0" * 8},
            "is in the document",
        ),
    ],
)
def test_damage_is_refused(document, tree, text):
    with pytest.raises(DecodeError, match=text):
        read(document, tree)


def test_a_datetime_that_differs_from_its_sidecar_is_refused():
    encoded = encode(dt.datetime(2026, 1, 1))
    moved = encoded.document.replace(year=2027)
    damaged = Encoded(document=moved, types=encoded.types)
    with pytest.raises(DecodeError, match="the instant of 2026"):
        decode(damaged)


@pytest.mark.parametrize(
    ("types", "text"),
    [
        ("[]", "format and tree"),
        ('{"format":1}', "format and tree"),
        ('{"format":2,"tree":null}', "with the version of ptutils that wrote it"),
        ("{", "well-formed JSON"),
    ],
)
def test_a_damaged_sidecar_is_refused(types, text):
    with pytest.raises(DecodeError, match=text):
        decode(Encoded(document={}, types=types))


@pytest.mark.parametrize("tag", [None, "tuple"])
def test_documents_nested_too_deep_are_refused(tag):
    document: list = []
    tree = tag
    for _ in range(201):
        document = [document]
        tree = {"is": tag, "in": {"0": tree}} if tag else None
    with pytest.raises(DecodeError, match="at most 200 containers"):
        read(document, tree)


@pytest.mark.parametrize("device", ["nowhere", "xla:0"])
def test_a_device_that_is_not_here_is_refused(device):
    encoded = encode(torch.ones(2))
    with pytest.raises(DecodeError, match="a device"):
        decode(encoded, device=device)


def test_names_that_a_projection_left_out_are_passed_over():
    encoded = encode({"a": (1,), "b": (2,)})
    part = Encoded(document={"a": encoded.document["a"]}, types=encoded.types)
    assert decode(part) == {"a": (1,)}


NAMES = [
    "is",
    "in",
    "id",
    "to",
    "at",
    "keys",
    "0",
    "a",
    "of",
    "zone",
    "dtype",
    "offset",
    "strides",
    "bytes",
    "parts",
    "fold",
    "text",
    "value",
    "utf8",
    "attributes",
    "factory",
    "maxlen",
    "grad",
    "conj",
    "neg",
    "device",
    "coalesced",
    "readonly",
]
nodes = st.recursive(
    st.none()
    | st.integers(-2, 99)
    | st.text(max_size=4)
    | st.booleans()
    | st.sampled_from(sorted(ENTRY_BY_TAG)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trees, st.randoms(use_true_random=False), nodes)
def test_a_changed_sidecar_is_refused_or_read_but_never_fails_otherwise(
    value, random, change
):
    encoded = encode(value)
    sidecar = json.loads(encoded.types or '{"format":1,"tree":{}}')
    spots = list(_spots(sidecar))
    holder, key = random.choice(spots)
    holder[key] = change
    damaged = Encoded(
        document=encoded.document,
        types=json.dumps(sidecar),
        artifacts=encoded.artifacts,
    )
    try:
        decode(damaged)
    except DecodeError:
        return


def _spots(node):
    pairs = node.items() if isinstance(node, dict) else enumerate(node)
    for key, below in pairs:
        if key != "format":
            yield node, key
        if isinstance(below, (dict, list)):
            yield from _spots(below)


@settings(max_examples=300, deadline=None)
@given(plain_values, st.sampled_from(sorted(ENTRY_BY_TAG)))
def test_a_tag_on_any_document_is_refused_or_read(document, tag):
    try:
        read(document, tag)
    except DecodeError:
        return
