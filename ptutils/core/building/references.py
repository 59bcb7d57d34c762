"""References in a config: ``{ref: path}`` points somewhere, and not in circles."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from ptutils.core.tree import is_plain
from ptutils.errors import ConfigError, PtutilsError, nearest
from ptutils.meta.values import Value

__all__ = ["is_reference", "places", "reference_faults"]


def is_reference(value: Value) -> bool:
    """Tell whether ``value`` stands for the object built at another path."""
    return isinstance(value, Mapping) and set(value) == {"ref"}


def places(
    value: Value, path: str = "", provided: Container[str] = ()
) -> Iterator[tuple[str, Value]]:
    """Yield everything in a config that may be built, with its dotted path.

    Nothing below what is provided, and no items of lists of plain values, which may be
    long.
    """
    yield path, value
    items: Iterator[tuple[object, Value]] = iter(())
    if path in provided:
        return
    if isinstance(value, Mapping):
        items = iter(value.items())
    elif isinstance(value, list | tuple) and not is_plain(value):
        items = iter(enumerate(value))
    for name, item in items:
        yield from places(item, f"{path}.{name}" if path else str(name), provided)


def reference_faults(
    config: Mapping[str, Value], provided: Container[str]
) -> list[PtutilsError]:
    """Return a fault for each reference to nowhere and for each in a circle."""
    known = dict(places(config, "", provided))
    target_by_path = {
        path: value["ref"]
        for path, value in known.items()
        if is_reference(value) and path not in provided
    }
    faults: list[PtutilsError] = []
    needs: dict[str, list[str]] = {}
    for path, target in target_by_path.items():
        if not isinstance(target, str) or target not in known:
            faults.append(_nowhere(path, target, known))
        else:
            needs[path] = [p for p in target_by_path if _is_within(p, target)]
    circular = [path for path in needs if path in _reached(path, needs)]
    return [*faults, *(_cycle(path, target_by_path[path]) for path in circular)]


def _is_within(path: str, other: str) -> bool:
    return not other or path == other or path.startswith(f"{other}.")


def _reached(start: str, needs: Mapping[str, list[str]]) -> set[str]:
    """Return the references that must be built before ``start`` is."""
    reached: set[str] = set()
    ahead = list(needs[start])
    while ahead:
        path = ahead.pop()
        if path not in reached:
            reached.add(path)
            ahead += needs.get(path, [])
    return reached


def _nowhere(path: str, target: Value, known: Mapping[str, Value]) -> ConfigError:
    guess = nearest(str(target), known)
    return ConfigError(
        "bad reference",
        path=path,
        expected="the dotted path of something in the same config",
        got=f"ref: {target}",
        fix=f"did you mean 'ref: {guess}'?" if guess else "correct the path",
    )


def _cycle(path: str, target: str) -> ConfigError:
    return ConfigError(
        "circular reference",
        path=path,
        expected="a reference to something that does not need this one",
        got=f"ref: {target}",
        fix="remove one of the references of the circle",
    )
