"""Exact or refused, searched: in every format, whole and damaged."""

from __future__ import annotations

import functools

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ptutils.errors import EncodeError, PtutilsError
from ptutils.meta.formats import read, write
from ptutils.testing.sameness import same
from ptutils.testing.values import any_text, trees
from tests.fuzz import examples

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support")
SUFFIXES = [
    *(".json", ".yaml", ".pt", ".safetensors"),
    *(".npz", ".h5", ".lmdb", ".tfrecord"),
]
SEARCH = {
    "deadline": None,
    "database": None,
    "suppress_health_check": [
        *(HealthCheck.function_scoped_fixture, HealthCheck.too_slow),
        HealthCheck.data_too_large,
    ],
}
REFUSED = [
    object(),
    len,
    type("Text", (str,), {})("a"),
    torch.nn.Linear(1, 1),
    torch.ones(1, requires_grad=True) * 2,
]


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=examples(30), **SEARCH)
@given(value=trees)
def test_any_value_comes_back_from_its_file(tmp_path, suffix, value):
    assert same(read(write(tmp_path / f"value{suffix}", value)), value)


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=examples(5), **SEARCH)
@given(value=trees, key=any_text, refused=st.sampled_from(REFUSED))
def test_what_cannot_be_stored_is_refused_with_its_path(
    tmp_path, suffix, value, key, refused
):
    path = tmp_path / f"value{suffix}"
    with pytest.raises(EncodeError) as caught:
        write(path, {"a": [value, {key: refused}]})
    assert caught.value.path.startswith("a.1")
    assert not path.exists()


@functools.cache
def content_of(folder, suffix):
    torch.manual_seed(0)
    value = {
        "net": {"w": torch.randn(20, 30), "b": torch.randn(3).bfloat16()},
        "view": torch.randn(4, 4).t(),
        "lr": [0.1, float("nan")],
        "names": {"a": ("x", 2**70)},
    }
    return value, write(folder / f"whole{suffix}", value).read_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("whole")


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=examples(30), **SEARCH)
@given(
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), max_size=3),
    end=st.just(1.0) | st.floats(0, 1),
)
def test_a_damaged_file_is_refused_or_harmless(tmp_path, folder, suffix, flips, end):
    value, whole = content_of(folder, suffix)
    content = bytearray(whole[: round(end * len(whole))])
    for place, mask in flips:
        if content:
            content[round(place * (len(content) - 1))] ^= mask
    path = tmp_path / f"value{suffix}"
    path.write_bytes(content)
    try:
        back = read(path)
    except PtutilsError:
        return
    # People edit texts; in all other formats nothing changes unnoticed.
    assert suffix in (".json", ".yaml") or same(back, value)
