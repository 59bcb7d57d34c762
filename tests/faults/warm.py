"""What the processes that are killed need, loaded and used once before they start."""

from __future__ import annotations

import pymongo  # noqa: F401 - for those that write to a server
import pytest  # noqa: F401 - the main module of their parent

from tests.faults.experiment import settings

__all__: list[str] = []

settings("memory:", duration="2 steps").configure().run()
