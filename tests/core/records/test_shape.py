"""Documents that are none of ours are refused when they are read."""

from __future__ import annotations

import copy

import pytest

from ptutils.core.records.identity import is_expired, new_lease
from ptutils.core.records.series import visible_chunks
from ptutils.core.records.shape import RUN, check
from ptutils.errors import ConfigError, CorruptError
from ptutils.meta.values import Document, Value
from tests.core.stored import ENCODED, FIELDS, Writer


@pytest.fixture(scope="module")
def document() -> Document:
    """A run as it lies in a database."""
    writer = Writer()
    run_id = writer.create()
    return writer.db._one("runs", {"_id": run_id})


def changed(document: Document, path: str, value: Value) -> Document:
    *above, last = path.split(".")
    result = copy.deepcopy(document)
    place = result
    for name in above:
        place = place[int(name) if isinstance(place, list) else name]
    if value is KeyError:
        del place[last]
    else:
        place[last] = value
    return result


def test_run_as_it_is_written_has_the_shape(document: Document) -> None:
    check(document, RUN, "runs")


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("experiment", 1, "experiment: 1, not str"),
        ("experiment", KeyError, "no experiment"),
        ("lineage.parent", 3, "lineage.parent: 3, not"),
        ("lineage.verb", KeyError, "no lineage.verb"),
        ("tags", ["a", None], "tags.1: None, not str"),
        ("tags", "a", "tags: 'a', not list"),
        ("status.progress.step", 0.5, "status.progress.step: 0.5, not int"),
        ("status.pid", True, "status.pid: True, not"),
        ("created", "now", "created: 'now', not datetime"),
        ("lease", {"owner": 3}, "lease.owner: 3, not str"),
        ("lease", [], "lease: \\[\\], not"),
        ("segments", [], "no segments"),
        ("segments", [{}], "no segments.0.start"),
        ("segments", [{"start": {"segment": 0, "chunks": 0}}], r"segments\.0\.start"),
        (
            "segments",
            [{"start": None}, {"start": {"segment": 1, "chunks": 0}}],
            r"segments\.1\.start: \{'segment': 1",
        ),
        (
            "segments",
            [{"start": None}, {"start": {"segment": -1, "chunks": 0}}],
            r"segments\.1\.start",
        ),
    ],
)
def test_other_shape_is_refused_with_the_place(
    document: Document, path: str, value: Value, text: str
) -> None:
    damaged = changed(document, path, value)
    with pytest.raises(CorruptError, match=rf"cannot read runs\.(.|\n)*{text}"):
        check(damaged, RUN, "runs")


def test_segments_that_go_on_from_earlier_ones_are_right(document: Document) -> None:
    first: Document = {"start": None}
    second = {"start": {"segment": 0, "chunks": 2}}
    check({**document, "segments": [first, second, first]}, RUN, "runs")


@pytest.mark.parametrize("segment", [-1, 1])
def test_segment_that_is_not_there_is_refused(segment: int) -> None:
    with pytest.raises(CorruptError, match=f"got: +segment {segment}"):
        visible_chunks([{"start": None}], {"segment": segment, "chunks": 0})


@pytest.mark.parametrize("lease", [{}, 3, {**new_lease("a"), "pid": "1"}])
def test_lease_that_is_none_holds_nothing(lease: Value) -> None:
    assert is_expired(lease)


def test_config_that_builds_no_session_is_refused() -> None:
    writer = Writer()
    encoded = {**ENCODED, "config": {"seed": 1}}
    run_id = writer.recorder.create(dict(FIELDS), encoded)
    run = writer.db.runs.get(run_id)
    with pytest.raises(ConfigError, match=r"one that builds a Session\n.*dict"):
        run.restart()
