from __future__ import annotations

import copy
import pickle

import pytest

from ptutils import errors
from ptutils.errors import ConfigError, PtutilsError, StopTraining, TrustError, nearest


def test_message_says_what_where_expected_got_and_fix() -> None:
    error = ConfigError(
        "wrong type", path="net.width", expected="int", got="'64'", fix="write 64"
    )
    assert str(error) == (
        "wrong type at 'net.width'\n"
        "  expected: int\n"
        "  got:      '64'\n"
        "  fix:      write 64"
    )


def test_message_leaves_out_what_is_not_known() -> None:
    assert str(ConfigError("cannot build")) == "cannot build"


def test_fields_are_kept() -> None:
    error = ConfigError("x", path="a.b", expected="c", got="d", fix="e")
    fields = (error.what, error.path, error.expected, error.got, error.fix)
    assert fields == ("x", "a.b", "c", "d", "e")


@pytest.mark.parametrize("name", [n for n in errors.__all__ if n != "nearest"])
def test_every_error_is_ours_and_survives_pickling(name: str) -> None:
    kind = getattr(errors, name)
    error = kind("reason") if kind is StopTraining else kind("what", path="a", got="b")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own
        assert isinstance(twin, PtutilsError)
        assert type(twin) is kind
        assert str(twin) == str(error)
        assert twin.__dict__ == error.__dict__


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("ConfigError", ValueError),
        ("TrustError", PermissionError),
        ("EncodeError", TypeError),
        ("DecodeError", ValueError),
        ("FormatError", ValueError),
        ("MissingNameError", KeyError),
        ("MissingNameError", AttributeError),
        ("StateMismatchError", ValueError),
        ("CallbackError", TypeError),
        ("StatusError", RuntimeError),
        ("DivergenceError", ArithmeticError),
        ("DataError", RuntimeError),
        ("QueryError", ValueError),
        ("DatabaseError", RuntimeError),
        ("NotFoundError", LookupError),
        ("CorruptError", OSError),
        ("LeaseError", BlockingIOError),
    ],
)
def test_error_refines_a_builtin(name: str, builtin: type[Exception]) -> None:
    assert issubclass(getattr(errors, name), builtin)


def test_hierarchy_is_drawn_whole() -> None:
    drawing = errors.__doc__ or ""
    assert all(name in drawing for name in errors.__all__ if name != "nearest")


def test_one_fault_is_raised_as_itself() -> None:
    fault = TrustError("refused")
    assert ConfigError.combine("cannot build", [fault]) is fault


def test_many_faults_are_told_in_one_message() -> None:
    error = ConfigError.combine(
        "cannot build", [ConfigError("one", path="a"), TrustError("two", path="b")]
    )
    assert type(error) is ConfigError
    assert str(error) == "cannot build: 2 faults\none at 'a'\ntwo at 'b'"


def test_faults_of_trust_alone_make_one_of_trust() -> None:
    error = ConfigError.combine("cannot build", [TrustError("a"), TrustError("b")])
    assert type(error) is TrustError
    assert "cannot build: 2 faults\na\nb" in str(error)


def test_stop_keeps_its_reason() -> None:
    assert StopTraining("loss is low").reason == "loss is low"


def test_nothing_is_nearest_when_nothing_is_close() -> None:
    assert nearest("abc", ["xyz"]) == ""
