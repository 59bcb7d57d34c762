"""An artifact has one digest, in however many slices it is stored."""

from __future__ import annotations

from blake3 import blake3

from ptutils.meta.codec.slices import (
    MOST_WHOLE_BYTES,
    SLICE_BYTES,
    content_digest,
    joined,
    slices,
)


def test_an_artifact_up_to_the_bound_is_one_slice_with_the_digest_of_its_bytes():
    content = bytes(MOST_WHOLE_BYTES)
    (only,) = slices(content)
    assert only == content
    assert content_digest(content) == blake3(content).hexdigest()
    assert content_digest(b"") == blake3(b"").hexdigest()


def test_a_larger_artifact_has_the_digest_of_the_digests_of_its_slices():
    content = memoryview(bytes(MOST_WHOLE_BYTES + 1))
    pieces = slices(content)
    assert [len(piece) for piece in pieces] == [SLICE_BYTES] * 4 + [1]
    assert b"".join(pieces) == content
    raw = b"".join(blake3(piece).digest() for piece in pieces)
    assert content_digest(content) == blake3(raw).hexdigest()
    digests = [blake3(piece).hexdigest() for piece in pieces]
    assert joined(digests) == content_digest(content)


def test_slices_are_no_copies():
    content = bytearray(MOST_WHOLE_BYTES + 1)
    last = slices(memoryview(content))[-1]
    content[-1] = 7
    assert last[0] == 7
