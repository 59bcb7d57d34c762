"""Settings and fixtures shared by all tests."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.terminal import Terminal, open_terminal

# Tests start processes beside each other; threads that spin would only wait.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# On shared cores one slow example says nothing about the code.
settings.register_profile("ptutils", deadline=None)
settings.load_profile("ptutils")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Run one more test at once than there are processors: many wait for others."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the pages of the documentation: each takes long, in one piece."""
    items.sort(key=lambda item: "test_every_command_and_example" not in item.name)


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """Start Python in a terminal of its own, in an empty folder."""
    return functools.partial(open_terminal, tmp_path)
