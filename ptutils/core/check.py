"""Check a whole config before anything is built, and report every fault at once.

The result is the same config made definite: classes in place of names, tuples where a
parameter's type asks for one, ``class`` filled in where the type leaves no choice.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ptutils.core.hints import classes_in, coerce, item_hint, kinds_in
from ptutils.core.late import Late, late_parameter
from ptutils.core.references import reference_faults
from ptutils.core.signature import hints_of, signature_of
from ptutils.core.trust import name_for, resolve
from ptutils.errors import ConfigError, PtutilsError, nearest
from ptutils.meta.config import Config
from ptutils.meta.values import Value

__all__ = ["checked"]


def checked(
    config: Config,
    *,
    trust: Iterable[str] = (),
    provide: Mapping[str, Value] | None = None,
    known: Iterable[Callable[..., Any]] = (),
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
        known: Iterable[Callable[..., Any]],
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
            if set(value) == {"ref"}:
                return value
            if _is_buildable_inside(value) or self._provides_below(path):
                return {
                    key: self.value(item, item_hint(hint, dict), _join(path, key))
                    for key, item in value.items()
                }
        elif isinstance(value, list | tuple) and (
            _is_buildable_inside(value) or self._provides_below(path)
        ):
            inner = item_hint(hint, list)
            return [
                self.value(v, inner, _join(path, i)) for i, v in enumerate(value)
            ]
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

    def _buildable(self, value: dict[str, Value], hint: Any, path: str) -> Value:
        settings = {key: item for key, item in value.items() if key != "class"}
        if settings.get("opaque") is True:
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
        if target is None:
            return {key: self.value(v, Any, _join(path, key)) for key, v in settings.items()}
        self._kind(target, hint, path)
        definite = {"class": target}
        hints = self._arguments(target, settings, path)
        for key, item in settings.items():
            definite[key] = self.value(item, hints.get(key, Any), _join(path, key))
        return definite

    def _target(self, name: Value, path: str) -> Callable[..., Any] | None:
        if not isinstance(name, str):
            return name if callable(name) else None
        if name in self.known:
            return self.known[name]
        try:
            return resolve(name, trust=self.trust, path=_join(path, "class"))
        except PtutilsError as error:
            self.faults.append(error)
            return None

    def _kind(self, target: Callable[..., Any], hint: Any, path: str) -> None:
        classes = classes_in(hint)
        if not classes or not isinstance(target, type):
            return
        if late_parameter(target) is not None and Late in classes:
            return
        if not issubclass(target, tuple(classes)):
            self._fault(
                f"cannot use a {name_for(target)} here",
                path=path,
                expected=" or ".join(kind.__qualname__ for kind in classes),
                got=name_for(target),
                fix="name a class of the expected kind",
            )

    def _arguments(
        self, target: Callable[..., Any], settings: Mapping[str, Value], path: str
    ) -> dict[str, Any]:
        """Report unknown and missing arguments; return a hint for each that is known."""
        signature = signature_of(target)
        parameters = dict(signature.parameters)
        hints = dict(hints_of(target))
        positional = _positional(signature, settings.get("args", []))
        kinds = {parameter.kind: parameter for parameter in parameters.values()}
        spread = kinds.get(inspect.Parameter.VAR_KEYWORD)
        waits = late_parameter(target)
        for name in settings:
            if name == "args" or name in parameters:
                continue
            if spread is not None:
                hints[name] = hints.get(spread.name, Any)
            else:
                self._unknown(target, name, parameters, path)
        missing = [
            name
            for name, parameter in parameters.items()
            if parameter.default is inspect.Parameter.empty
            and parameter.kind not in _SPREADS
            and name not in settings
            and name not in positional
            and name != waits
        ]
        if missing:
            self._fault(
                f"cannot build {name_for(target)}",
                path=path,
                expected=f"a value for {', '.join(missing)}",
                got=", ".join(settings) or "no arguments",
                fix=f"add {_join(path, missing[0])}",
            )
        return hints

    def _unknown(
        self,
        target: Callable[..., Any],
        name: str,
        parameters: Mapping[str, inspect.Parameter],
        path: str,
    ) -> None:
        takes = [key for key, item in parameters.items() if item.kind not in _SPREADS]
        guess = nearest(name, takes)
        self._fault(
            f"unknown argument {name!r} of {name_for(target)}",
            path=_join(path, name),
            expected=", ".join(takes) or "no arguments",
            got=name,
            fix=f"did you mean {guess!r}?" if guess else "remove it",
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


_SPREADS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _positional(signature: inspect.Signature, given: Value) -> set[str]:
    """Name the parameters that ``args:`` fills."""
    ordered = [
        name
        for name, parameter in signature.parameters.items()
        if parameter.kind
        in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    ]
    return set(ordered[: len(given)])


def _with_class(value: Value, hint: Any) -> Value:
    """Fill in ``class`` where the hint names one Module class and nothing else fits."""
    modules = [kind for kind in classes_in(hint) if hasattr(kind, "_ptutils_is_module")]
    if isinstance(value, str) and modules and str not in classes_in(hint):
        return {"class": value}
    if isinstance(value, dict) and "class" not in value and set(value) != {"ref"}:
        concrete = [kind for kind in modules if not inspect.isabstract(kind)]
        if len(concrete) == 1 and dict not in classes_in(hint):
            return {"class": name_for(concrete[0]), **value}
    return value


def _is_buildable_inside(value: Value) -> bool:
    if isinstance(value, dict):
        if "class" in value or set(value) == {"ref"}:
            return True
        return any(_is_buildable_inside(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_is_buildable_inside(item) for item in value)
    return False


def _join(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)
