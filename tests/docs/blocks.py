"""The fenced blocks of a document, and the commands on its screens."""

import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path

from asynctasq.records import record

_FENCE = re.compile(
    r"(?:^[ ]*<!-- not run: (?P<reason>[^\n]+?) -->\n+)?"
    r"^(?P<indent> *)```(?P<language>[\w-]*)(?P<info>[^\n`]*)\n(?P<code>.*?)^(?P=indent)```[ ]*$",
    re.MULTILINE | re.DOTALL,
)


@record
class Block:
    """One fenced block."""

    page: Path
    line: int
    language: str
    file: str | None
    """The name in `title="..."`, or in a first line that is a comment with only a file name."""
    code: str
    not_run: str | None
    """Why it is not run, if so: of a comment `<!-- not run: ... -->` above it."""

    @property
    def where(self) -> str:
        return f"{self.page.name}:{self.line}"


@record
class Screen:
    """A command, and what the document says that it prints."""

    command: str
    expected: str
    interrupted: bool
    """True if the document shows Ctrl-C."""

    @property
    def argv(self) -> list[str]:
        return shlex.split(self.command, comments=True)


def blocks_of(page: Path) -> Iterator[Block]:
    """All blocks of a page, in order."""
    text = page.read_text()
    for match in _FENCE.finditer(text):
        code = textwrap.dedent(match["code"])
        title = re.search(r'title="([^"]+)"', match["info"])
        named = re.match(r"# (\w+\.py)\n", code)
        yield Block(
            page=page,
            line=text.count("\n", 0, match.start("code")),
            language=match["language"],
            file=title[1] if title else named[1] if named else None,
            code=code,
            not_run=match["reason"],
        )


def screens_of(block: Block) -> Iterator[Screen]:
    """Yield the commands of a console block: lines that begin with `$`, up to the next."""
    for part in re.split(r"^\$ ", block.code, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        while command.endswith("\\"):
            more, _, expected = expected.partition("\n")
            command = f"{command[:-1]} {more.removeprefix('> ').strip()}"
        lines = expected.splitlines()
        yield Screen(
            command=command,
            expected="\n".join(line for line in lines if line.strip() != "^C"),
            interrupted="^C" in (line.strip() for line in lines),
        )


def looks_like(expected: str, printed: str) -> bool:
    """Return whether a screen shows the printed text, apart from parts that differ between runs.

    `...` matches any text within a line, and any lines if it is alone. IDs, times of day and durations
    match others of their kind, and spaces match any number of spaces.
    """
    lines = [line.strip() for line in expected.splitlines() if line.strip()]
    pattern = "".join(r"(?:.*\n)*" if line == "..." else _pattern(line) + r"\n" for line in lines)
    text = "".join(f"{line.strip()}\n" for line in printed.splitlines() if line.strip())
    return re.fullmatch(pattern, text) is not None


_VARYING = re.compile(
    r"(?P<any>\.\.\.|…)"
    r"|(?P<id>\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b)"
    r"|(?P<date>\b\d{4}-\d\d-\d\d\b)"
    r"|(?P<time>\b\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z?\b)"
    r"|(?P<duration>\b\d+(?:\.\d+)? ?(?:ms|s|min|h)\b)"
    r"|(?P<pid>\bpid \d+\b)"
    r"|(?P<rule>[─━-]{3,})"
    r"|(?P<space>\s+)"
)
_ANY = {
    "any": r".*?",
    "id": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "date": r"\d{4}-\d\d-\d\d",
    "time": r"\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z?",
    "duration": r"\d+(?:\.\d+)? ?(?:ms|s|min|h)",
    "pid": r"pid \d+",
    "rule": r"[─━-]+",
    "space": r"\s+",
}


def _pattern(line: str) -> str:
    parts: list[str] = []
    end = 0
    for match in _VARYING.finditer(line):
        parts += [re.escape(line[end : match.start()]), _ANY[str(match.lastgroup)]]
        end = match.end()
    return "".join([*parts, re.escape(line[end:])])
