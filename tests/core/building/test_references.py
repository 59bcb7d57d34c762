from __future__ import annotations

from typing import Any

import pytest

from ptutils.core.building.references import is_reference, places, reference_faults


def texts(config: dict[str, Any], provided: tuple[str, ...] = ()) -> list[str]:
    return [str(fault) for fault in reference_faults(config, provided)]


def test_reference_is_a_dict_with_ref_alone() -> None:
    assert is_reference({"ref": "a"})
    assert not is_reference({"ref": "a", "class": "b"})
    assert not is_reference("ref")


def test_places_are_named_by_keys_and_positions() -> None:
    assert [path for path, _ in places({"a": [1, {"b": 2}], "c": [1, 2]})] == [
        "",
        "a",
        "a.0",
        "a.1",
        "a.1.b",
        "c",
    ]


def test_nothing_below_what_is_provided_is_a_place() -> None:
    assert dict(places({"a": {"b": 1}}, provided={"a"})).keys() == {"", "a"}


def test_reference_to_a_place_is_fine() -> None:
    assert texts({"a": {"class": "X"}, "b": {"ref": "a"}, "c": [{"ref": "b"}]}) == []


def test_reference_to_nowhere_is_named_with_the_nearest() -> None:
    (text,) = texts({"encoder": {"class": "X"}, "b": {"ref": "encodr"}})
    assert "bad reference at 'b'" in text
    assert "did you mean 'ref: encoder'" in text


@pytest.mark.parametrize("target", ["zzzzzz", 3, None, ["a"]])
def test_reference_to_nothing_like_it_is_named(target: object) -> None:
    (text,) = texts({"encoder": 1, "b": {"ref": target}})
    assert "correct the path" in text


@pytest.mark.parametrize(
    "config",
    [
        {"a": {"ref": "a"}},
        {"a": {"class": "X", "b": {"ref": "a"}}},
        {"a": {"b": {"c": {"ref": ""}}}},
    ],
)
def test_reference_to_what_holds_it_is_a_circle(config: dict[str, Any]) -> None:
    (text,) = texts(config)
    assert "circular reference" in text


def test_circle_of_two_is_named_on_both_sides() -> None:
    found = texts({"a": {"class": "X", "x": {"ref": "b"}}, "b": {"x": {"ref": "a"}}})
    assert [text.splitlines()[0] for text in found] == [
        "circular reference at 'a.x'",
        "circular reference at 'b.x'",
    ]


def test_reference_into_a_circle_is_no_part_of_it() -> None:
    found = texts({"a": {"x": {"ref": "a"}}, "b": {"ref": "a"}})
    assert [text.splitlines()[0] for text in found] == ["circular reference at 'a.x'"]


def test_reference_to_what_is_provided_is_fine() -> None:
    assert (
        texts({"a": {"class": "X", "b": {"ref": "q"}}, "c": {"ref": "a"}}, ("a",)) == []
    )


def test_reference_into_what_is_provided_leads_nowhere() -> None:
    (text,) = texts({"a": {"b": {"class": "X"}}, "c": {"ref": "a.b"}}, ("a",))
    assert "bad reference at 'c'" in text


def test_provided_reference_is_not_followed() -> None:
    assert texts({"a": {"ref": "nowhere"}}, ("a",)) == []


def test_many_paths_through_shared_references_are_walked_once() -> None:
    levels = 60
    config: dict[str, Any] = {
        f"l{i}": [{"ref": f"l{i + 1}"}, {"ref": f"l{i + 1}"}] for i in range(levels)
    }
    assert texts({**config, f"l{levels}": 1}) == []
