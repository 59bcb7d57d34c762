"""From a config to objects: check the whole, then build it.

A dict with ``class:`` is built; its other keys are arguments, ``args:`` the positional
ones. ``{ref: path}`` is the object built at that path of the same config. Optimizers
and schedulers that lack the argument they wait for become
:class:`~ptutils.core.building.late.Late`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from ptutils.core.building.check import argument_faults, checked
from ptutils.core.building.late import Late, late_parameter
from ptutils.core.building.references import is_reference, places
from ptutils.core.building.signature import arranged, signature_of
from ptutils.core.building.trust import name_for, resolve
from ptutils.core.tree import is_plain
from ptutils.errors import ConfigError, PtutilsError
from ptutils.meta.config import Config, Configuration
from ptutils.meta.registry import Registered, bind_partial, remember
from ptutils.meta.values import Value

__all__ = ["Config", "Configuration", "build"]


def build(
    target: Mapping[str, Value] | str | Registered,
    *args: Value,
    trust: Iterable[str] = (),
    provide: Mapping[str, Value] | None = None,
    known: Iterable[Registered] = (),
    **kwargs: Value,
) -> Any:
    """Build an object from a config, or from a class and its arguments.

    What is built remembers its settings: ``build(torch.nn.Linear, 64, 10)`` is the
    layer that ``{class: torch.nn.Linear, in_features: 64, out_features: 10}`` says, and
    a tree that holds it has the same config as the tree built from that dict.
    ``build(torch.optim.AdamW, lr=0.001)`` waits for its parameters.

    Args:
        target: A config, or a class (or its name) for the arguments that follow.
        *args: Positional arguments of the class.
        trust: Packages of the caller's whose classes may be named.
        provide: Objects to use at dotted paths instead of building them.
        known: Classes that the caller names in person, trusted as they are.
        **kwargs: Keyword arguments of the class.

    Raises:
        ConfigError: If the config has faults; all of them are listed, nothing is built.
        TrustError: If all of the faults are names that are not trusted.
    """
    if isinstance(target, Mapping):
        provided = dict(provide or {})
        config = checked(
            Config.read(target), trust=trust, provide=provided, known=known
        )
        return _Build(config, provided).value(config, "")
    if isinstance(target, str):
        target = resolve(target, trust=trust)
    settings = {**({"args": list(args)} if args else {}), **kwargs}
    faults = argument_faults(target, settings, "")
    if faults:
        raise ConfigError.combine(f"cannot build {target.__qualname__}", faults)
    return _make(target, settings, "")


class _Build:
    """One run of the builder over one checked config."""

    def __init__(self, config: Value, provided: Mapping[str, Value]) -> None:
        self.place_by_path = dict(places(config, "", provided))
        self.built: dict[str, Value] = dict(provided)

    def value(self, value: Value, path: str) -> Value:
        """Build whatever stands at ``path``, once."""
        if path not in self.built:
            self.built[path] = self._built(value, path)
        return self.built[path]

    def _built(self, value: Value, path: str) -> Value:
        if type(value) in (list, tuple):
            if is_plain(value):
                return value
            return type(value)(
                self.value(item, _join(path, index)) for index, item in enumerate(value)
            )
        if not isinstance(value, dict):
            return value
        if is_reference(value):
            return self.value(self.place_by_path[value["ref"]], value["ref"])
        if "class" not in value:
            return self._entries(value, path)
        target = value["class"]  # The checked config holds the class itself.
        settings = {key: item for key, item in value.items() if key != "class"}
        if hasattr(target, "_ptutils_is_module"):
            target._before_build(settings)
        return _make(target, self._entries(settings, path), path)

    def _entries(self, entries: Mapping[str, Value], path: str) -> dict[str, Value]:
        return {
            key: self.value(item, _join(path, key)) for key, item in entries.items()
        }


def _make(target: Registered, settings: Mapping[str, Value], path: str) -> Any:
    """Call ``target``, or make it late; the result remembers its bound arguments."""
    signature = signature_of(target)
    positions, named = arranged(signature, settings)
    arguments = bind_partial(signature, positions, named)
    finish = functools.partial(_finish, path=path)
    parameter = late_parameter(target)
    if parameter is not None and parameter not in arguments:
        return Late(target, arguments, parameter, finish)
    instance = _called(target, positions, named, path)
    if not hasattr(type(instance), "_ptutils_is_module"):
        # What it waited for is given anew whenever it is built again.
        arguments.pop(parameter or "", None)
        remember(instance, target, arguments)
    return instance


def _finish(target: Registered, settings: Mapping[str, Value], *, path: str) -> Any:
    positions, named = arranged(signature_of(target), settings)
    return _called(target, positions, named, path)


def _called(
    target: Registered,
    positions: Iterable[Value],
    named: Mapping[str, Value],
    path: str,
) -> Any:
    try:
        return target(*positions, **named)
    except ConfigError as error:
        error.path = _join(path, error.path) if error.path else path
        raise
    except PtutilsError:
        raise
    except Exception as error:
        raise ConfigError(
            f"cannot build {name_for(target)}",
            path=path,
            expected="arguments that its constructor accepts",
            got=f"{type(error).__name__}: {error}",
            fix="correct the arguments at this path",
        ) from error


def _join(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)


Config.builder = build
