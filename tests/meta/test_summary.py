"""How large the parts of a State are; what is shared counts once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from ptutils.meta.state import State
from ptutils.meta.summary import Summary
from ptutils.testing.values import trees

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support")


def part(state: Any, *names: str) -> Summary:
    found: Summary = State(state).summary()
    for name in names:
        found = next(each for each in found.parts if each.name == name)
    return found


def test_leaves_elements_and_bytes_add_up() -> None:
    state = {
        "net": {"0.weight": torch.zeros(3, 4), "1": torch.zeros(5).bfloat16()},
        "count": np.zeros((2, 1), dtype=np.int64),
        "step": 3,
        "betas": (0.9, 0.99),
    }
    whole = part(state)
    assert (whole.leaves, whole.elements, whole.size_bytes) == (6, 19, 48 + 10 + 16)
    assert whole.dtypes == {"float32": 12, "bfloat16": 5, "int64": 2}
    net = part(state, "net")
    assert (net.leaves, net.elements, net.size_bytes) == (2, 17, 58)
    assert [each.name for each in net.parts] == ["0.weight", "1"]


def test_what_is_shared_counts_once_in_each_part() -> None:
    weight = torch.zeros(4, 2)
    state = {"a": {"own": weight, "same": weight, "view": weight.view(8)}, "b": weight}
    assert part(state).elements == 16
    assert part(state).size_bytes == 32
    assert (part(state, "b").elements, part(state, "b").size_bytes) == (8, 32)
    assert part(state, "a", "same").size_bytes == 32
    assert part(state, "a").leaves == 3


def test_what_has_no_memory_has_no_bytes() -> None:
    assert part({"a": torch.zeros(0, 3)}, "a").size_bytes == 0
    meta = part({"a": torch.zeros(5, device="meta")}, "a")
    assert (meta.elements, meta.size_bytes) == (5, 0)
    assert (part({}).leaves, part({"a": []}, "a").leaves) == (1, 1)


def test_a_container_inside_itself_ends() -> None:
    inner: list[Any] = [torch.zeros(2)]
    inner.append(inner)
    assert part({"a": inner}, "a").leaves == 2
    assert part({"a": inner, "b": inner}).elements == 2


def test_keys_of_any_type_are_named() -> None:
    names = [each.name for each in part({1: 0, ("a", 1): 0}).parts]
    assert names[0] == "1"
    assert len(names) == 2
    assert [each.name for each in part({2: {3: 0, 4: 0}}, "2").parts] == ["3", "4"]


def test_print_draws_what_holds_arrays() -> None:
    state = State(net={"w": torch.zeros(3 << 20)}, plain={"a": 1, "b": 2}, step=1)
    assert str(state.summary()).splitlines() == [
        "           leaves   elements    size  dtypes",
        "State           4  3,145,728  12 MiB  float32",
        "├── net         1  3,145,728  12 MiB  float32",
        "│   └── w       1  3,145,728  12 MiB  float32",
        "├── plain       2          0     0 B",
        "└── step        1          0     0 B",
    ]


def test_plain_values_tell_the_same() -> None:
    plain = State(net={"w": torch.zeros(3)}, step=1).summary().to_dict()
    assert plain["dtypes"] == {"float32": 3}
    (net,) = plain["parts"]
    assert (net["name"], net["size_bytes"]) == ("net", 12)
    assert net["parts"][0]["parts"] == []


@given(tree=trees)
@settings(deadline=None)
def test_any_state_is_summed_up(tree: object) -> None:
    whole = State(value=tree).summary()
    (value,) = whole.parts
    assert (whole.leaves, whole.elements) == (value.leaves, value.elements)
    assert whole.size_bytes == value.size_bytes


def test_a_name_of_any_text_stays_in_its_line() -> None:
    state = State({"a\n\x1b[31m": torch.ones(1), "": torch.ones(1)})
    lines = str(state.summary()).splitlines()
    assert [line.split()[1] for line in lines[2:]] == [r"'a\n\x1b[31m'", "''"]
