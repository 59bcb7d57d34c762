from __future__ import annotations

import copy
import enum
import functools
import gc
import inspect
from dataclasses import dataclass

import pytest
import torch

from ptutils.errors import ConfigError
from ptutils.meta import registry
from ptutils.meta.registry import (
    bind,
    bind_partial,
    name_of,
    recall,
    register,
    registered,
    remember,
    remember_copies,
)


@pytest.fixture(autouse=True)
def unregistered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_BY_NAME", dict(registry._BY_NAME))


def test_class_is_registered_under_its_own_name() -> None:
    @register
    class Plain:
        pass

    assert registered()["Plain"] is Plain
    assert name_of(Plain) == "Plain"


def test_class_is_registered_under_a_given_name() -> None:
    @register(name="lab/plain")
    class Plain:
        pass

    assert registered()["lab/plain"] is Plain
    assert name_of(Plain) == "lab/plain"


def test_unregistered_class_has_no_name() -> None:
    assert name_of(dict) is None


def test_table_of_names_is_a_copy() -> None:
    assert registered() is not registered()


def test_name_of_another_class_is_refused() -> None:
    register(torch.nn.Bilinear, name="taken")
    with pytest.raises(ConfigError, match=r"cannot register torch\.nn\.modules"):
        register(torch.nn.Identity, name="taken")


def test_class_that_is_defined_anew_replaces_the_old_one() -> None:
    def cell(width: int) -> type:
        @register
        class Cell:
            default = width

        return Cell

    first, second = cell(1), cell(2)
    assert registered()["Cell"] is second
    assert name_of(first) is None


def test_partial_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected: a class or a function"):
        register(functools.partial(int, base=2))


def test_function_is_registered() -> None:
    @register
    def make_net(width: int) -> int:
        return width

    assert registered()["make_net"](3) == 3


def test_instance_remembers_its_arguments() -> None:
    @register
    class Net(torch.nn.Module):
        def __init__(self, width: int, *depths: int, bias: bool = True, **more: int):
            super().__init__()

    net = Net(3, 4, 5, bias=False, extra=6)
    expected = {"width": 3, "args": [4, 5], "bias": False, "extra": 6}
    assert recall(net) == (Net, expected)


def test_defaults_that_were_not_given_are_left_out() -> None:
    @register
    class Net:
        def __init__(self, width: int = 3) -> None:
            self.width = width

    assert recall(Net()) == (Net, {})


def test_later_change_of_an_argument_changes_no_memory() -> None:
    @register
    class Net:
        def __init__(self, widths: list[int], sizes: dict[str, list[int]]) -> None:
            widths.clear()

    widths, sizes = [1, 2], {"a": [1]}
    net = Net(widths, sizes)
    sizes["a"].append(2)
    assert recall(net) == (Net, {"widths": [1, 2], "sizes": {"a": [1]}})


def test_arguments_that_hold_themselves_are_remembered() -> None:
    @register
    class Net:
        def __init__(self, graph: object) -> None:
            pass

    graph: list[object] = []
    graph.append((graph, {"again": graph}))
    net = Net(graph)
    memory = recall(net)
    assert memory is not None
    held = memory[1]["graph"]
    assert held is not graph
    assert held[0][0] is held


def test_subclass_of_a_registered_class_has_no_memory() -> None:
    @register
    class Base:
        def __init__(self, width: int) -> None:
            self.width = width

    class Derived(Base):
        def __init__(self) -> None:
            super().__init__(3)

    derived = Derived()
    assert derived.width == 3
    assert recall(derived) is None


def test_wrong_call_fails_as_the_class_itself_does() -> None:
    @register
    class Net:
        def __init__(self, width: int) -> None:
            pass

    with pytest.raises(TypeError, match="width"):
        Net()  # type: ignore[call-arg]


def test_class_with_only_new_remembers_its_arguments() -> None:
    @register
    class Point:
        def __new__(cls, x: int) -> Point:
            return super().__new__(cls)

    assert recall(Point(3)) == (Point, {"x": 3})


def test_class_without_constructor_remembers_that_it_got_nothing() -> None:
    @register
    class Empty:
        pass

    assert recall(Empty()) == (Empty, {})


def test_registering_twice_keeps_one_memory() -> None:
    class Net:
        def __init__(self, width: int) -> None:
            pass

    register(Net)
    wrapped = Net.__init__
    register(Net)
    assert Net.__init__ is wrapped


def test_enum_dataclass_and_named_tuple_are_stored_by_value() -> None:
    @register
    class Colour(enum.Enum):
        RED = 1

    @register
    @dataclass
    class Point:
        x: int

    assert recall(Colour.RED) is None
    assert recall(Point(1)) is None


def test_module_of_ours_is_not_wrapped() -> None:
    class Ours:
        _ptutils_is_module = True

        def __init__(self) -> None:
            pass

    original = Ours.__init__
    assert register(Ours).__init__ is original


def test_memory_ends_with_its_instance() -> None:
    net = torch.nn.Identity()
    key = id(net)
    remember(net, torch.nn.Identity, {})
    assert key in registry._MEMORY
    del net
    gc.collect()
    assert key not in registry._MEMORY


def test_memory_is_not_confused_with_that_of_an_earlier_object_at_its_place() -> None:
    old, new = torch.nn.Identity(), torch.nn.Identity()
    remember(old, torch.nn.Identity, {"old": 1})
    registry._MEMORY[id(new)] = registry._MEMORY[id(old)]
    assert recall(new) is None
    del registry._MEMORY[id(new)]


def test_object_that_takes_no_weak_reference_has_no_memory() -> None:
    remember(3, int, {"x": 3})
    assert recall(3) is None


def test_memory_leaves_the_instance_as_it_is() -> None:
    net = torch.nn.Linear(1, 1)
    before = dict(vars(net))
    remember(net, torch.nn.Linear, {"in_features": 1})
    assert vars(net).keys() == before.keys()


def test_deep_copies_get_memories_of_their_own() -> None:
    layer = torch.nn.Linear(1, 1)
    net = torch.nn.Sequential(layer)
    remember(layer, torch.nn.Linear, {"in_features": 1, "out_features": 1})
    remember(net, torch.nn.Sequential, {"args": [layer]})
    memo: dict[int, object] = {}
    twin = copy.deepcopy(net, memo)
    remember_copies(memo)
    memory = recall(twin)
    assert memory is not None
    assert memory[1]["args"][0] is twin[0]
    assert recall(twin[0]) == recall(layer)


@pytest.mark.parametrize("name", ["class", "args"])
def test_keyword_that_means_something_else_in_a_config_is_refused(name: str) -> None:
    @register
    class Net:
        def __init__(self, **more: int) -> None:
            pass

    with pytest.raises(ConfigError, match=f"cannot write down the argument '{name}'"):
        Net(**{name: 1})


def test_binding_keeps_positions_and_names() -> None:
    def call(a: int, *rest: int, key: int = 0, **more: int) -> None: ...

    assert bind_partial(inspect.signature(call), (), {"key": 3}) == {"key": 3}
    bound = bind(inspect.signature(call), (1, 2), {"key": 3, "x": 4})
    assert bound == {"a": 1, "args": [2], "key": 3, "x": 4}
