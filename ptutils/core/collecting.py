"""Collecting: one walk over a tree of Modules gathers the State of all in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ptutils.core.tree import is_module, is_net, parts, unsaved_buffers
from ptutils.errors import EncodeError
from ptutils.meta.state import State, adopted
from ptutils.meta.values import Value

__all__ = ["Collection"]


class Collection:
    """The state of a Module and everything below it, nested along the tree.

    Empty parts are left out. A child under two paths gives the same object twice.

    Args:
        module: The root.

    Attributes:
        state: What was collected; tensors are live, not copies.
        shape: Which objects are where. Equal shapes mean an equal config, while the
            objects live.
        objects: They.

    Raises:
        EncodeError: If two children would share a path, such as those under the keys
            ``1`` and ``"1"`` of one dict.
    """

    def __init__(self, module: Any) -> None:
        self.shape: list[int | str] = []
        self.objects: list[Any] = [module]
        self._states: list[Value] = []  # Whose ids stay their own meanwhile.
        self._memo: dict[int, Value] = {}
        self._adopted: dict[int, State] = {}
        self.state = self._of(module)

    def _of(self, module: Any) -> State:
        node = self._memo[id(module)] = _empty()
        module._before_save()
        if module.state:
            dict.__setitem__(node, "state", _copied(module.state))
        every = parts(module)
        _require_different(every)
        self.shape.append(len(module._ptutils.replaced))
        for path, child in every:
            number = id(child)
            self.shape += (path, number)
            if number not in self._memo:
                self.objects.append(child)
                self._memo[number] = (
                    self._of(child) if is_module(child) else self._foreign(child)
                )
            if self._memo[number]:
                _insert(node, path, self._memo[number])
        return node

    def _foreign(self, child: Any) -> Value:
        state = child.state_dict()
        if is_net(child):
            for path, holder, name in unsaved_buffers(child):
                if getattr(holder, name) is not None:
                    state[path] = getattr(holder, name)
        self._states.append(state)
        return adopted(state, self._adopted)


def _empty() -> State:
    return State.__new__(State)  # Its constructor looks at what it is given.


def _copied(state: State) -> State:
    copy = _empty()
    dict.update(copy, state)
    return copy


def _require_different(every: Iterable[tuple[str, Any]]) -> None:
    """Refuse children of which one's path equals or runs through another's."""
    paths = [path for path, _ in every]
    if not any("." in path for path in paths):
        return  # Attributes of one object.
    taken: set[str] = set()
    for path in paths:
        names = path.split(".")
        outer = {".".join(names[:end]) for end in range(1, len(names) + 1)}
        through = any(other.startswith(f"{path}.") for other in taken)
        if through or outer & taken:
            raise EncodeError(
                "cannot save two children under one path",
                path=path,
                expected="a path of its own for each child",
                got="keys that are written alike",
                fix="give the children other keys in their dict",
            )
        taken.add(path)


def _insert(node: State, path: str, value: Value) -> None:
    *parents, last = path.split(".") if "." in path else (path,)
    for name in parents:
        below = dict.get(node, name)
        if below is None:
            below = _empty()
            dict.__setitem__(node, name, below)
        node = below
    dict.__setitem__(node, last, value)
