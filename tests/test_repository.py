"""The repository keeps its promises: commands, examples, names, layers, imports."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ptutils
from ptutils.core.catalogue import CATALOGUE
from ptutils.core.records.query import parse_query

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    environment.pop("PTUTILS_DB", None)
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


class Reader:
    """Someone who follows a page from the top, word for word, in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def follow(self, page: Path) -> None:
        for language, name, text in FENCE.findall(page.read_text()):
            if name:
                (self.folder / name).write_text(text)
            elif language != "text":  # Pictures are looked at.
                getattr(self, f"follow_{language}")(text)

    def follow_python(self, text: str) -> None:
        python = [sys.executable, "-W", "error"]
        if text.startswith(">>>"):
            (self.folder / "dialogue.txt").write_text(text)
            self.succeed([*python, "-m", "doctest", "dialogue.txt"])
        else:
            self.succeed([*python, "-c", text])

    def follow_sh(self, text: str) -> None:
        for line in text.splitlines():
            for command in recipe(line) if line.startswith("make ") else [line]:
                self.succeed(["bash", "-c", self.spell(command)])

    def spell(self, command: str) -> str:
        """Put the newest run's id where a page says RUN, the next one's for OTHER."""
        if not re.search(r"\b(RUN|OTHER)\b", command):
            return command
        listing = run(["ptutils", "ls"], self.folder).stdout.splitlines()
        ids = [line.split("\t")[0] for line in listing[1:]]
        spelled = re.sub(r"\bRUN\b", ids[0], command)
        return re.sub(r"\bOTHER\b", lambda _: ids[1], spelled)

    def succeed(self, command: list[str]) -> None:
        done = run(command, self.folder)
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}"


def recipe(line: str) -> list[str]:
    """Return what a make target runs once installed, without running the tests."""
    done = run([*line.split(), "--dry-run", "--always-make"], ROOT)
    assert done.returncode == 0, done.stderr
    commands = [each for each in done.stdout.splitlines() if each.startswith(".venv")]
    own = [each for each in commands if "pip install" not in each]
    assert own, done.stdout
    return [
        each.removeprefix(".venv/bin/") for each in own if ".venv/bin/ptutils" in each
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_example_of_the_page_works(
    page: Path, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")

    Reader(tmp_path).follow(page)


def test_python_and_yaml_of_the_readme_give_the_same_config_and_bits(
    tmp_path: Path,
) -> None:
    found = FENCE.findall((ROOT / "README.md").read_text())
    program = next(text for language, _, text in found if language == "python")
    config = next(text for language, _, text in found if language == "yaml")
    (tmp_path / "mlp.yaml").write_text(config)
    reader = Reader(tmp_path)
    reader.follow_python(program)
    reader.follow_sh("ptutils run mlp.yaml")
    with ptutils.connect(str(tmp_path / "runs.db")) as db:
        one, other = db.runs.find()

        assert one.config == other.config
        assert one.newest().digest == other.newest().digest
        assert one.summary == other.summary


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_public_name_is_documented(name: str) -> None:
    pages = "\n".join(page.read_text() for page in PAGES)

    assert getattr(ptutils, name).__doc__
    assert re.search(rf"\b{name}\b", pages), f"no page mentions {name}"


def test_queries_in_the_documentation_compile_to_their_filters() -> None:
    text = (ROOT / "docs" / "concepts.md").read_text()
    rows = re.findall(r"^\| `([^`]+)` \| `(\{[^`…]+)` \|$", text, re.MULTILINE)

    assert len(rows) > 4
    assert [parse_query(query) for query, _ in rows] == [
        json.loads(document) for _, document in rows
    ]


def test_every_hook_of_a_database_is_documented() -> None:
    text = (ROOT / "docs" / "adding-a-backend.md").read_text()
    hooks = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)

    assert set(hooks) == ptutils.DBInterface.__abstractmethods__


def test_layers_hold() -> None:
    done = run(["lint-imports", "--no-cache"], ROOT)

    assert done.returncode == 0, done.stdout


def test_continuous_integration_runs_the_test_command_and_nothing_else() -> None:
    script = (ROOT / ".ci" / "run").read_text()

    assert script.splitlines() == [
        "#!/usr/bin/env bash",
        "set -e",
        'cd "$(dirname "$0")/.."',
        "exec make test",
    ]


def test_version_is_the_same_everywhere() -> None:
    metadata = (ROOT / "pyproject.toml").read_text()

    assert f'\nversion = "{ptutils.__version__}"\n' in metadata


def test_files_stay_within_400_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in (ROOT / "ptutils").rglob("*.py")
        if (count := len(path.read_text().splitlines())) > 400
    }

    assert long == {}
