"""`asynctasq plugins new`: a project with a working plugin, to be changed into your own."""

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
from asynctasq.hookspecs import GROUPS

PREFIX = "asynctasq-"
TAKEN: Mapping[str, frozenset[str]] = {
    "driver": frozenset({"memory", "mysql", "postgres", "rabbitmq", "redis", "sqlite", "sqs"}),
    "serializer": frozenset({"json", "msgpack"}),
    "resolver": frozenset({"django", "sqlalchemy", "tortoise"}),
    "executor": frozenset(),
    "hooks": frozenset(),
}
"""Kind of project to the names that asynctasq and its siblings use."""
TAKEN_DISTRIBUTIONS = frozenset({"core", "mysql", "orm", "postgres", "rabbitmq", "redis", "sqs"})
"""Names of the packages of this project, without `asynctasq-`."""
KINDS = tuple(TAKEN)
DESCRIPTIONS: Mapping[str, str] = {
    "driver": "a driver that keeps its queue in a file",
    "serializer": "a serializer that writes compressed JSON",
    "resolver": "a model resolver for a placeholder of your framework",
    "executor": "an executor that runs sync tasks in a thread pool",
    "hooks": "observers that count tasks",
}
"""Kind of project to the plugin that it contains."""
PAGES: Mapping[str, str] = {
    "driver": "Write a driver",
    "serializer": "Write a serializer",
    "resolver": "Write a resolver",
    "executor": "Write an executor",
    "hooks": "Observe tasks with a plugin",
}
"""Kind of project to the page of the documentation that explains its code."""
_SHARED = ("LICENSE.tmpl", "gitignore.tmpl", "src/PACKAGE/py.typed.tmpl")
"""Templates of drivers that projects of every kind use."""
SUFFIX = ".tmpl"
_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
_HOLE = re.compile(r"\{\{(\w+)\}\}")
_LONGEST_NAME = 30


def write_project(
    name: str, parent: Path, *, kind: str = "driver", author: str | None = None
) -> Path:
    """Write a project with a plugin, and return its folder, `asynctasq-NAME`.

    Args:
        name: name of the plugin; may begin with `asynctasq-`.
        parent: folder in which the project is created.
        kind: one of `KINDS`.
        author: copyright holder; by default, the user name of git or of the system.

    Raises:
        ConfigurationError: the name cannot be used, or the folder is not empty or cannot be written.
    """
    words = words_for(name, author or known_author(), kind)
    folder = parent / words["distribution"]
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(
            f"{folder} already exists and was not changed. Choose another name or --folder."
        )
    try:
        for path, text in rendered(words, kind):
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"Could not write {error.filename or folder}: {error.strerror}. Choose another --folder."
        ) from error
    return folder


def words_for(name: str, author: str, kind: str = "driver") -> Mapping[str, str]:
    """Return the text for each placeholder of the templates.

    Raises:
        ConfigurationError: the name cannot be used.
    """
    short = name.removeprefix(PREFIX)
    if not _NAME.fullmatch(short) or keyword.iskeyword(short) or len(short) > _LONGEST_NAME:
        raise ConfigurationError(
            f"{name!r} is not a valid name of {_noun(kind)}. Use lowercase letters and digits, with single "
            f"dashes between words, such as `mongo` or `big-table`."
        )
    if short in TAKEN[kind]:
        raise ConfigurationError(
            f"A {kind} {short!r} already exists, and two {kind}s with one name cannot be installed "
            f"together. Choose another name, such as `my-{short}`."
        )
    if short in TAKEN_DISTRIBUTIONS:
        raise ConfigurationError(
            f"{PREFIX}{short} is a package of asynctasq, which your package would replace. Choose another "
            f"name, such as `my-{short}`."
        )
    words = re.split("[-_]", short)
    plugin = "_".join(words)
    major, minor = (int(part) for part in __version__.split(".")[:2])
    return {
        "name": plugin,
        "NAME": plugin.upper(),
        "class": "".join(word.capitalize() for word in words),
        "distribution": PREFIX + "-".join(words),
        "package": f"asynctasq_{plugin}",
        "a_plugin": _noun(kind).capitalize(),
        "group": GROUPS[kind.removesuffix("s")],
        "entry_point": _entry_point(kind, plugin),
        "version": f"{major}.{minor}",
        "next_major": str(major + 1),
        "author": _in_quotes(author),
        "year": str(dt.datetime.now(dt.UTC).year),
    }


def _in_quotes(text: str) -> str:
    """Return a text that TOML can have between double quotes, on one line."""
    words = "".join(each if each.isprintable() else " " for each in text).split()
    return " ".join(words).replace('"', "'").replace("\\", "/")


def _noun(kind: str) -> str:
    """Return the kind with its article."""
    if kind == "hooks":
        return "a plugin"
    return f"an {kind}" if kind == "executor" else f"a {kind}"


def _entry_point(kind: str, name: str) -> str:
    if kind == "executor":
        return "thread"  # executors are named for the mode of the tasks that they run
    return f"asynctasq_{name}" if kind == "resolver" else name  # for the module with the models


def rendered(words: Mapping[str, str], kind: str = "driver") -> Iterator[tuple[PurePosixPath, str]]:
    """Yield the path and text of each file of the project."""
    for path, template in _templates(kind):
        target = str(path).removesuffix(SUFFIX)
        target = target.replace("PACKAGE", words["package"]).replace("NAME", words["name"])
        target = ".gitignore" if target == "gitignore" else target
        text = template.read_text(encoding="utf-8")
        yield PurePosixPath(target), _HOLE.sub(lambda hole: words[hole[1]], text)


def _templates(kind: str) -> Iterator[tuple[PurePosixPath, Traversable]]:
    root = files("asynctasq.cli") / "templates"
    yield from _files_in(root / kind, PurePosixPath())
    if kind != "driver":
        yield from _files_in(root / "plugin", PurePosixPath())
        for path, template in _files_in(root / "driver", PurePosixPath()):
            if str(path) in _SHARED:
                yield path, template


def _files_in(
    folder: Traversable, at: PurePosixPath
) -> Iterator[tuple[PurePosixPath, Traversable]]:
    for item in sorted(folder.iterdir(), key=lambda each: each.name):
        if item.is_dir():
            yield from _files_in(item, at / item.name)
        elif item.name.endswith(SUFFIX):
            yield at / item.name, item


def known_author() -> str:
    """Return the user name of git, otherwise that of the system."""
    try:
        done = subprocess.run(
            ["git", "config", "user.name"],  # noqa: S607  the git of the user
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
        if done.stdout.strip():
            return done.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        pass  # git is not installed, or has no name
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "the author"
