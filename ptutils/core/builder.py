"""From a config to objects: check the whole, then build it.

A dict with ``class:`` is built; its other keys are arguments, ``args:`` the positional
ones. ``{ref: path}`` is the object built at that path of the same config. Optimizers and
schedulers that lack the argument they wait for become :class:`~ptutils.core.late.Late`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ptutils.core.check import checked
from ptutils.core.late import Late, late_parameter
from ptutils.core.signature import signature_of
from ptutils.core.trust import resolve
from ptutils.errors import ConfigError, PtutilsError
from ptutils.meta.config import Config, Configuration
from ptutils.meta.registry import bind, remember
from ptutils.meta.values import Value

__all__ = ["Config", "Configuration", "build"]


def build(
    target: Mapping[str, Value] | str | Callable[..., Any],
    *args: Value,
    trust: Iterable[str] = (),
    provide: Mapping[str, Value] | None = None,
    known: Iterable[Callable[..., Any]] = (),
    **kwargs: Value,
) -> Any:
    """Build an object from a config, or from a class and its arguments.

    What is built remembers its settings: ``build(torch.nn.Linear, 64, 10)`` is the layer
    that ``{class: torch.nn.Linear, in_features: 64, out_features: 10}`` describes, and a
    tree that holds it has the same config as the tree built from that dict.
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
        config = checked(Config(target), trust=trust, provide=provided, known=known)
        return _Build(config, provided).value(config, "")
    if isinstance(target, str):
        target = resolve(target, trust=trust)
    return _make(target, {"args": list(args), **kwargs}, "")


class _Build:
    """One run of the builder over one checked config."""

    def __init__(self, config: Value, provided: Mapping[str, Value]) -> None:
        self.config = config
        self.built: dict[str, Value] = dict(provided)

    def value(self, value: Value, path: str) -> Value:
        """Build whatever stands at ``path``, once."""
        if path in self.built:
            return self.built[path]
        if type(value) in (list, tuple):
            return type(value)(
                self.value(item, f"{path}.{index}" if path else str(index))
                for index, item in enumerate(value)
            )
        if not isinstance(value, dict):
            return value
        if "ref" in value and "class" not in value:
            return self.value(_at(self.config, value["ref"]), value["ref"])
        if "class" not in value:
            return self._entries(value, path)
        target = value["class"]  # The checked config holds the class itself.
        settings = {key: item for key, item in value.items() if key != "class"}
        if hasattr(target, "_ptutils_is_module"):
            target._before_build(settings)
        self.built[path] = _make(target, self._entries(settings, path), path)
        return self.built[path]

    def _entries(self, entries: Mapping[str, Value], path: str) -> dict[str, Value]:
        return {
            key: self.value(item, f"{path}.{key}" if path else str(key))
            for key, item in entries.items()
        }


def _make(target: Callable[..., Any], arguments: Mapping[str, Value], path: str) -> Any:
    """Call ``target``, or make it late; the result remembers its bound arguments."""
    named = dict(arguments)
    positional = named.pop("args", [])
    signature = signature_of(target)
    parameter = late_parameter(target)
    if parameter is not None and parameter not in named:
        after = list(signature.parameters.values())[1:]
        rest = signature.replace(parameters=after)
        settings = _bound(target, rest, positional, named, path)
        return Late(
            target, settings, parameter, lambda cls, given: _call(cls, [], given, path)
        )
    settings = _bound(target, signature, positional, named, path)
    instance = _call(target, positional, named, path)
    if not hasattr(type(instance), "_ptutils_is_module"):
        remember(instance, target, settings)
    return instance


def _bound(
    target: Callable[..., Any],
    signature: Any,
    positional: list[Value],
    named: Mapping[str, Value],
    path: str,
) -> dict[str, Value]:
    try:
        return bind(signature, tuple(positional), named)
    except TypeError as error:
        raise ConfigError(
            f"cannot build {target.__qualname__}",
            path=path,
            expected=f"{target.__qualname__}{signature}",
            got=str(error),
            fix="give the arguments that it takes",
        ) from error


def _call(
    target: Callable[..., Any],
    positional: Iterable[Value],
    named: Mapping[str, Value],
    path: str,
) -> Any:
    try:
        return target(*positional, **named)
    except PtutilsError:
        raise
    except Exception as error:
        raise ConfigError(
            f"cannot build {target.__qualname__}",
            path=path,
            expected="arguments that its constructor accepts",
            got=f"{type(error).__name__}: {error}",
            fix="correct the arguments at this path",
        ) from error


def _at(config: Value, path: str) -> Value:
    for name in path.split("."):
        config = config[int(name)] if isinstance(config, list | tuple) else config[name]
    return config


Config.builder = build
