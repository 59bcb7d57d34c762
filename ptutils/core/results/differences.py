"""What tells configs apart: few settings, each under a path that all of them share."""

from __future__ import annotations

from collections.abc import Iterator

from ptutils.meta.values import Document, Value

__all__ = ["differences"]


def differences(configs: list[Document]) -> dict[str, list[Value]]:
    """Return the settings that are not the same in all ``configs``.

    Objects of different classes are compared by their class and what all of them have.
    Lists of different objects are one setting, the names of their classes: what they
    hold at the same place has little to do with each other.

    Example:
        >>> adam, sgd = {"class": "Adam", "eps": 1, "lr": 2}, {"class": "SGD", "lr": 1}
        >>> differences([{"optimizer": adam}, {"optimizer": sgd}])
        {'optimizer.class': ['Adam', 'SGD'], 'optimizer.lr': [2, 1]}
        >>> differences([{"net": [adam, sgd]}, {"net": [sgd]}])
        {'net': ['Adam, SGD', 'SGD']}
    """
    return dict(_walk(list(configs), ""))


def _walk(values: list[Value], path: str) -> Iterator[tuple[str, list[Value]]]:
    if all(repr(value) == repr(values[0]) for value in values):
        return
    keys = _shared_keys(values)
    if keys is None:
        yield path, [_brief(value) for value in values]
        return
    for key in keys:
        children = [_child(value, key) for value in values]
        yield from _walk(children, f"{path}.{key}" if path else str(key))


def _shared_keys(values: list[Value]) -> list[Value] | None:
    """Return the keys to compare; None if the values are compared as a whole."""
    if all(isinstance(value, dict) for value in values):
        keys = list({key: None for value in values for key in value})
        if len({value.get("class") for value in values}) == 1:
            return keys
        return [key for key in keys if all(key in value for value in values)] or None
    if not all(isinstance(value, list) for value in values):
        return None
    is_alike = len({tuple(map(_class_of, value)) for value in values}) == 1
    return list(range(len(values[0]))) if is_alike else None


def _child(value: Value, key: Value) -> Value:
    return value.get(key) if isinstance(value, dict) else value[key]


def _class_of(value: Value) -> str | None:
    return str(value.get("class")) if isinstance(value, dict) else None


def _brief(value: Value) -> Value:
    if isinstance(value, list):
        return ", ".join(str(_brief(item)) for item in value)
    if isinstance(value, dict) and "class" in value:
        return str(value["class"]).rpartition(".")[2]
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_brief(child)}" for key, child in value.items())
    return value
