"""For those who write a backend: the tests that every database passes.

It needs pytest and hypothesis: ``pip install ptutils[testing]``.
"""

import pytest

pytest.register_assert_rewrite("ptutils.testing.contract")

from ptutils.testing.contract.suite import DBInterfaceContract  # noqa: E402 - rewritten

__all__ = ["DBInterfaceContract"]
