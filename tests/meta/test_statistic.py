"""Statistics are monoids: parts merge into the whole, to the bit, in any order."""

from __future__ import annotations

import itertools
import math
import struct
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ptutils.errors import EncodeError, StateMismatchError
from ptutils.meta.statistic import Count, Last, Max, Mean, Min, Statistic, Sum

_KINDS = [Sum, Mean, Count, Min, Max, Last]
_UNORDERED = [Sum, Mean, Count, Min, Max]
_Pairs: TypeAlias = list[tuple[Any, Any]]

_VALUES = st.floats() | st.integers(-(2**70), 2**70) | st.booleans()
_WEIGHTS = st.integers(0, 10**6) | st.floats(0, 1e300)
_PAIRS = st.lists(st.tuples(_VALUES, _WEIGHTS), max_size=6)
_FINITE = st.lists(
    st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 9)),
    min_size=1,
)


def _of(kind: type[Statistic], pairs: _Pairs) -> Statistic:
    statistic = kind()
    for value, weight in pairs:
        statistic.update(value, weight)
    return statistic


def _merged(*parts: Statistic) -> Statistic:
    whole = type(parts[0])()
    for part in parts:
        whole.merge(part)
    return whole


def _bits(statistic: Statistic) -> object:
    """Return what tells any two results apart, NaN equal to itself."""
    value = statistic.compute()
    same = struct.pack("d", value) if isinstance(value, float) else value
    return type(value), same, repr(statistic.state_dict())


@pytest.mark.parametrize("kind", _KINDS)
@given(pairs=_PAIRS, cuts=st.lists(st.integers(0, 6), max_size=3))
def test_parts_merge_into_the_whole(
    kind: type[Statistic], pairs: _Pairs, cuts: list[int]
) -> None:
    edges = [0, *sorted(cuts), len(pairs)]
    parts = [pairs[a:b] for a, b in itertools.pairwise(edges)]
    whole = _of(kind, pairs)
    assert _bits(_merged(*(_of(kind, part) for part in parts))) == _bits(whole)


@pytest.mark.parametrize("kind", _KINDS)
@given(one=_PAIRS, two=_PAIRS, three=_PAIRS)
def test_merging_is_associative(
    kind: type[Statistic], one: _Pairs, two: _Pairs, three: _Pairs
) -> None:
    a, b, c = (_of(kind, pairs) for pairs in (one, two, three))
    assert _bits(_merged(_merged(a, b), c)) == _bits(_merged(a, _merged(b, c)))


@pytest.mark.parametrize("kind", _UNORDERED)
@given(one=_PAIRS, two=_PAIRS)
def test_merging_is_commutative(
    kind: type[Statistic], one: _Pairs, two: _Pairs
) -> None:
    a, b = _of(kind, one), _of(kind, two)
    assert _bits(_merged(a, b)) == _bits(_merged(b, a))


@pytest.mark.parametrize("kind", _KINDS)
@given(pairs=_PAIRS)
def test_merging_nothing_changes_nothing(kind: type[Statistic], pairs: _Pairs) -> None:
    whole = _of(kind, pairs)
    assert _bits(_merged(whole, kind())) == _bits(whole)


@pytest.mark.parametrize("kind", _UNORDERED)
@given(pairs=_PAIRS, data=st.data())
def test_order_of_values_does_not_count(
    kind: type[Statistic], pairs: _Pairs, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(pairs))
    assert _bits(_of(kind, shuffled)) == _bits(_of(kind, pairs))


@pytest.mark.parametrize("kind", _KINDS)
@given(pairs=_PAIRS)
def test_state_loads_into_an_equal_statistic(
    kind: type[Statistic], pairs: _Pairs
) -> None:
    whole, loaded = _of(kind, pairs), kind()
    loaded.update(3.0)
    loaded.load_state_dict(whole.state_dict())
    assert _bits(loaded) == _bits(whole)


@given(_FINITE)
def test_mean_is_the_exact_quotient_rounded_once(pairs: _Pairs) -> None:
    total = sum(Fraction(value) * weight for value, weight in pairs)
    expected = float(total / sum(weight for _, weight in pairs))
    assert _of(Mean, pairs).compute() == expected


@given(st.lists(st.floats(-1e300, 1e300), max_size=20))
def test_sum_equals_fsum(values: list[float]) -> None:
    assert _of(Sum, [(value, 1) for value in values]).compute() == math.fsum(values)


def test_uneven_batches_are_weighted() -> None:
    assert _of(Mean, [(1.0, 64), (4.0, 32)]).compute() == 2.0


@pytest.mark.parametrize(
    ("kind", "nothing"),
    [(Sum, 0.0), (Count, 0), (Mean, None), (Min, None), (Max, None), (Last, None)],
)
def test_statistic_of_nothing(kind: type[Statistic], nothing: float | None) -> None:
    value = kind().compute()
    assert math.isnan(value) if nothing is None else value == nothing


@pytest.mark.parametrize("kind", _KINDS)
def test_value_of_weight_zero_is_not_there(kind: type[Statistic]) -> None:
    assert _bits(_of(kind, [(float("nan"), 0)])) == _bits(kind())


@pytest.mark.parametrize("kind", [Sum, Mean])
@pytest.mark.parametrize(
    ("values", "result"),
    [
        (["inf", "1"], "inf"),
        (["-inf", "1"], "-inf"),
        (["inf", "-inf"], "nan"),
        (["nan", "inf"], "nan"),
    ],
)
def test_infinite_values_add_up_as_in_ieee_754(
    kind: type[Statistic], values: list[str], result: str
) -> None:
    pairs = [(float(value), 2) for value in values]
    assert str(_of(kind, pairs).compute()) == result


@pytest.mark.parametrize("sign", [1, -1])
def test_sum_too_large_for_a_float_is_infinite(sign: int) -> None:
    assert _of(Sum, [(sign * 1e308, 2)]).compute() == sign * math.inf


@pytest.mark.parametrize("kind", [Sum, Mean, Min, Max])
def test_int_beyond_every_float_is_taken_in(kind: type[Statistic]) -> None:
    assert _of(kind, [(10**400, 1)]).compute() >= 10**400


def test_mean_of_large_values_does_not_overflow() -> None:
    assert _of(Mean, [(1e308, 1), (1e308, 1)]).compute() == 1e308


def test_count_of_parts_is_a_float() -> None:
    assert _of(Count, [(1.0, 0.5), (1.0, 0.25)]).compute() == 0.75


def test_min_and_max_keep_type_and_pass_over_nan() -> None:
    pairs = [(float("nan"), 1), (2, 1), (3, 1)]
    assert [_of(kind, pairs)() for kind in (Min, Max)] == [2, 3]


def test_last_is_the_last_of_the_last_part() -> None:
    assert _merged(_of(Last, [(1, 1)]), _of(Last, [(2, 1), (3, 1)]), Last())() == 3


def test_reset_forgets_what_was_read_and_what_was_not() -> None:
    total = _of(Sum, [(1.0, 1)])
    total.compute()
    total.update(2.0)
    total.reset()
    assert total.compute() == 0.0


def test_merging_leaves_the_other_as_it_is() -> None:
    other = _of(Sum, [(1.0, 1)])
    _merged(other, other)
    assert other.compute() == 1.0


def test_state_is_a_copy() -> None:
    total = _of(Sum, [(1.0, 1)])
    total.state_dict()["total"][0] = 7
    assert total.compute() == 1.0


def test_tensors_and_arrays_count_as_their_numbers() -> None:
    values = [torch.tensor(0.5), torch.tensor([2], dtype=torch.int64), np.float32(1.5)]
    values += [torch.tensor(2.0, requires_grad=True), torch.tensor(4.0).bfloat16()]
    assert _of(Sum, [(value, torch.tensor(1)) for value in values]).compute() == 10.0


def test_int64_tensors_beside_floats_stay_exact() -> None:
    values = [torch.tensor(2**53 + 1), torch.tensor(0.5)]
    assert _of(Max, [(value, 1) for value in values]).compute() == 2**53 + 1


def test_waiting_values_are_read_before_they_are_many() -> None:
    total = _of(Sum, [(1, 1)] * 5000)
    assert len(total._waiting) < 1024
    assert total.compute() == 5000


@pytest.mark.parametrize("weight", [-1, math.inf, math.nan])
def test_weight_that_is_none_is_refused(weight: float) -> None:
    total = _of(Sum, [(1.0, weight)])
    with pytest.raises(EncodeError, match="cannot weigh a value like this"):
        total.compute()


@pytest.mark.parametrize(
    "value",
    [
        torch.zeros(2),
        torch.zeros((), dtype=torch.complex64),
        np.zeros(2),
        np.complex64(1),
        "0.5",
        None,
        1j,
    ],
)
def test_what_is_not_one_real_number_is_refused(value: Any) -> None:
    total = _of(Sum, [(value, 1)])
    with pytest.raises(EncodeError, match="cannot read one number from this value"):
        total.compute()


def test_merging_two_kinds_is_refused() -> None:
    with pytest.raises(StateMismatchError, match="statistics of two kinds"):
        Sum().merge(Mean())  # type: ignore[arg-type]


def test_state_of_another_kind_is_refused() -> None:
    with pytest.raises(StateMismatchError, match="cannot load a Mean"):
        Mean().load_state_dict(Min().state_dict())


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
@pytest.mark.parametrize("kind", _KINDS)
def test_statistic_saved_to_a_file_loads_equal(
    tmp_path: Any, kind: type[Statistic], suffix: str
) -> None:
    whole = _of(kind, [(1e300, 1e300), (0.1, 3), (math.inf, 1)])
    path = whole.save(tmp_path / f"statistic{suffix}")
    assert _bits(kind.load(path)) == _bits(whole)
