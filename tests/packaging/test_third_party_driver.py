"""A stranger's driver: built, installed beside the core into an empty environment, and tested there."""

import ast
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, Built, Environment

PROJECT = ROOT / "examples" / "asynctasq-filequeue"
TOOLS = ("pytest", "pytest-xdist")
MOST_LINES = 150


@pytest.fixture
def environment(
    core: Built,
    build: Callable[[Path], Built],
    make_environment: Callable[..., Environment],
) -> Environment:
    return make_environment(core.wheel, build(PROJECT).wheel, *TOOLS)


def test_stranger_driver_passes_its_tests_where_it_is_installed(
    environment: Environment, tmp_path: Path
) -> None:
    tests = tmp_path / "tests"
    shutil.copytree(PROJECT / "tests", tests, ignore=shutil.ignore_patterns("__pycache__"))
    command = ("python", "-m", "pytest", "-q", "-n", "2", "-W", "error", tests)
    tested = environment.run(*command, cwd=tmp_path, timeout=110)
    assert " passed" in tested.stdout
    assert "failed" not in tested.stdout
    assert "skipped" not in tested.stdout

    listed = environment.run("asynctasq", "plugins", "list", "--check", "--json", cwd=tmp_path)
    (plugin,) = [one for one in json.loads(listed.stdout) if one["name"] == "filequeue"]
    assert (plugin["kind"], plugin["distribution"]) == ("driver", "asynctasq-filequeue")
    assert plugin["state"] == "available"
    assert str(PROJECT) not in listed.stdout


def test_driver_is_as_short_as_promised() -> None:
    lines = sum(_lines_of_code(path) for path in PROJECT.glob("src/**/*.py"))
    assert 0 < lines < MOST_LINES


def _lines_of_code(path: Path) -> int:
    """Lines that are not blank, comment or docstring."""
    source = path.read_text()
    documentation: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            if ast.get_docstring(node) is not None and first.end_lineno is not None:
                documentation.update(range(first.lineno, first.end_lineno + 1))
    return sum(
        bool(line.strip()) and not line.strip().startswith("#") and number not in documentation
        for number, line in enumerate(source.splitlines(), start=1)
    )
