"""Type checkers accept right uses and report an error on each line of wrong ones."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent
WRONG = FOLDER / "wrong_uses.py"
FILES = [str(FOLDER / "right_uses.py"), str(WRONG)]


def marked() -> set[tuple[str, int]]:
    lines = enumerate(WRONG.read_text().splitlines(), 1)
    return {(WRONG.name, number) for number, line in lines if line.endswith("# wrong")}


def compare(found: Iterable[tuple[str, int, str]]) -> None:
    told = {(Path(file).name, line): message for file, line, message in found}
    assert {place: told[place] for place in told.keys() - marked()} == {}
    assert marked() - told.keys() == set()


@pytest.mark.full
@pytest.mark.timeout(300)
def test_mypy(repository: Path) -> None:
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "--hide-error-context", *FILES]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    found = re.findall(r"^(.+?\.py):(\d+): error: (.*)$", done.stdout, re.MULTILINE)
    assert found, done.stdout + done.stderr
    compare((file, int(line), message) for file, line, message in found)


@pytest.mark.full
@pytest.mark.timeout(300)
def test_pyright(repository: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyright")
    settings: dict[str, Any] = tomllib.loads((repository / "pyproject.toml").read_text())
    settings = settings["tool"]["pyright"]
    paths = [str(repository / path) for path in settings["extraPaths"]]
    included = [os.path.relpath(file, tmp_path) for file in FILES]
    settings |= {"include": included, "exclude": [], "extraPaths": paths}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--project", str(tmp_path)]
    command += ["--pythonpath", sys.executable]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    answer = json.loads(done.stdout)
    assert answer["summary"]["filesAnalyzed"] == len(FILES)
    compare(
        (each["file"], each["range"]["start"]["line"] + 1, each["message"])
        for each in answer["generalDiagnostics"]
        if each["severity"] == "error"
    )
