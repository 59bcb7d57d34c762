from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from ptutils.core.restoring.part import Mode, Part
from ptutils.errors import ConfigError
from tests.core.samples import Branch, net


def test_part_is_all_of_a_state_exactly_by_default() -> None:
    part = Part()
    assert (part.select, part.rename) == (None, None)
    assert {part.missing, part.unexpected, part.mismatched} == {Mode.ERROR}


def test_names_to_select_may_be_given_once_only() -> None:
    part = Part(select=iter(["left", re.compile("t$")]))
    assert part.select == ["left", re.compile("t$")]


def test_mode_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot treat what is missing") as refused:
        Part(missing="skipp")
    assert refused.value.expected == "error, warn, skip, initialize"
    assert refused.value.fix == "did you mean 'skip'?"


def test_mode_like_no_other_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"got: +'1'"):
        Part(mismatched=1)  # type: ignore[arg-type]


def test_what_the_tree_lacks_cannot_be_initialized() -> None:
    with pytest.raises(ConfigError, match="cannot treat what is unexpected"):
        Branch(net()).load_state_dict({}, unexpected="initialize")


@pytest.mark.parametrize("mode", ["error", "warn", "skip", "initialize"])
def test_modes_leave_what_fits_alone(mode: str, caplog: Any) -> None:
    old, new = Branch(net(), net()), Branch(net(), net())
    modes: Any = {"missing": mode, "mismatched": mode}
    report = new.load_state_dict(old.state_dict(), **modes)
    assert torch.equal(new.right.weight, old.right.weight)
    assert len(report.loaded) == 4
    assert report.initialized == ()
    assert caplog.records == []
