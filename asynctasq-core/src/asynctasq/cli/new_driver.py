"""`asynctasq plugins new`: a project with a working driver."""

import datetime as dt
import getpass
import keyword
import re
import subprocess
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath

from asynctasq import __version__
from asynctasq.errors import ConfigurationError

PREFIX = "asynctasq-"
TAKEN = frozenset({"memory", "mysql", "postgres", "rabbitmq", "redis", "sqlite", "sqs"})
"""Names of drivers in asynctasq and its sibling distributions."""
SUFFIX = ".tmpl"
_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
_HOLE = re.compile(r"\{\{(\w+)\}\}")
_LONGEST_NAME = 30


def write_project(name: str, parent: Path, *, author: str | None = None) -> Path:
    """Write a driver project and return its folder, `asynctasq-NAME`.

    Args:
        name: name of the driver for users; may begin with `asynctasq-`.
        parent: folder in which the project is created.
        author: holder of the copyright; None for the name in git or the system.

    Raises:
        ConfigurationError: the name is invalid, or the folder is not empty.
    """
    words = words_for(name, author or known_author())
    folder = parent / words["distribution"]
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(
            f"{folder} already exists and was not changed. Choose another name or --folder."
        )
    for path, text in rendered(words):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def words_for(name: str, author: str) -> Mapping[str, str]:
    """Return the values of the placeholders in the templates.

    Raises:
        ConfigurationError: the name is invalid.
    """
    short = name.removeprefix(PREFIX)
    if not _NAME.fullmatch(short) or keyword.iskeyword(short) or len(short) > _LONGEST_NAME:
        raise ConfigurationError(
            f"{name!r} is not a valid driver name. Use lowercase letters and digits, with single dashes "
            f"between words, such as `mongo` or `big-table`."
        )
    if short in TAKEN:
        raise ConfigurationError(
            f"A driver {short!r} already exists, and two drivers with one name cannot be installed "
            f"together. Choose another name, such as `my-{short}`."
        )
    words = re.split("[-_]", short)
    driver = "_".join(words)
    major, minor = (int(part) for part in __version__.split(".")[:2])
    return {
        "name": driver,
        "NAME": driver.upper(),
        "class": "".join(word.capitalize() for word in words),
        "distribution": PREFIX + "-".join(words),
        "package": f"asynctasq_{driver}",
        "version": f"{major}.{minor}",
        "next_major": str(major + 1),
        "author": author.replace('"', "'"),
        "year": str(dt.datetime.now(dt.UTC).year),
    }


def rendered(words: Mapping[str, str]) -> Iterator[tuple[PurePosixPath, str]]:
    """Yield the path and the text of each file of the project."""
    root = files("asynctasq.cli") / "templates" / "driver"
    for path, template in _files_in(root, PurePosixPath()):
        target = str(path).removesuffix(SUFFIX)
        target = target.replace("PACKAGE", words["package"]).replace("NAME", words["name"])
        target = ".gitignore" if target == "gitignore" else target
        text = template.read_text(encoding="utf-8")
        yield PurePosixPath(target), _HOLE.sub(lambda hole: words[hole[1]], text)


def _files_in(
    folder: Traversable, at: PurePosixPath
) -> Iterator[tuple[PurePosixPath, Traversable]]:
    for item in sorted(folder.iterdir(), key=lambda each: each.name):
        if item.is_dir():
            yield from _files_in(item, at / item.name)
        elif item.name.endswith(SUFFIX):
            yield at / item.name, item


def known_author() -> str:
    """Return the name of the user in git, or otherwise in the system."""
    try:
        done = subprocess.run(
            ["git", "config", "user.name"],  # noqa: S607  whichever git the user has
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
        if done.stdout.strip():
            return done.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        pass  # git is not installed or not configured
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "the author"
