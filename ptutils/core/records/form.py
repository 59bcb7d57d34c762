"""Forms: what values must look like, made into functions that tell it quickly.

Lists of runs are read often. The functions only tell right from wrong; where something
is wrong, it is looked for once more, to name it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from ptutils.meta.values import Document, Value

__all__ = ["Form", "Shape"]

Form: TypeAlias = "type[Any] | tuple[Any, ...] | list[Any] | dict[str, Any] | None"
"""A type; one of several, the most telling last; a list of; a dict with at least these
names, of which those that end with ``?`` may be missing; None."""

_Test: TypeAlias = Callable[[Value], bool]


class Shape:
    """What values must look like.

    Args:
        form: Says it; see :data:`Form`.

    Attributes:
        fits: Tells whether a value does.
    """

    def __init__(self, form: Form) -> None:
        self._form = form
        self.fits: _Test = _test_of(form)

    def fault(self, value: Value) -> str:
        """Return what is wrong, and where, or "" if nothing is."""
        return "" if self.fits(value) else _fault(value, self._form, "")


class _Missing:
    """Stands for what is not there."""


_MISSING: Final = _Missing()


def _test_of(form: Form) -> _Test:
    if isinstance(form, dict):
        return _test_of_names(form)
    if isinstance(form, list):
        fits = _test_of(form[0])
        return lambda value: type(value) is list and all(map(fits, value))
    kinds = _kinds_of(form)
    if kinds is not None:
        return lambda value: type(value) in kinds
    return _test_of_choices(_choices(form))


def _test_of_choices(choices: tuple[Form, ...]) -> _Test:
    """Return a test that asks for the types that say it all first: they are cheap."""
    simple = frozenset[type]().union(*(_kinds_of(each) or () for each in choices))
    tests = [_test_of(each) for each in choices if _kinds_of(each) is None]
    return lambda value: type(value) in simple or any(fits(value) for fits in tests)


def _test_of_names(form: dict[str, Form]) -> _Test:
    inner = {
        name.removesuffix("?"): (_Missing, each) if name.endswith("?") else each
        for name, each in form.items()
    }
    found = {name: _kinds_of(each) for name, each in inner.items()}
    leaves = [(name, kinds) for name, kinds in found.items() if kinds is not None]
    others = [(name, _test_of(inner[name])) for name in found if found[name] is None]

    def fits_all(value: Value) -> bool:
        if type(value) is not dict:
            return False
        get = value.get
        for name, kinds in leaves:
            if type(get(name, _MISSING)) not in kinds:
                return False
        return all(fits(get(name, _MISSING)) for name, fits in others)

    return fits_all


def _choices(form: Form) -> tuple[Form, ...]:
    return form if isinstance(form, tuple) else (form,)


def _kinds_of(form: Form) -> frozenset[type] | None:
    """Return the types that values may have, or None if these do not say it all."""
    kinds: list[Any] = [type(None) if each is None else each for each in _choices(form)]
    return None if any(type(each) is not type for each in kinds) else frozenset(kinds)


def _fault(value: Value, shape: Any, path: str) -> str:
    if isinstance(shape, tuple):
        faults = [_fault(value, each, path) for each in shape]
        return "" if "" in faults else faults[-1]
    if isinstance(shape, dict):
        return _fault(value, dict, path) or _fault_inside(value, shape, path)
    if isinstance(shape, list):
        rows = enumerate(value) if type(value) is list else ()
        inner = (_fault(item, shape[0], f"{path}.{i}") for i, item in rows)
        return _fault(value, list, path) or next(filter(None, inner), "")
    is_right = value is None if shape is None else type(value) is shape
    wanted = "null" if shape is None else shape.__name__
    return "" if is_right else f"{path.lstrip('.')}: {value!r:.60}, not {wanted}"


def _fault_inside(value: Document, shape: dict[str, Any], path: str) -> str:
    for name, inner in shape.items():
        known = name.removesuffix("?")
        if known in value:
            fault = _fault(value[known], inner, f"{path}.{known}")
        else:
            fault = "" if name != known else f"no {f'{path}.{known}'.lstrip('.')}"
        if fault:
            return fault
    return ""
