"""A stranger's driver: begun with `plugins new`, built, installed into an empty environment, tested."""

import ast
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, Built, Environment

EXAMPLE = ROOT / "examples" / "asynctasq-filequeue"
TOOLS = ("pytest", "pytest-xdist")
MOST_LINES = 170


@pytest.fixture
def environment(core: Built, make_environment: Callable[..., Environment]) -> Environment:
    return make_environment(core.wheel, *TOOLS)


@pytest.mark.full
def test_a_new_driver_is_clean_passes_its_tests_and_is_found_where_it_is_installed(
    environment: Environment,
    build: Callable[[Path], Built],
    install: Callable[..., None],
    tmp_path: Path,
) -> None:
    environment.run("asynctasq", "plugins", "new", "big-table", "--author", "Ada", cwd=tmp_path)
    project = tmp_path / "asynctasq-big-table"
    install(environment, build(project).wheel)

    # Its types are those of the example, which `make check` looks at: the code is the same.
    ruff = (sys.executable, "-m", "ruff")
    environment.run(*ruff, "check", "--no-cache", cwd=project)
    environment.run(*ruff, "format", "--check", "--no-cache", cwd=project)

    command = ("python", "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider")
    tested = environment.run(*command, cwd=project, timeout=110)
    assert " passed" in tested.stdout
    assert "failed" not in tested.stdout
    assert "skipped" not in tested.stdout

    listed = environment.run("asynctasq", "plugins", "list", "--check", "--json", cwd=tmp_path)
    (plugin,) = [one for one in json.loads(listed.stdout) if one["name"] == "big_table"]
    assert (plugin["kind"], plugin["distribution"]) == ("driver", "asynctasq-big-table")
    assert plugin["state"] == "available"
    assert str(project) not in listed.stdout


def test_driver_is_as_short_as_promised() -> None:
    lines = sum(_lines_of_code(path) for path in EXAMPLE.glob("src/**/*.py"))
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
