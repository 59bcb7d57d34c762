"""References inside a config: ``{ref: path}`` must point somewhere, and not in circles."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from ptutils.errors import ConfigError, PtutilsError, nearest
from ptutils.meta.values import Value

__all__ = ["reference_faults"]


def reference_faults(
    config: Mapping[str, Value], provided: Container[str]
) -> list[PtutilsError]:
    """Return a fault for each reference to nowhere and for each cycle."""
    target_by_path = dict(_references(dict(config), ""))
    known = {path for path, _ in _places(dict(config), "")}
    faults: list[PtutilsError] = []
    for path, target in target_by_path.items():
        if target in provided:
            continue
        if not isinstance(target, str) or target not in known:
            faults.append(_nowhere(path, target, known))
        elif _comes_back(path, target_by_path, set()):
            faults.append(_cycle(path, target))
    return faults


def _places(value: Value, path: str) -> Iterator[tuple[str, Value]]:
    yield path, value
    items: Iterator[tuple[object, Value]] = iter(())
    if isinstance(value, Mapping):
        items = iter(value.items())
    elif isinstance(value, list | tuple):
        items = iter(enumerate(value))
    for name, item in items:
        yield from _places(item, f"{path}.{name}" if path else str(name))


def _references(config: Value, path: str) -> Iterator[tuple[str, Value]]:
    for place, value in _places(config, path):
        if isinstance(value, Mapping) and set(value) == {"ref"}:
            yield place, value["ref"]


def _comes_back(
    path: str, target_by_path: Mapping[str, Value], seen: set[str]
) -> bool:
    """Tell whether building what ``path`` refers to needs ``path`` itself again."""
    if path in seen:
        return True
    target = target_by_path[path]
    inside = [
        other
        for other in target_by_path
        if other == target or other.startswith(f"{target}.")
    ]
    return any(_comes_back(other, target_by_path, seen | {path}) for other in inside)


def _nowhere(path: str, target: Value, known: set[str]) -> ConfigError:
    guess = nearest(str(target), known)
    return ConfigError(
        "bad reference",
        path=path,
        expected="the dotted path of something in the same config",
        got=f"ref: {target}",
        fix=f"did you mean 'ref: {guess}'?" if guess else "correct the path",
    )


def _cycle(path: str, target: Value) -> ConfigError:
    return ConfigError(
        "circular reference",
        path=path,
        expected="a reference to something that does not need this one",
        got=f"ref: {target}",
        fix="remove one of the references of the circle",
    )
