"""Part two of the driver tutorial prints the code of its example, and its screens are what is printed."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from asynctasq.conformance import DriverConformance
from asynctasq.contracts.driver import Driver
from tests.docs.blocks import blocks_of, looks_like, screens_of

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "writing-a-driver-2.md"
SOURCE = ROOT / "examples" / "asynctasq-filestore" / "src"
PACKAGE = SOURCE / "asynctasq_filestore"
SOURCE_ONE = ROOT / "examples" / "asynctasq-filequeue" / "src"
PART_ONE = SOURCE_ONE / "asynctasq_filequeue" / "driver.py"
SOURCES = [str(SOURCE), str(SOURCE_ONE)]

sys.path += [each for each in SOURCES if each not in sys.path]  # pytest-xdist imports this, too


def _parts(text: str) -> list[str]:
    """Return the definitions in a block, as text."""
    return [part.strip("\n") for part in text.split("\n\n\n")]


@pytest.mark.parametrize("file", ["driver.py", "rows.py"])
def test_printed_code_is_part_of_the_example(file: str) -> None:
    source = (PACKAGE / file).read_text()
    printed = [block for block in blocks_of(PAGE) if block.file == file]
    assert printed
    for block in printed:
        for part in _parts(block.code):
            indented = "\n".join(f"    {line}" if line else line for line in part.splitlines())
            assert part in source or indented in source, block.where


def test_every_function_that_part_one_lacks_is_printed() -> None:
    page = PAGE.read_text()
    known = _names(PART_ONE.read_text())
    for file in ("driver.py", "rows.py"):
        for name in _names((PACKAGE / file).read_text()) - known:
            assert f"def {name}(" in page, name


def _names(source: str) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_the_quick_start_works_on_the_driver(tmp_path: Path) -> None:
    installed = tmp_path / "asynctasq_filestore-0.1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: asynctasq-filestore\nVersion: 0.1.0\n"
    )
    (installed / "entry_points.txt").write_text(
        "[asynctasq.drivers]\nfilestore = asynctasq_filestore\n"
    )
    screens = 0
    for block in blocks_of(PAGE):
        if block.file in {"shop.py", ".env"}:
            (tmp_path / block.file).write_text(block.code)
        for screen in screens_of(block) if block.language == "console" else ():
            program, *arguments = screen.argv
            command = ["-m", "asynctasq.cli"] if program == "asynctasq" else []
            done = subprocess.run(
                [sys.executable, *command, *arguments],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *SOURCES])},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, done.stdout
            assert looks_like(screen.expected, done.stdout), done.stdout
            screens += 1
    assert screens == 4


@pytest.mark.sampled(8)
class TestConformance(DriverConformance):
    durable = True

    def make_driver(self) -> Driver:
        from asynctasq_filestore.driver import FileStoreDriver

        return FileStoreDriver(self.folder / "queue.state")
