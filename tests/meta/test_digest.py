"""The digest of a State: equal for equal bits in any process, different for others."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from ptutils.meta.codec import decode, encode
from ptutils.meta.digest import state_digest
from ptutils.meta.state import State
from ptutils.testing.sameness import same
from ptutils.testing.values import trees

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support")

MAKE = """
import numpy, torch
from ptutils.meta.state import State
shared = torch.arange(6.0).reshape(2, 3)
state = State(
    weights={"0.weight": shared, "tied": shared, "half": shared[1].bfloat16()},
    names={"red", "green", "blue", ("a", 1)}, betas=(0.9, float("nan")),
    draws=numpy.random.default_rng(3).bit_generator.state, steps={1: None, "1": True},
)
"""


def made() -> State:
    names: dict[str, State] = {}
    exec(MAKE, names)  # noqa: S102 - our own text, run in two processes
    return names["state"]


@pytest.mark.parametrize("seed", ["1", "2"])
def test_a_state_has_the_same_digest_in_other_processes(seed: str) -> None:
    found = subprocess.run(
        [sys.executable, "-c", f"{MAKE}\nprint(state.digest())"],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        check=True,
        text=True,
    )
    assert found.stdout.strip() == made().digest()


@given(tree=trees)
@settings(deadline=None)
def test_what_comes_back_has_the_digest_of_what_was_stored(tree: object) -> None:
    encoded = encode(State(value=tree))
    assert state_digest(encoded) == decode(encoded).digest()


@given(left=trees, right=trees)
@settings(deadline=None)
def test_states_that_differ_have_different_digests(left: object, right: object) -> None:
    digests = [State(value=value).digest() for value in (left, right)]
    assert same(left, right) or digests[0] != digests[1]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("betas", (0.9, 0.0)),
        ("betas", [0.9, float("nan")]),
        ("names", {"red", "green", "blue"}),
        ("names", frozenset({"red", "green", "blue", ("a", 1)})),
        ("weights.half", torch.arange(3, 6, dtype=torch.float16)),
        ("weights.tied", torch.arange(6.0).reshape(2, 3)),
        ("weights.tied", torch.arange(6.0)),
        ("weights.tied", np.arange(6, dtype=np.float32).reshape(2, 3)),
        ("steps", {1: None, "1": 1}),
        ("steps", {"1": True, 1: None}),
    ],
)
def test_another_leaf_type_order_or_sharing_gives_another_digest(
    path: str, value: object
) -> None:
    state = made()
    *above, name = path.split(".")
    (state[above[0]] if above else state)[name] = value
    assert state.digest() != made().digest()


def test_a_flipped_bit_gives_another_digest() -> None:
    state = made()
    state.weights.half.view(torch.uint8)[0] ^= 1
    assert state.digest() != made().digest()
