"""Arguments of a constructor called from Python, held against its type hints.

A config is checked as a whole before it is built; this is the same for what is written
in Python, where a wrong argument would otherwise surface in the middle of training.
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import Parameter
from typing import Any

from ptutils.core.building.hints import is_instance, kinds_in
from ptutils.core.building.signature import hints_of, signature_of
from ptutils.errors import ConfigError, PtutilsError
from ptutils.meta.values import Value

__all__ = ["require_instances"]

_SPREADS = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def require_instances(kind: type[Any], arguments: Mapping[str, Value]) -> None:
    """Check that bound arguments are of the classes that the constructor names.

    Raises:
        ConfigError: If some are not; all of them are listed.
    """
    hints = hints_of(kind)
    faults: list[PtutilsError] = [
        _fault(kind, name, arguments[name], hints[name])
        for name, parameter in signature_of(kind).parameters.items()
        if name in arguments and name in hints and parameter.kind not in _SPREADS
        if not is_instance(arguments[name], hints[name])
    ]
    if faults:
        raise ConfigError.combine(f"cannot build {kind.__qualname__}", faults)


def _fault(kind: type[Any], name: str, value: Value, hint: Any) -> ConfigError:
    fix = f"pass another {name}"
    if isinstance(value, type):
        fix = f"pass an object, not its class: {value.__qualname__}(...)"
    return ConfigError(
        f"cannot build {kind.__qualname__}",
        path=name,
        expected=kinds_in(hint),
        got=f"{value!r:.60} ({type(value).__name__})",
        fix=fix,
    )
