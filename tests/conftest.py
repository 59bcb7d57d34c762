"""Settings shared by all tests."""

from __future__ import annotations

from hypothesis import settings

# On shared cores one slow example says nothing about the code.
settings.register_profile("ptutils", deadline=None)
settings.load_profile("ptutils")
