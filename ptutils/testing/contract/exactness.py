"""Exactness: whatever the codec stores comes back equal, of the same types, shared."""

from __future__ import annotations

import datetime as dt
import math
from fractions import Fraction
from typing import Any, Final

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings

from ptutils.core.dbinterface import DBInterface
from ptutils.meta.values import Value
from ptutils.testing.contract.base import Contract
from ptutils.testing.sameness import same
from ptutils.testing.values import trees

__all__ = ["ExactnessContract"]

HARD: Final[dict[str, Value]] = {
    "ints of any size": [2**63 - 1, 2**63, -(2**63) - 1, 2**5000],
    "numbers that are none": [math.nan, math.inf, -math.inf, -0.0, 0.0],
    "one as three types": [1, 1.0, True, np.int8(1), np.float32(1)],
    "microseconds": dt.datetime(2026, 1, 2, 3, 4, 5, 678901),
    "aware and naive": [dt.datetime.min, dt.datetime.max.replace(tzinfo=dt.UTC)],
    "time zones": dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=-3.5))),
    "durations": [dt.timedelta(microseconds=-1), dt.timedelta.max],
    "bytes": [b"", b"\0\xff", bytearray(b"a"), bytes(5000)],
    "tuples and sets": [(), (1, (2,)), {1, "1", (3,)}, frozenset({None})],
    "keys that are no text": {1: "a", "1": "b", None: "c", (1, 2): "d", 2.5: "e"},
    "keys with dots and dollars": {"a.b": {"$set": 1}, "$where": 2, "": 3, ".": {}},
    "keys that we use ourselves": {"_ptutils": {"types": 1}, "$float": "NaN", "_id": 4},
    "unicode": ["é", "\0", "\ud800", "\U0001f600", {"\ud800": "a\0b"}, "\u2028"],
    "empty containers": [[], {}, (), set(), [[]], {"a": {}}],
    "other numbers": [1j, complex(math.nan, -0.0), Fraction(1, 3), range(3)],
    "bfloat16": torch.arange(3000, dtype=torch.bfloat16),
    "float8": torch.zeros(2000, dtype=torch.float8_e4m3fn),
    "empty tensors": [torch.empty(0), torch.empty(0, 3), np.empty((2, 0))],
    "a scalar tensor": torch.tensor(1.5, requires_grad=True),
    "a parameter": torch.nn.Parameter(torch.ones(2)),
    "strides": [torch.ones(40, 50).T, torch.ones(1).expand(3), np.ones((60, 40)).T],
    "unsigned": torch.tensor([2**64 - 1], dtype=torch.uint64),
    "structured": np.zeros(400, dtype=[("a", ">f4"), ("b", "S3")]),
}


def shared() -> Value:
    """Return tensors that share a storage, and a list that is there twice."""
    base = torch.arange(4000.0)
    again = [1]
    return {"base": base, "part": base[100:200], "same": base, "lists": [again, again]}


class ExactnessContract(Contract):
    """Values of every kind, through the database and back."""

    @pytest.mark.parametrize("name", HARD)
    def test_hard_values_come_back(self, db: DBInterface, name: str) -> None:
        identity = db.save({"value": HARD[name]})
        assert same(db.load(identity)["value"], HARD[name])

    def test_sharing_comes_back(self, db: DBInterface) -> None:
        found = db.load(db.save(shared()))
        found["base"][150] = -1
        assert found["part"][50] == -1
        assert found["same"] is found["base"]
        assert found["lists"][0] is found["lists"][1]

    def test_order_of_keys_comes_back(self, db: DBInterface) -> None:
        names = [*"zyx", 3, "0", "$", "a.b", 1, "1"]
        found = db.load(db.save({"value": dict.fromkeys(names)}))
        assert list(found["value"]) == names

    @pytest.mark.filterwarnings("ignore:ComplexHalf support")
    @settings(
        max_examples=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(value=trees)
    def test_any_value_comes_back(self, db: DBInterface, value: Any) -> None:
        identity = db.save({"value": value})
        assert same(db.load(identity)["value"], value)
        db._delete("documents", {})

    def test_document_of_more_than_16_mb_comes_back(self, db: DBInterface) -> None:
        text = "0123456789abcdef" * 2**20
        value = {"_id": 1, "name": "big", "text": text, "parts": [text[:99999]] * 40}
        db.save(value)
        db.save({"_id": 2, "name": "small"})
        assert db.load({"name": "big"}) == value
        assert [each["_id"] for each in db.find(projection=["name"])] == [1, 2]

    def test_large_document_is_found_updated_and_deleted(self, db: DBInterface) -> None:
        db.save({"_id": 1, "n": 1, "list": ["x" * 100_000] * 170 + ["last"]})
        assert db.update({"n": 1}, {"$set": {"n": 2}, "$push": {"list": "new"}}) == 1
        assert db.exists({"n": 2, "list": {"$all": ["last", "new"]}})
        assert (db.delete({"n": 2}), db.find()) == (1, [])

    def test_large_array_of_which_little_changed_is_stored_for_little(
        self, db: DBInterface
    ) -> None:
        embedding = np.arange(26_000_000, dtype=np.float32).reshape(26_000, 1000)
        first = db.save({"embedding": embedding})
        before = db._stored()
        embedding[[2, 25_999]] = -1
        second = db.save({"embedding": embedding})
        new = [each.size for name, each in db._stored().items() if name not in before]
        assert len(before) == 7
        assert sum(new) <= 32 << 20
        assert np.array_equal(db.load(second)["embedding"], embedding)
        assert db.load(first)["embedding"][25_999, 999] == 25_999_999
