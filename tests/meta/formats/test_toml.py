"""TOML files: configs, read only."""

from __future__ import annotations

import datetime as dt

import pytest

from ptutils.errors import FormatError
from ptutils.meta.config import Config
from ptutils.meta.formats import read, write


def test_a_config_is_read(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('name = "é"\nday = 2026-01-31\n[model.net]\nwidths = [1, 2]\n')
    config = Config.read(path)
    assert config.state_dict() == {
        "name": "é",
        "day": dt.date(2026, 1, 31),
        "model": {"net": {"widths": [1, 2]}},
    }


@pytest.mark.parametrize("content", [b"a = ", b"\xff", b"a = 1\na = 2\n"])
def test_what_is_not_toml_is_refused(tmp_path, content):
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(FormatError, match="TOML in UTF-8"):
        read(path)


def test_nothing_is_written(tmp_path):
    with pytest.raises(FormatError, match=r"choose \.yaml or \.json"):
        write(tmp_path / "config.toml", {})
