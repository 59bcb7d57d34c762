"""What is known of the program that ran: the commit, what it changed, the packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

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


def test_command_tells_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "mongodb://me:se:cr@t@host/runs"
    monkeypatch.setattr(sys, "argv", ["train.py", f"--db={url}"])
    assert capture_source()["command"][1] == "--db=mongodb://me:***@host/runs"


def test_branch_is_known_and_a_commit_without_one_has_none(repository: Path) -> None:
    git(repository, "checkout", "-qb", "wide")
    assert capture_source()["branch"] == "wide"
    git(repository, "checkout", "-q", "--detach")
    assert "branch" not in capture_source()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://me:tok@en@host.org/lab/nets.git", "https://host.org/lab/nets.git"),
        ("https://host.org/nets?token=abc", "https://host.org/nets"),
        ("git@host.org:lab/nets.git", "git@host.org:lab/nets.git"),
    ],
)
def test_remote_is_known_without_credentials(
    repository: Path, url: str, told: str
) -> None:
    git(repository, "remote", "add", "origin", url)
    assert capture_source()["remote"] == told


def test_repository_without_a_remote_has_none(repository: Path) -> None:
    assert "remote" not in capture_source()


def test_repository_without_a_commit_has_no_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "-q")
    assert "commit" not in capture_source()


def test_settings_of_a_repository_start_no_program(repository: Path) -> None:
    witness = repository / "witness"
    git(repository, "config", "core.fsmonitor", f"touch {witness}")
    git(repository, "config", "diff.run.textconv", f"touch {witness}; cat")
    (repository / ".gitattributes").write_text("*.py diff=run\n")
    (repository / "net.py").write_text("width = 64\n")
    assert capture_source()["is_dirty"] is True
    assert not witness.exists()


def test_packages_that_are_imported_are_known_by_version() -> None:
    packages = capture_source()["packages"]
    assert packages["torch"] == torch.__version__
    assert packages["pyyaml"] == yaml.__version__
    assert "no-such-package" not in packages
    assert packages == dict(sorted(packages.items()))


def installed(folder: Path, name: str, files: dict[str, str]) -> None:
    place = folder / f"{name}.dist-info"
    place.mkdir()
    for file, text in files.items():
        (place / file).write_text(text)


def test_package_is_known_by_what_it_is_imported_as(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, "Made_by-1.0", {"RECORD": "yaml/x.py,,\nmade-1/METADATA,,\n"})
    installed(tmp_path, "one.file-2.0", {"RECORD": "torch.py,,\n"})
    installed(tmp_path, "told-3.0", {"top_level.txt": "numpy\n"})
    installed(tmp_path, "absent-4.0", {"top_level.txt": "not_imported\n"})
    installed(tmp_path, "empty-5.0", {})
    installed(tmp_path, "unversioned", {})
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "gone")])
    assert dict(source._packages()) == {
        "made-by": "1.0",
        "one-file": "2.0",
        "told": "3.0",
    }


def test_processor_is_known_by_its_model(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor : 0\nmodel name : Fast 9000\n")
    assert source._cpu_model(info) == "Fast 9000"
    info.write_text("processor : 0\n")
    assert source._cpu_model(info) == source._cpu_model(tmp_path / "gone")
    assert capture_source()["cpu"].keys() == {"model", "count"}


def test_program_without_torch_uses_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert capture_source()["gpus"] == []
    monkeypatch.delitem(sys.modules, "torch")
    assert capture_source()["gpus"] == []


def test_source_can_be_stored() -> None:
    captured = capture_source()
    assert encode(captured).document == captured
