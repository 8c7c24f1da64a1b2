"""The documents are true: their programs run, and their screens match the output of commands.

A page is a session in its own folder. Blocks run in order. Python with a `title` is a file, and other Python
is run, with `await` allowed anywhere. Lines of `console` blocks that begin with `$` are typed, and the lines
after them are compared with the output (see `looks_like`). A worker without `--burst` stays in the background
until the end of the page. Files that no block uses are imported at the end. Where a block cannot run,
`<!-- not run: why -->` is above it. A page that needs the files of another one says `<!-- continues: page -->`.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import Block, Screen, blocks_of, looks_like, screens_of
from tests.docs.terminal import Command, Terminal

ROOT = Path(__file__).resolve().parents[2]
RUN_ELSEWHERE = {
    "docs/writing-a-driver-2.md",  # tests/test_driver_tutorial_2.py: the same
    "docs/writing-a-driver.md",  # tests/test_driver_tutorial.py: the code is that of the example
}
PAGES = sorted(
    {
        str(page.relative_to(ROOT))
        for pattern in ("docs/**/*.md", "asynctasq-*/README.md", "examples/*/README.md")
        for page in ROOT.glob(pattern)
    }
    - RUN_ELSEWHERE
)
LANGUAGES = {
    "python",
    "console",
    "text",
    "toml",
    "json",
    "yaml",
    "ini",
    "dockerfile",
    "sql",
}
NOT_TYPED = {"make", "kill", "pip"}  # what a page needs is installed here, and the demo has a test
STOPPED_BY_CTRL_C = -2


@pytest.fixture(scope="module")
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


class Session:
    """The session of one page."""

    def __init__(self, terminal: Terminal, folder: Path) -> None:
        self._terminal = terminal
        self._folder = folder
        self._background: list[tuple[Command, Screen, Block]] = []

    def show(self, block: Block) -> None:
        """Do what a block says."""
        if block.file is not None:
            file = self._folder / block.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.code)
        if block.language == "toml":
            tomllib.loads(block.code)
        elif block.language == "json":
            json.loads(block.code)
        elif block.language == "console":
            for screen in screens_of(block):
                self._type(screen, block)
        elif block.language == "python" and block.file is None:
            fragment = self._folder / f"line_{block.line}.py"
            fragment.write_text(block.code)
            self._finish(self._terminal.start(["fragment", str(fragment)], self._folder), block)

    def write(self, blocks: list[Block]) -> None:
        """Have the files of another page."""
        for block in blocks:
            if block.file is not None:
                (self._folder / block.file).write_text(block.code)

    def import_unused(self, blocks: list[Block]) -> None:
        """Import the modules that nothing on the page has run."""
        files = [block for block in blocks if block.language == "python" and block.file]
        unused = [
            Path(str(block.file)).stem
            for block in files
            if not any(
                Path(str(block.file)).stem in each.code for each in blocks if each is not block
            )
        ]
        if unused:
            fragment = self._folder / "all_of_them.py"
            fragment.write_text("".join(f"import {name}\n" for name in sorted({*unused})))
            self._finish(self._terminal.start(["fragment", str(fragment)], self._folder), files[-1])

    def end(self) -> None:
        """Press Ctrl-C in the other terminals, and compare what was printed there."""
        for command, _, _ in self._background:
            command.interrupt()
        endings = [command.ended() for command, _, _ in self._background]
        for (command, screen, block), code in zip(self._background, endings, strict=True):
            assert code in {0, STOPPED_BY_CTRL_C}, f"{block.where}: {code}\n{command.output}"
            _compare(command, screen, block)

    def _type(self, screen: Screen, block: Block) -> None:
        argv = screen.argv
        if argv[0] in NOT_TYPED or argv == ["asynctasq", "demo"]:
            return
        assert argv[0] in {"asynctasq", "python", "pytest", "cat"}, f"{block.where}: {argv}"
        if argv[0] == "cat":
            assert looks_like(screen.expected, (self._folder / argv[1]).read_text())
            return
        command = self._terminal.start(argv, self._folder)
        if argv[:2] == ["asynctasq", "worker"] and not {"--burst", "--help"} & {*argv}:
            self._background.append((command, screen, block))
            command.until_it_serves()
        else:
            self._finish(command, block, screen)

    @staticmethod
    def _finish(command: Command, block: Block, screen: Screen | None = None) -> None:
        code = command.ended()
        failure_shown = screen is not None and re.search(
            r"^(?:[\w.]*Error|Usage): ", screen.expected, re.MULTILINE
        )
        assert code == 0 or failure_shown, (
            f"{block.where}: {command.text}: {code}\n{command.output}"
        )
        if screen is not None:
            _compare(command, screen, block)


def _compare(command: Command, screen: Screen, block: Block) -> None:
    if screen.expected.strip():
        assert looks_like(screen.expected, command.output), (
            f"{block.where}: `{command.text}` printed\n{command.output}\nand not\n{screen.expected}"
        )


@pytest.mark.parametrize("name", PAGES)
def test_page_is_true(name: str, terminal: Terminal, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    session = Session(terminal, folder)
    text = (ROOT / name).read_text()
    for module in ("fastapi.testclient", "pytest"):
        if (
            f"import {module}" in text.replace("from fastapi", "import fastapi")
            or f"$ {module}" in text
        ):
            terminal.ask({"import": module})
    blocks = [*blocks_of(ROOT / name)]
    for earlier in re.findall(r"^<!-- continues: (\S+) -->$", text, re.MULTILINE):
        session.write([*blocks_of(ROOT / "docs" / earlier)])
    try:
        for block in blocks:
            if block.not_run is None:
                session.show(block)
        session.import_unused(blocks)
    finally:
        session.end()


@pytest.mark.parametrize("name", PAGES)
def test_blocks_are_of_a_kind_that_is_checked(name: str) -> None:
    for block in blocks_of(ROOT / name):
        assert block.language in LANGUAGES, f"{block.where}: say which of {sorted(LANGUAGES)}"
        if block.language == "python":
            compile(block.code, block.where, "exec", flags=0x2000)  # `await` outside of functions
        if block.language == "console":
            assert list(screens_of(block)), f"{block.where}: no line begins with `$`"


@pytest.mark.parametrize(
    "expected, printed, same",
    [
        ("total 5", "total 5\n", True),
        ("total 5", "total 6\n", False),
        ("total 5", "total 5\nand more\n", False),
        ("total 5\n...", "total 5\nand more\n", True),
        ("done in 12 ms", "done in 3.5 s\n", True),
        ("a  b ─────", "a      b ──\n", True),
        ("12:00:00Z INFO ... ends", "07:31:10Z INFO it ends\n", True),
        ("12:00:00 INFO ... ends", "07:31:10 INFO it goes on\n", False),
    ],
)
def test_screens_are_compared_but_for_what_varies(expected: str, printed: str, same: bool) -> None:
    assert looks_like(expected, printed) is same
