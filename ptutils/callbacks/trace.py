"""Trace: digests of what each step saw and left, to find where two runs part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ptutils.callbacks.every import checked_every
from ptutils.core.callback import Callback
from ptutils.errors import EncodeError
from ptutils.meta.codec import encode
from ptutils.meta.digest import state_digest
from ptutils.meta.values import Value

if TYPE_CHECKING:
    from ptutils.core.dataprovider import Provider
    from ptutils.core.module import Module

__all__ = ["Trace"]

_LETTERS = 13  # 52 bits: as many as a float holds exactly.


class Trace(Callback):
    """Record digests of each step in History, so that two runs can be compared.

    At the end of a step there are ``trace.samples`` (the indices of its samples, where
    the loader knows them), ``trace.batch`` (what was read, where it can be stored) and
    one entry for each leaf of the State, such as ``trace.trainer/model/net/0/weight``:
    a dot would forbid a leaf to become a dict. With a Session the random streams are
    among them, ``trace.state/random/torch``. A digest is 52 bits of it, as a number.

    All of the State is read at each step it looks at: meant for short runs, or for a
    large ``every``.

    Args:
        every: Look at every so many-th step.

    Raises:
        ConfigError: If ``every`` is not positive.
    """

    def __init__(self, every: int = 1) -> None:
        self.every = checked_every(every, "trace steps")
        self._epoch = -1
        self._order: Any = None

    def end_of_training_step(
        self,
        step: int,
        epoch: int,
        batch: Any,
        provider: Provider,
        session: Module | None,
        trainer: Module,
        record: Callable[[int, int, str, Value], None],
    ) -> None:
        """Record the digests of the step that ends."""
        if step % self.every:
            return
        samples = self._samples(provider)
        if samples is not None:
            record(step, epoch, "trace.samples", _digest(samples))
        with suppress(EncodeError):
            record(step, epoch, "trace.batch", _digest(batch))
        traced = trainer if session is None else session
        for path, leaf in _leaves(traced.state_dict()):
            record(step, epoch, f"trace.{path}", _digest(leaf))

    def _samples(self, provider: Provider) -> Value:
        """Return the indices of the samples in the batch of this step, or None."""
        loader: Any = provider.loaders["train"]
        if not hasattr(loader, "order"):
            return None
        epoch, size = loader.state["epoch"], loader.batch_size
        if epoch != self._epoch:
            self._epoch, self._order = epoch, loader.order(epoch)
        end = loader.state["position"] * size
        return self._order[end - size : end].copy()


def _leaves(
    value: Value, path: str = "", inside: frozenset[int] = frozenset()
) -> Iterator[tuple[str, Value]]:
    """Yield what is in nested dicts with its path; a list is one leaf."""
    if not isinstance(value, Mapping) or not value or id(value) in inside:
        yield path, value
        return
    for key, item in value.items():
        below = f"{path}/{key}" if path else str(key)
        yield from _leaves(item, below.replace(".", "/"), inside | {id(value)})


def _digest(value: Value) -> float:
    return float(int(state_digest(encode(value))[:_LETTERS], 16))
