"""The laws of the codec, over generated trees."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import HealthCheck, given, settings

from ptutils.meta.codec import Encoded, decode, dumps, encode, loads
from ptutils.meta.codec.keys import is_plain_key
from ptutils.testing.sameness import same
from ptutils.testing.values import any_text, plain_values, trees

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support")
relaxed = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def stored(encoded: Encoded) -> Encoded:
    """Return what a store would give back: everything through text and bytes."""
    return Encoded(
        document=loads(dumps(encoded.document)),
        types=encoded.types,
        artifacts=tuple(bytes(artifact) for artifact in encoded.artifacts),
    )


@relaxed
@given(trees)
def test_decoding_brings_back_what_was_encoded(value):
    assert same(decode(stored(encode(value)), device=None), value)


@relaxed
@given(trees)
def test_encoding_what_was_decoded_gives_the_same_text_and_bytes(value):
    first = stored(encode(value))
    again = stored(encode(decode(first, device=None)))
    assert dumps(again.document) == dumps(first.document)
    assert again.types == first.types
    assert again.artifacts == first.artifacts


@relaxed
@given(plain_values)
def test_plain_values_are_stored_as_they_are_without_sidecar(value):
    encoded = encode(value)
    assert encoded.types == ""
    assert encoded.artifacts == ()
    assert same(encoded.document, value)
    assert same(decode(stored(encoded)), value)


@relaxed
@given(trees)
def test_every_key_of_a_document_is_plain(value):
    unseen = [encode(value).document]
    while unseen:
        node = unseen.pop()
        if isinstance(node, dict):
            assert all(is_plain_key(key) for key in node)
            unseen += node.values()
        elif isinstance(node, list):
            unseen += node


@relaxed
@given(trees)
def test_texts_are_ascii_json(value):
    encoded = encode(value)
    for text in (dumps(encoded.document), encoded.types or "{}"):
        assert text.isascii()
        json.loads(text)


@settings(max_examples=100, deadline=None)
@given(any_text)
def test_a_hostile_text_comes_back_as_value_and_as_key(text):
    value = {text: text, 0: {text: [text]}, (text,): None}
    assert same(decode(stored(encode(value))), value)


def test_encoded_is_a_record_of_three_parts():
    names = [field.name for field in dataclasses.fields(Encoded)]
    assert names == ["document", "types", "artifacts"]
