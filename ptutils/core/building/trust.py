"""From a name to a class, and back: only what is registered, ours, or trusted.

Names come from configs and stored documents, which somebody else may have written. A
name resolves to a registered class, to a public Module of ptutils, to a module,
optimizer, scheduler or metric of torch and torchmetrics, or to a class of a package
that the *caller* trusts. Nothing is imported before the name has been judged,
attributes are never walked, and what a name resolves to must be a class that was
defined there, under that very name.
"""

from __future__ import annotations

import importlib
import os
import sys
import types
from collections.abc import Iterable
from typing import Any

from ptutils.core.catalogue import CATALOGUE, find
from ptutils.errors import ConfigError, TrustError, nearest
from ptutils.meta.registry import Registered, name_of, registered

__all__ = ["name_for", "resolve", "spelled", "trust", "trusted"]

_BASES_BY_PACKAGE = {
    "torch.nn": ("torch.nn.modules.module.Module",),
    "torch.optim": (
        "torch.optim.optimizer.Optimizer",
        "torch.optim.lr_scheduler.LRScheduler",
    ),
    "torchmetrics": ("torchmetrics.metric.Metric",),
}
_TRUSTED: set[str] = set()


def trust(*packages: str) -> None:
    """Trust packages of yours for the rest of this program.

    Configs and stored documents may then name the classes that they define. Call it
    from your own code only; the environment variable ``PTUTILS_TRUST`` (names joined by
    commas) does the same.
    """
    _TRUSTED.update(packages)


def trusted(more: Iterable[str] = ()) -> frozenset[str]:
    """Return the packages trusted by the program, the environment and this call."""
    given = [more] if isinstance(more, str) else more
    words = os.environ.get("PTUTILS_TRUST", "").split(",")
    return frozenset([*_TRUSTED, *given, *(w.strip() for w in words if w.strip())])


def resolve(name: str, *, trust: Iterable[str] = (), path: str = "") -> Registered:
    """Return the class or registered function that ``name`` stands for.

    Args:
        name: A registered or public name, or the dotted path of a class.
        trust: Packages that the caller trusts; imported where one of them may define or
            register the name.
        path: Where in the config the name stands, for the message.

    Raises:
        TrustError: If the name lies outside of everything that is trusted.
        ConfigError: If nothing suitable answers to it.
    """
    known = registered()
    if name in known:
        return known[name]
    short = name.removeprefix("ptutils.")
    if short in CATALOGUE:
        return _buildable(name, find(short), path)
    package, dot, attribute = name.rpartition(".")
    if not dot:
        return _registered_by(trusted(trust), name, path)
    if not all(_is_ordinary(part) for part in name.split(".")):
        raise _refused(name, path, "not the dotted path of a class")
    bases: tuple[str, ...] = ()
    root = _root_of(package, trusted(trust))
    if root is None:
        root = _root_of(package, _BASES_BY_PACKAGE)
        bases = _BASES_BY_PACKAGE.get(root or "", ())
    if root is None:
        raise _refused(name, path, "not registered, and its package is not trusted")
    target = _defined_in(package, attribute, root, path)
    if bases and not set(bases) & set(_base_names(target)):
        raise _refused(name, path, f"not a {' or '.join(bases)}")
    return target


def name_for(target: Registered) -> str:
    """Return the shortest name under which :func:`resolve` finds ``target`` again."""
    name = name_of(target)
    if name is not None:
        return name
    module, own = target.__module__, target.__qualname__
    if CATALOGUE.get(own) == module:
        return own if own not in registered() else f"ptutils.{own}"
    for end, dot in enumerate(module):
        package = module[:end]
        if dot == "." and _root_of(package, _BASES_BY_PACKAGE) is not None:
            holder = sys.modules.get(package)
            if getattr(holder, "__dict__", {}).get(own) is target:
                return f"{package}.{own}"
    return f"{module}.{own}"


def spelled(name: str) -> str:
    """Return the registered or public name that differs from ``name`` in case only."""
    names = [*registered(), *_module_names()]
    same = [known for known in names if known.lower() == name.lower()]
    return name if name in same or not same else same[0]


def _is_ordinary(part: str) -> bool:
    return part.isidentifier() and not (part.startswith("__") and part.endswith("__"))


def _root_of(package: str, roots: Iterable[str]) -> str | None:
    return next((root for root in roots if _is_within(package, root)), None)


def _is_within(package: str, root: str) -> bool:
    return package == root or package.startswith(f"{root}.")


def _base_names(target: Registered) -> list[str]:
    bases = getattr(target, "__mro__", ())
    return [f"{base.__module__}.{base.__qualname__}" for base in bases]


def _buildable(name: str, target: Any, path: str) -> Registered:
    if isinstance(target, type) and hasattr(target, "_ptutils_is_module"):
        return target
    guess = nearest(name, _module_names()) or "Session"
    raise ConfigError(
        f"cannot build {name!r}",
        path=path,
        expected="the name of a Module",
        got=_kind_of(target),
        fix=f"choose a Module of ptutils, such as {guess!r}",
    )


def _defined_in(package: str, attribute: str, root: str, path: str) -> Registered:
    """Import the package, and take the class of that name that ``root`` defines."""
    name = f"{package}.{attribute}"
    found = vars(_imported(package, path))
    target = found.get(attribute)
    if not isinstance(target, type):
        names = [key for key, value in found.items() if isinstance(value, type)]
        guess = nearest(attribute, names)
        raise ConfigError(
            f"cannot build {name!r}",
            path=path,
            expected=f"a class that {package} defines",
            got="nothing of that name" if target is None else _kind_of(target),
            fix=f"did you mean '{package}.{guess}'?" if guess else "correct the name",
        )
    own = f"{target.__module__}.{target.__qualname__}"
    if not _is_within(target.__module__, root):
        raise _refused(name, path, f"only imported there, it is {own}")
    if target.__qualname__ != attribute:
        raise _refused(name, path, f"another name of {own}")
    return target


def _imported(package: str, path: str) -> types.ModuleType:
    try:
        return importlib.import_module(package)
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and _is_within(package, missing):
            raise ConfigError(
                f"cannot find the module {package!r}",
                path=path,
                expected="a module that can be imported, and a class in it",
                got=f"no module named {missing!r}",
                fix="correct the name, or install what holds it",
            ) from error
        raise ConfigError(
            f"cannot import {package!r}",
            path=path,
            expected="a module whose import succeeds",
            got=f"{type(error).__name__}: {error}",
            fix="mend that module; the error above shows where it failed",
        ) from error


def _kind_of(value: object) -> str:
    kinds = {types.ModuleType: "a module", types.FunctionType: "a function"}
    if isinstance(value, type):
        return f"the class {value.__qualname__}, which is no Module"
    return kinds.get(type(value), f"an object of {type(value).__qualname__}")


def _registered_by(packages: Iterable[str], name: str, path: str) -> Registered:
    """Import the trusted packages until one has registered the name.

    A run that was started with them is stored under the names that they registered.
    """
    for package in sorted(packages):
        _imported(package, path)
        if name in registered():
            return registered()[name]
    raise _unknown(name, path)


def _unknown(name: str, path: str) -> ConfigError:
    guess = nearest(name, [*registered(), *_module_names()])
    return ConfigError(
        f"unknown class {name!r}",
        path=path,
        expected="a registered name, a Module of ptutils, or a dotted path",
        got=repr(name),
        fix=f"did you mean {guess!r}?"
        if guess
        else "register the class with @ptutils.register, or write its dotted path",
    )


def _refused(name: str, path: str, why: str) -> TrustError:
    package = name.partition(".")[0]
    # What everybody has installed is nobody's own package: trusting it is no advice.
    is_common = package in {
        "torch",
        "torchmetrics",
        "ptutils",
        *sys.stdlib_module_names,
    }
    return TrustError(
        f"refused to resolve {name!r}",
        path=path,
        expected="a registered class, or a class of torch.nn, torch.optim, "
        "torchmetrics, ptutils or a trusted package",
        got=f"{name}: {why}",
        fix="name one of these; if you need this one, register a class of yours that "
        "uses it with @ptutils.register"
        if is_common
        else "if you wrote it, decorate the class with @ptutils.register or trust its "
        f"package: trust=[{package!r}], --trust {package}",
    )


def _module_names() -> list[str]:
    return [name for name in CATALOGUE if name[:1].isupper()]
