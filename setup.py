"""For tools that still look for it; pyproject.toml holds everything."""

from setuptools import setup

setup()
