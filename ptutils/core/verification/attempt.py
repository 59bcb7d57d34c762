"""One attempt at an experiment: what a process does that is to be killed, or not."""

from __future__ import annotations

import json
import os
import signal
import sys

from ptutils.core.callback import Callback
from ptutils.core.catalogue import find
from ptutils.core.session import Session
from ptutils.errors import PtutilsError
from ptutils.meta.config import Config
from ptutils.meta.values import Document

__all__ = ["attempt", "main"]


class Kill(Callback):
    """Kill the process at the end of a step, before anything of it is saved.

    Args:
        step: Which.
    """

    def __init__(self, step: int) -> None:
        self.step = step

    def end_of_training_step(self, step: int) -> None:
        """End everything, if this is the step."""
        if step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def attempt(order: Document) -> None:
    """Run the experiment of an order from its start, or go on with it, and trace it.

    Args:
        order: ``config`` (a file), ``database`` (a URL), ``trust``, ``kill`` (a step,
            or None) and ``resume`` (whether to go on).
    """
    if order["resume"]:
        (run,) = find("connect")(order["database"], create=False).runs.find()
        session = run.resume(trust=order["trust"])
    else:
        config = Config.read(order["config"])
        config["dbinterface"] = order["database"]
        session = Session.from_meta(config=config, trust=order["trust"])
    if order["kill"] is not None:
        session.callbacks.register(Kill(order["kill"]))
    session.callbacks.register(find("Trace")())
    session.run()


def main() -> None:
    """Do what the order in the process's only argument says."""
    try:
        attempt(json.loads(sys.argv[1]))
    except PtutilsError as error:
        sys.exit(f"{type(error).__name__}: {error}")
