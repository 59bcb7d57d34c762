"""Manifests: every bit of a file is checked, whatever its format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3

from ptutils.errors import DecodeError
from ptutils.meta.codec import dumps, encode, loads
from ptutils.meta.formats.manifest import brought_back, manifest_of
from ptutils.testing.sameness import same

VALUE = {"w": np.arange(3), "t": (1, float("nan"))}


def test_the_digest_is_of_the_text_without_it_and_the_artifacts():
    encoded = encode(VALUE)
    told = loads(manifest_of(encoded, ["w"]))
    digest = told.pop("blake3")
    content = dumps(told).encode() + bytes(encoded.artifacts[0])
    assert digest == blake3(content).hexdigest()


def test_a_value_comes_back():
    encoded = encode(VALUE)
    text = manifest_of(encoded, ["w"])
    back = brought_back(Path("a"), text, lambda name: encoded.artifacts[0])
    assert same(back, VALUE)


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.update(document=1),
        lambda told: told.update(types=told["types"] + " "),
        lambda told: told.update(blake3="0" * 64),
        lambda told: told.update(blake3=None),
        lambda told: told.update(names=["w", "w"]),
    ],
)
def test_a_changed_manifest_is_noticed(change):
    encoded = encode(VALUE)
    told = loads(manifest_of(encoded, ["w"]))
    change(told)
    with pytest.raises(DecodeError, match="cannot read a: it is damaged"):
        brought_back(Path("a"), dumps(told), lambda name: encoded.artifacts[0])


@pytest.mark.parametrize(
    "text",
    [
        *("", "3", "{}"),
        '{"blake3":"","document":1,"types":1,"names":[]}',
        '{"blake3":"","document":1,"types":"","names":{}}',
        '{"blake3":"","document":1,"types":"","names":[1]}',
        '{"blake3":"","document":1,"types":"","names":[],"more":1}',
    ],
)
def test_what_is_no_manifest_is_refused(text):
    with pytest.raises(DecodeError, match="blake3, document, types and names"):
        brought_back(Path("a"), text, {}.__getitem__)
