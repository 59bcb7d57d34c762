"""Retention: which checkpoints of a run stay when newer ones are safe."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ptutils.core.loop.duration import Duration
from ptutils.errors import ConfigError, nearest
from ptutils.meta.paths import lookup, trail
from ptutils.meta.values import Document, Value

__all__ = ["Best", "Keep"]


@dataclass(frozen=True, kw_only=True)
class Best:
    """Keep the ``count`` best by ``metric``, where best is ``mode``: "min" or "max"."""

    metric: str
    mode: str
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class Keep:
    """What stays: the last ones, the best, and one per period for good.

    Attributes:
        last: How many of the newest; the newest one stays in any case.
        best: Which of the best, or None.
        every: The first checkpoint at or after each multiple of it, or None.
    """

    last: int = 1
    best: Best | None = None
    every: Duration | None = None

    @classmethod
    def read(cls, config: Mapping[str, Value]) -> Keep:
        """Read what a config says under ``keep``.

        Raises:
            ConfigError: If a name is unknown or missing, or a value is out of range.
        """
        require_names(config, "keep", ("last", "best", "every"))
        best, every = config.get("best"), config.get("every")
        return cls(
            last=_count(config.get("last", 1), "keep.last"),
            best=None if best is None else _read_best(best),
            every=None if every is None else _read_every(every),
        )

    def require_metric(self, names: Sequence[str]) -> None:
        """Refuse to keep the best by a metric that is none of ``names``.

        Raises:
            ConfigError: With the nearest name.
        """
        if self.best is not None and self.best.metric not in names:
            raise _unknown(self.best.metric, names)

    def choose(self, checkpoints: Sequence[Document]) -> set[str]:
        """Return the ids of those that stay, of checkpoints in the order of writing."""
        chosen = [document for document in checkpoints if _is_pinned(document)]
        chosen += checkpoints[-self.last :]
        if self.best is not None:
            chosen += _best_of(self.best, checkpoints)
        if self.every is not None:
            chosen += _one_per_period(self.every, checkpoints)
        return {document["_id"] for document in chosen}


def require_names(
    config: Value, path: str, known: Sequence[str], needed: Sequence[str] = ()
) -> None:
    """Refuse a config that is no mapping, has unknown names or lacks needed ones.

    Raises:
        ConfigError: With the nearest known name.
    """
    got, fix = repr(config), ""
    if isinstance(config, Mapping):
        unknown = [str(name) for name in config if name not in known]
        if not unknown and all(name in config for name in needed):
            return
        got = ", ".join(map(str, config)) or "an empty mapping"
        near = nearest(unknown[0], known) if unknown else ""
        fix = f"did you mean {near!r}?" if near else ""
    optional = [name for name in known if name not in needed]
    parts = [", ".join(needed), f"optionally {', '.join(optional)}" if optional else ""]
    raise ConfigError(
        "cannot read the schedule",
        path=path,
        expected=f"a mapping of {' and '.join(filter(None, parts))}",
        got=got,
        fix=fix,
    )


def _read_best(config: Value) -> Best:
    require_names(config, "keep.best", ("metric", "mode", "count"), ("metric", "mode"))
    if config["mode"] not in ("min", "max"):
        raise ConfigError(
            "cannot tell the best checkpoint",
            path="keep.best.mode",
            expected="'min' or 'max'",
            got=repr(config["mode"]),
        )
    count = _count(config.get("count", 1), "keep.best.count")
    return Best(metric=config["metric"], mode=config["mode"], count=count)


def _read_every(text: Value) -> Duration:
    every = Duration.parse(text)
    if every.unit not in ("steps", "epochs"):
        raise ConfigError(
            "cannot keep checkpoints by this period",
            path="keep.every",
            expected="steps or epochs, which checkpoints carry",
            got=repr(str(every)),
        )
    return every


def _count(value: Value, path: str) -> int:
    if type(value) is int and value > 0:
        return value
    raise ConfigError(
        "cannot keep this many checkpoints",
        path=path,
        expected="a whole number, at least 1",
        got=repr(value),
    )


def _is_pinned(document: Document) -> bool:
    return bool(document.get("pinned")) or document.get("why") == "pinned"


def _best_of(best: Best, checkpoints: Sequence[Document]) -> list[Document]:
    measured: list[tuple[float, Document]] = []
    for document in checkpoints:
        found = trail(document["metrics"], best.metric)
        value = math.nan if found is None else lookup(found)
        if not math.isnan(value):
            measured.append((value, document))
    if not measured:
        _require_metric(best.metric, checkpoints)
    sign = 1 if best.mode == "min" else -1
    measured.sort(key=lambda pair: sign * pair[0])  # stable: of equals, the earlier
    return [document for _, document in measured[: best.count]]


def _require_metric(metric: str, checkpoints: Sequence[Document]) -> None:
    """Refuse a metric that no checkpoint has although some have others: a typo."""
    names = list(dict.fromkeys(name for c in checkpoints for name in c["metrics"]))
    if not names or any(trail(c["metrics"], metric) for c in checkpoints):
        return
    raise _unknown(metric, names)


def _unknown(metric: str, names: Sequence[str]) -> ConfigError:
    near = nearest(metric, names)
    return ConfigError(
        "cannot tell the best checkpoint",
        path="keep.best.metric",
        expected=f"one of: {', '.join(names)}",
        got=repr(metric),
        fix=f"did you mean {near!r}?" if near else "",
    )


def _one_per_period(
    every: Duration, checkpoints: Sequence[Document]
) -> Iterable[Document]:
    counter = every.unit.removesuffix("s")
    first: dict[float, Document] = {}
    for document in checkpoints:
        period = document[counter] // every.count
        if period:
            first.setdefault(period, document)
    return first.values()
