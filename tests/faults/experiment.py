"""A small experiment whose every step is a checkpoint and a document of the user's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import ptutils
from ptutils.errors import UnavailableError
from tests.core.experiment import config

__all__ = ["COUNT", "NOTES", "Noting", "is_noted", "settings"]

COUNT = "steps of all runs"
"""The ``_id`` of the document that counts them."""

NOTES = "notes"
"""The collection of the documents that are saved beside the run."""


@ptutils.register
class Noting(ptutils.Callback):
    """Saves a document of the user's after each step, and tells what was saved."""

    tell: Callable[[Any], object] = id

    def end_of_training_step(self, step: int, session: Any) -> None:
        # Every fifth is large enough to be an artifact.
        content = np.full(100_000 if step % 5 == 0 else 100, step, "float64")
        note = {"step": step, "content": content, "pair": (step, {1: torch.ones(2)})}
        one_more = {"$inc": {"n": 1}}
        try:
            session.dbinterface.update({"_id": COUNT}, one_more, upsert=True)
            type(self).tell(session.dbinterface.save(note, NOTES))
        except UnavailableError:
            return  # Not saved, as far as anybody knows.


def is_noted(note: Any) -> bool:
    """Tell whether a document is as it was saved."""
    step = note["step"]
    (first, rest), content = note["pair"], note["content"]
    is_same = bool((content == step).all()) and bool((rest[1] == 1).all())
    return is_same and first == step and type(note["pair"]) is tuple


def settings(
    url: str, *, duration: str = "1 h", is_wide: bool = False, **changes: Any
) -> ptutils.Config:
    """Return its config.

    Args:
        url: Where it is recorded.
        duration: How long it trains.
        is_wide: Whether its State is so large that its tensors go into packs.
        changes: Further settings, by dotted path with ``__`` for the dots.
    """
    found = config(
        schedule__duration=duration,
        schedule__validate=None,
        schedule__keep={"last": 3},
        dbinterface=url,
        source=False,
        trainer__callbacks=[{"class": "Noting"}],
        **changes,
    )
    if is_wide:
        _, first, norm, *_, last = found["trainer"]["model"]["net"]["args"]
        first["out_features"] = norm["num_features"] = last["in_features"] = 2048
    return found
