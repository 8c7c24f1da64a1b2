"""`asynctasq plugins new`: valid names, no overwritten files, and the code of the tutorial."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from asynctasq.cli import main
from asynctasq.cli.new_plugin import DESCRIPTIONS, KINDS, rendered, words_for
from asynctasq.contracts.driver import DRIVER_API_VERSION

EXAMPLE = Path(__file__).parents[2] / "examples" / "asynctasq-filequeue"


def new(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["plugins", "new", *arguments])


def test_a_complete_project_is_written(tmp_path: Path) -> None:
    result = new("asynctasq-big-table", "--folder", str(tmp_path), "--author", 'Ada "L"')
    assert result.exit_code == 0, result.output
    project = tmp_path / "asynctasq-big-table"
    files = {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()}
    assert files == {
        ".gitignore",
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "src/asynctasq_big_table/__init__.py",
        "src/asynctasq_big_table/driver.py",
        "src/asynctasq_big_table/py.typed",
        "tests/test_big_table.py",
    }
    for name in files:
        assert name in result.output
        assert "{{" not in (project / name).read_text()
    metadata = tomllib.loads((project / "pyproject.toml").read_text())
    assert metadata["project"]["entry-points"]["asynctasq.drivers"] == {
        "big_table": "asynctasq_big_table"
    }
    assert "Ada 'L'" in (project / "LICENSE").read_text()
    assert "Author: Ada" in result.output
    readme = (project / "README.md").read_text()
    assert "drivers check big_table://" in readme
    assert "BIG_TABLE_URL" in readme
    code = (project / "src/asynctasq_big_table/driver.py").read_text()
    assert "class BigTableDriver" in code
    assert f"api_version = {DRIVER_API_VERSION}\n" in code  # not that of a later release


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    project = tmp_path / "asynctasq-acme"
    project.mkdir()
    (project / "mine").write_text("kept")
    result = new("acme", "--folder", str(tmp_path))
    assert result.exit_code == 1
    assert "was not changed" in result.output
    assert [path.name for path in project.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    "name",
    ["Mongo", "3d", "a b", "../up", "a--b", "-a", "a-", "", "class", "ä", "a.b", "x" * 31],
)
def test_invalid_names_are_refused(name: str, tmp_path: Path) -> None:
    result = new("--folder", str(tmp_path), "--", name)
    assert result.exit_code == 1
    assert "is not a valid name of a driver" in result.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["redis", "asynctasq-sqlite"])
def test_names_of_existing_drivers_are_refused(name: str, tmp_path: Path) -> None:
    result = new(name, "--folder", str(tmp_path))
    assert result.exit_code == 1
    assert "already" in result.output


@pytest.mark.parametrize(("name", "kind"), [("orm", "resolver"), ("redis", "serializer")])
def test_names_of_packages_of_asynctasq_are_refused(name: str, kind: str, tmp_path: Path) -> None:
    result = new(name, "--kind", kind, "--folder", str(tmp_path))
    assert result.exit_code == 1
    assert f"asynctasq-{name} is a package of asynctasq" in result.output
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_gives_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = new("acme", "--folder", str(tmp_path / "file" / "below"))
    assert result.exit_code == 1
    assert "Error: Could not write" in result.output
    assert "Choose another --folder" in result.output


@pytest.mark.parametrize("author", ["CORP\\ada", "Ada\n\tL", "Ada\x07\x1b"])
def test_any_author_can_be_written(author: str, tmp_path: Path) -> None:
    for kind in ("driver", "hooks"):
        assert new("acme", "--kind", kind, "--folder", str(tmp_path / kind), "--author", author)
        metadata = (tmp_path / kind / "asynctasq-acme" / "pyproject.toml").read_text()
        (named,) = tomllib.loads(metadata)["project"]["authors"]
        assert named["name"] in {"CORP/ada", "Ada L", "Ada"}


def test_the_code_is_that_of_the_tutorial() -> None:
    """Compare the code of the template and the tutorial without docstrings."""
    project = {str(path): text for path, text in rendered(words_for("filequeue", "Ada"))}
    for name in (
        "src/asynctasq_filequeue/__init__.py",
        "src/asynctasq_filequeue/driver.py",
        "tests/test_filequeue.py",
    ):
        example = (EXAMPLE / name).read_text().replace("FileQueue", "Filequeue")
        assert _code(project[name]) == _code(example), name


@pytest.mark.full
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "driver"])
def test_projects_of_other_kinds_are_clean(kind: str, tmp_path: Path) -> None:
    result = new("big-table", "--kind", kind, "--folder", str(tmp_path), "--author", "Ada")
    assert result.exit_code == 0, result.output
    assert f"with {DESCRIPTIONS[kind]}" in result.output
    project = tmp_path / "asynctasq-big-table"
    files = [path for path in project.rglob("*") if path.is_file()]
    assert {"LICENSE", ".gitignore", "py.typed", "test_big_table.py"} < {
        each.name for each in files
    }
    assert not [each for each in files if "{{" in each.read_text()]
    (group,) = tomllib.loads((project / "pyproject.toml").read_text())["project"]["entry-points"]
    assert group == f"asynctasq.{'hooks' if kind == 'hooks' else kind + 's'}"
    for tool in (
        ("ruff", "check", "--no-cache"),
        ("ruff", "format", "--check", "--no-cache"),
        ("mypy", "--cache-dir", str(tmp_path / "cache")),
    ):
        done = subprocess.run(
            [sys.executable, "-m", *tool],
            cwd=project,
            env={**os.environ, "MYPYPATH": "src"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_names_of_serializers_are_reserved_for_serializers(tmp_path: Path) -> None:
    assert new("json", "--kind", "serializer", "--folder", str(tmp_path)).exit_code == 1
    assert new("json", "--kind", "hooks", "--folder", str(tmp_path)).exit_code == 0


def _code(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [
                each
                for each in node.body
                if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
            ]
    return re.sub(r"\s+", " ", ast.unparse(tree))
