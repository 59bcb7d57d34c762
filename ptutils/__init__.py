"""ptutils: experiments as trees of Modules, written down, found, brought back exactly.

Importing this package loads neither torch nor a database driver: each public name is
imported from its own file when it is first used.
"""

from __future__ import annotations

from typing import Any

from ptutils.core.catalogue import CATALOGUE, find

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in CATALOGUE:
        raise AttributeError(f"module 'ptutils' has no attribute {name!r}")
    value = globals()[name] = find(name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *CATALOGUE])
