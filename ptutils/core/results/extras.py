"""Packages that only some results need."""

from __future__ import annotations

import importlib
from typing import Any

from ptutils.errors import ConfigError

__all__ = ["load_extra"]


def load_extra(name: str, purpose: str) -> Any:
    """Import a package that may not be installed.

    Args:
        name: A dotted module name.
        purpose: What it is needed for, as in "cannot ...".

    Raises:
        ConfigError: If it is not installed; the message says what to install.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ConfigError(
            f"cannot {purpose}: {package} is not installed",
            fix="pip install 'ptutils[plots]'",
        ) from error
