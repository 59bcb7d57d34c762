"""Check a whole config before anything is built, and report every fault at once.

The result is the same config made definite: classes in place of names, tuples where a
parameter's type asks for one, ``class`` filled in where the type leaves no choice.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from ptutils.core.building.hints import classes_in, coerce, item_hint, kinds_in
from ptutils.core.building.late import Late, late_parameter
from ptutils.core.building.references import is_reference, reference_faults
from ptutils.core.building.signature import (
    arranged,
    by_name,
    hints_of,
    holds_positions,
    positional,
    signature_of,
    spread,
)
from ptutils.core.building.trust import name_for, resolve
from ptutils.errors import ConfigError, PtutilsError, nearest
from ptutils.meta.config import Config
from ptutils.meta.registry import Registered
from ptutils.meta.values import Value

__all__ = ["argument_faults", "checked"]


def checked(
    config: Config,
    *,
    trust: Iterable[str] = (),
    provide: Mapping[str, Value] | None = None,
    known: Iterable[Registered] = (),
) -> Value:
    """Return the config made definite.

    Raises:
        ConfigError: With all faults: unknown, missing and mistyped arguments, unknown
            classes, bad references, cycles, opaque objects that were not provided.
        TrustError: If all of the faults are untrusted names.
    """
    check = _Check(trust, provide or {}, known)
    plain = config.interpolate()
    definite = check.value(dict(plain), Any, "")
    faults = [*check.faults, *check.unused(), *reference_faults(plain, check.provide)]
    if faults:
        raise ConfigError.combine("cannot build this config", faults)
    return definite


class _Check:
    """One walk over one config, collecting faults."""

    def __init__(
        self,
        trust: Iterable[str],
        provide: Mapping[str, Value],
        known: Iterable[Registered],
    ) -> None:
        self.trust = [trust] if isinstance(trust, str) else list(trust)
        self.provide = provide
        self.known = {name_for(target): target for target in known}
        self.faults: list[PtutilsError] = []
        self._used: set[str] = set()

    def value(self, value: Value, hint: Any, path: str) -> Value:
        """Check whatever stands at ``path`` against the type ``hint``."""
        if path in self.provide:
            self._used.add(path)
            return value
        value = _with_class(value, hint)
        if isinstance(value, dict):
            if "class" in value:
                return self._buildable(value, hint, path)
            if is_reference(value):
                return value
        if _has_buildable(value, hint) or self._provides_below(path):
            return self._container(value, hint, path)
        return self._plain(value, hint, path)

    def unused(self) -> list[PtutilsError]:
        """Return a fault for each provided path that the config does not have."""
        return [
            ConfigError(
                "cannot provide an object",
                path=path,
                expected="a path of the config",
                got=repr(path),
                fix="give the dotted path of what the object stands in for",
            )
            for path in self.provide
            if path not in self._used
        ]

    def _container(self, value: Value, hint: Any, path: str) -> Value:
        """Check a list, tuple or dict with something to build inside, item by item."""
        kind = type(value)
        admitted = classes_in(hint)
        fits = [taken for taken in admitted if issubclass(kind, taken)]
        if admitted and not fits and kind is list and tuple in admitted:
            kind = tuple
        elif admitted and not fits and not (kind is tuple and list in admitted):
            expected = kinds_in(hint)
            self._fault("wrong type", path=path, expected=expected, got=kind.__name__)
        inner = item_hint(hint, kind)
        if kind is dict:
            return {k: self.value(v, inner, _join(path, k)) for k, v in value.items()}
        return kind(
            self.value(item, inner, _join(path, index))
            for index, item in enumerate(value)
        )

    def _buildable(self, value: dict[str, Value], hint: Any, path: str) -> Value:
        settings = {key: item for key, item in value.items() if key != "class"}
        if settings == {"opaque": True}:
            self._fault(
                f"cannot rebuild the {value['class']} that was made by hand",
                path=path,
                expected="an object to use here: its config was not captured",
                got="nothing provided",
                fix=f"pass provide={{{path!r}: ...}}, or register its class with "
                "@ptutils.register before making it",
            )
            return value
        target = self._target(value["class"], path)
        hints: Mapping[str, Any] = {}
        definite: dict[str, Value] = {"class": target}
        if target is not None:
            self._kind(target, hint, path)
            self.faults += argument_faults(target, settings, path)
            hints = _hints(target, settings)
        for key, item in settings.items():
            place = _join(path, key)
            if target is not None and _is_positions(target, key, item):
                definite[key] = [
                    self.value(v, hints.get(f"args.{i}", Any), _join(place, i))
                    for i, v in enumerate(item)
                ]
            else:
                definite[key] = self.value(item, hints.get(key, Any), place)
        return definite

    def _target(self, name: Value, path: str) -> Registered | None:
        place = _join(path, "class")
        try:
            target = self._resolved(name, place)
        except PtutilsError as error:
            self.faults.append(error)
            return None
        if _open_hooks(target):
            self._fault(
                f"cannot build the abstract {name_for(target)}",
                path=place,
                expected="a class that fills its hooks",
                got=f"no {', no '.join(sorted(_open_hooks(target)))}",
                fix="name one of the classes derived from it",
            )
        return target

    def _resolved(self, name: Value, path: str) -> Registered:
        if isinstance(name, str):
            known = self.known.get(name)
            return known or resolve(name, trust=self.trust, path=path)
        if inspect.isclass(name) or inspect.isroutine(name):
            return name
        raise ConfigError(
            "cannot build this",
            path=path,
            expected="the name of a class",
            got=f"{name!r} ({type(name).__name__})",
            fix="write the name as a text",
        )

    def _kind(self, target: Registered, hint: Any, path: str) -> None:
        classes = classes_in(hint)
        if not classes or not isinstance(target, type):
            return
        if late_parameter(target) is not None and Late in classes:
            return
        if not _is_one_of(target, classes):
            self._fault(
                f"cannot use a {name_for(target)} here",
                path=path,
                expected=" or ".join(kind.__qualname__ for kind in classes),
                got=name_for(target),
                fix="name a class of the expected kind",
            )

    def _plain(self, value: Value, hint: Any, path: str) -> Value:
        if hint is Any:
            return value
        try:
            return coerce(value, hint)
        except ValueError as error:
            self._fault(
                "wrong type",
                path=path,
                expected=kinds_in(hint),
                got=f"{value!r} ({type(value).__name__})",
                fix=str(error),
            )
            return value

    def _provides_below(self, path: str) -> bool:
        prefix = f"{path}." if path else ""
        return any(given.startswith(prefix) for given in self.provide)

    def _fault(self, what: str, **details: str) -> None:
        self.faults.append(ConfigError(what, **details))


def argument_faults(
    target: Registered, settings: Mapping[str, Value], path: str
) -> list[PtutilsError]:
    """Return a fault for each argument that ``target`` misses, or does not take."""
    signature = signature_of(target)
    given = settings.get("args", [])
    if holds_positions(signature, "args") and not isinstance(given, list | tuple):
        return [_no_positions(target, given, path)]
    values, named = arranged(signature, settings)
    order, parameters = positional(signature), by_name(signature)
    filled = order[: len(values)]
    faults: list[PtutilsError] = []
    if (
        values[len(order) :]
        and spread(signature, inspect.Parameter.VAR_POSITIONAL) is None
    ):
        faults.append(_too_many(target, values, order, path))
    takes = [name for name in parameters if name not in filled]
    for name in named:
        if name in filled:
            faults.append(_twice(target, name, path))
        elif name not in parameters and (
            spread(signature, inspect.Parameter.VAR_KEYWORD) is None
            or not isinstance(name, str)
        ):
            faults.append(_unknown(target, str(name), takes, path))
    missing = [
        name
        for name in takes
        if parameters[name].default is inspect.Parameter.empty
        and name not in named
        and name != late_parameter(target)
    ]
    return [*faults, *([_missing(target, missing, settings, path)] if missing else [])]


def _open_hooks(target: Registered) -> frozenset[str]:
    hooks: frozenset[str] = getattr(target, "__abstractmethods__", frozenset())
    return hooks


def _no_positions(target: Registered, given: Value, path: str) -> ConfigError:
    return ConfigError(
        f"cannot build {name_for(target)}",
        path=_join(path, "args"),
        expected="a list of positional arguments",
        got=f"{given!r} ({type(given).__name__})",
        fix="write args as a list, or give the arguments by name",
    )


def _too_many(
    target: Registered, values: list[Value], order: list[str], path: str
) -> ConfigError:
    return ConfigError(
        f"too many positional arguments of {name_for(target)}",
        path=_join(path, "args"),
        expected=f"at most {len(order)}: {', '.join(order)}",
        got=str(len(values)),
        fix="remove some",
    )


def _twice(target: Registered, name: str, path: str) -> ConfigError:
    return ConfigError(
        f"argument {name!r} of {name_for(target)} is given twice",
        path=_join(path, name),
        expected="one value",
        got=f"one by name and one in {_join(path, 'args')}",
        fix=f"remove {name!r}, or give all arguments by name",
    )


def _unknown(target: Registered, name: str, takes: list[str], path: str) -> ConfigError:
    guess = nearest(name, takes)
    return ConfigError(
        f"unknown argument {name!r} of {name_for(target)}",
        path=_join(path, name),
        expected=", ".join(takes) or "no arguments",
        got=name,
        fix=f"did you mean {guess!r}?" if guess else "remove it",
    )


def _missing(
    target: Registered, names: list[str], settings: Mapping[str, Value], path: str
) -> ConfigError:
    return ConfigError(
        f"cannot build {name_for(target)}",
        path=path,
        expected=f"a value for {', '.join(names)}",
        got=", ".join(map(str, settings)) or "no arguments",
        fix=f"add {_join(path, names[0])}",
    )


def _hints(target: Registered, settings: Mapping[str, Value]) -> dict[str, Any]:
    """Return a type hint for each key of ``settings``; ``args.0`` for a position."""
    signature, hints = signature_of(target), hints_of(target)
    rest = spread(signature, inspect.Parameter.VAR_KEYWORD)
    result = {name: hints.get(name, hints.get(rest or "", Any)) for name in settings}
    for name in by_name(signature):
        result[name] = hints.get(name, Any)
    given = settings.get("args", [])
    if _is_positions(target, "args", given):
        order = positional(signature)
        starred = spread(signature, inspect.Parameter.VAR_POSITIONAL)
        first = len(arranged(signature, settings)[0]) - len(given)
        for index in range(len(given)):
            place = first + index
            name = order[place] if place < len(order) else starred or ""
            result[f"args.{index}"] = hints.get(name, Any)
    return result


def _is_positions(target: Registered, key: str, value: Value) -> bool:
    return holds_positions(signature_of(target), key) and isinstance(
        value, list | tuple
    )


def _is_one_of(target: type[Any], classes: list[type[Any]]) -> bool:
    try:
        return issubclass(target, tuple(classes))
    except TypeError:
        return True  # A Protocol with attributes can be asked of instances only.


def _with_class(value: Value, hint: Any) -> Value:
    """Fill in ``class`` where the hint names one Module class and nothing else fits."""
    modules = [kind for kind in classes_in(hint) if hasattr(kind, "_ptutils_is_module")]
    if isinstance(value, str) and modules and str not in classes_in(hint):
        return {"class": value}
    if isinstance(value, dict) and "class" not in value and not is_reference(value):
        concrete = [kind for kind in modules if not inspect.isabstract(kind)]
        if len(concrete) == 1 and dict not in classes_in(hint):
            return {"class": name_for(concrete[0]), **value}
    return value


def _has_buildable(value: Value, hint: Any) -> bool:
    """Tell whether a list, tuple or dict has something to build inside."""
    items: Iterable[Value] = ()
    if isinstance(value, dict):
        items = value.values()
    elif isinstance(value, list | tuple):
        items = value
    inner = item_hint(hint, type(value))
    return any(_is_buildable(item, inner) for item in items)


def _is_buildable(value: Value, hint: Any) -> bool:
    if not isinstance(value, str | dict | list | tuple):
        return False  # A long list of numbers is passed over quickly.
    value = _with_class(value, hint)
    is_one = isinstance(value, dict) and ("class" in value or is_reference(value))
    return is_one or _has_buildable(value, hint)


def _join(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)
