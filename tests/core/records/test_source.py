"""What is known of the program that ran: the commit, what it changed, the packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ptutils.core.records import source
from ptutils.core.records.source import capture_source
from ptutils.meta.codec import encode


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository with one committed file, as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    git(tmp_path, "init", "-q")
    (tmp_path / "net.py").write_text("width = 32\n")
    git(tmp_path, "add", "net.py")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_clean_repository_is_known_by_its_commit(repository: Path) -> None:
    captured = capture_source()
    assert captured["commit"] == git(repository, "rev-parse", "HEAD").strip()
    assert captured["is_dirty"] is False
    assert captured["diff"] == ""


def test_changes_are_kept_as_a_diff(repository: Path) -> None:
    (repository / "net.py").write_text("width = 64\n")
    captured = capture_source()
    assert captured["is_dirty"] is True
    assert "-width = 32\n+width = 64\n" in captured["diff"]


def test_diff_can_be_applied_whatever_program_the_user_reads_diffs_with(
    repository: Path,
) -> None:
    git(repository, "config", "diff.external", "echo")
    (repository / "net.py").write_text("width = 64\n")
    assert "+width = 64\n" in capture_source()["diff"]


def test_huge_diff_is_left_out_but_told(repository: Path) -> None:
    (repository / "net.py").write_text("x" * (1 << 20))
    captured = capture_source()
    assert captured["is_dirty"] is True
    assert "diff" not in captured


def test_diff_that_cannot_be_decoded_can_be_stored(repository: Path) -> None:
    (repository / "net.py").write_bytes(b"\xff" * 9000 + b"\0\n")
    diff = capture_source()["diff"]
    assert "\ufffd" in diff
    assert "\\x00" in diff
    assert encode(diff).document == diff


def test_diff_that_git_cannot_make_is_left_out(repository: Path) -> None:
    (repository / ".git/index").write_bytes(b"damaged")
    captured = capture_source()
    assert "commit" in captured
    assert "is_dirty" not in captured
    assert "diff" not in captured


def test_folder_outside_of_a_repository_has_no_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    captured = capture_source()
    assert "commit" not in captured
    assert captured["host"]


def test_machine_without_git_has_no_commit(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(repository))
    assert "commit" not in capture_source()


def test_command_is_kept_in_a_form_that_can_be_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "--name=\udcff\0"])
    command = capture_source()["command"]
    assert command == ["train.py", "--name=\\udcff\\x00"]
    assert encode(command).document == command


def test_packages_are_known_by_version_and_absent_ones_left_out() -> None:
    assert dict(source._versions(["numpy", "no-such-package"])).keys() == {"numpy"}
    assert capture_source()["packages"]["torch"].startswith("2.")
