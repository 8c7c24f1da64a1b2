"""The edits that a release makes to the files of the repository, as pure functions of their text."""

import datetime as dt
import difflib
import re
import tomllib
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

CORE = "asynctasq-core"
CHANGELOG = "CHANGELOG.md"


class ReleaseError(Exception):
    """The release was refused or failed, and the repository is unchanged."""


class Change(NamedTuple):
    """One file, before and after the release. The path is relative to the repository."""

    path: Path
    before: str
    after: str


def current_version(root: Path) -> str:
    """Return the version of core, which all distributions share."""
    table = tomllib.loads((root / CORE / "pyproject.toml").read_text(encoding="utf-8"))
    version: str = table["project"]["version"]
    return version


def check_version(old: str, new: str) -> None:
    """Raise ReleaseError unless `new` is a normalized version above `old`."""
    try:
        version = Version(new)
    except InvalidVersion:
        raise ReleaseError(f"VERSION must be like 1.2.3 or 1.2.3rc1, got {new!r}.") from None
    if str(version) != new or len(version.release) != 3 or version.local or version.epoch:
        raise ReleaseError(f"VERSION must be like 1.2.3 or 1.2.3rc1, got {new!r}.")
    if version <= Version(old):
        raise ReleaseError(f"VERSION must be above the current version {old}, got {new}.")


def release_changes(root: Path, new: str, today: dt.date) -> list[Change]:
    """Return the change of each file that names the version, and of the changelog."""
    old = current_version(root)
    changes: list[Change] = []
    for project in sorted(root.glob("asynctasq-*/pyproject.toml")):
        text = project.read_text(encoding="utf-8")
        after = bump_project(text, old, new)
        check_requirements(after, new, str(project.relative_to(root)))
        changes.append(Change(project.relative_to(root), text, after))
    for module in version_modules(root):
        text = module.read_text(encoding="utf-8")
        changes.append(Change(module.relative_to(root), text, bump_module(text, old, new)))
    text = (root / CHANGELOG).read_text(encoding="utf-8")
    changes.append(Change(Path(CHANGELOG), text, date_changelog(text, new, today)))
    return changes


def version_modules(root: Path) -> list[Path]:
    """List the modules that assign a literal to `__version__`."""
    modules = root.glob("asynctasq-*/src/*/*.py")
    return sorted(each for each in modules if _ASSIGNED.search(each.read_text(encoding="utf-8")))


_ASSIGNED = re.compile(r'^(__version__(?:: \w+)? = )"(.+)"$', re.MULTILINE)


def bump_module(text: str, old: str, new: str) -> str:
    """Return the text of a module with `__version__` set from `old` to `new`."""
    found = [match[2] for match in _ASSIGNED.finditer(text)]
    if found != [old]:
        raise ReleaseError(f"__version__ must be assigned {old!r} once, got {found}.")
    return _ASSIGNED.sub(rf'\g<1>"{new}"', text)


def bump_project(text: str, old: str, new: str) -> str:
    """Return the text of a pyproject.toml with its version, pins and lower bounds set to `new`.

    `asynctasq-redis==OLD` becomes `asynctasq-redis==NEW`, and `asynctasq>=OLD,<1` becomes
    `asynctasq>=NEW,<2` if `new` starts the next major version.
    """
    current = re.escape(old)
    text, count = re.subn(
        rf'^version = "{current}"$', f'version = "{new}"', text, flags=re.MULTILINE
    )
    if count != 1:
        raise ReleaseError(f'pyproject.toml must contain version = "{old}" once, got {count}.')
    name = r"asynctasq[a-z-]*(?:\[[a-z,-]+\])?"
    text = re.sub(rf'"({name})=={current}"', rf'"\g<1>=={new}"', text)
    return re.sub(rf'"({name})>={current},<\d+"', rf'"\g<1>{_bounds(new)}"', text)


def check_requirements(text: str, version: str, name: str) -> None:
    """Raise ReleaseError if a requirement on a distribution of ours misses the version.

    Extras pin siblings with `==`, and siblings accept later minor versions of core.
    """
    project = tomllib.loads(text)["project"]
    extras = project.get("optional-dependencies", {})
    for line in [
        *project.get("dependencies", []),
        *(each for extra in extras.values() for each in extra),
    ]:
        requirement = Requirement(line)
        if not requirement.name.startswith("asynctasq") or requirement.name == project["name"]:
            continue
        if str(requirement.specifier) not in {
            f"=={version}",
            str(Requirement(f"x{_bounds(version)}").specifier),
        }:
            raise ReleaseError(
                f"{name}: {line!r} must pin =={version} or ask for {_bounds(version)}."
            )


def _bounds(version: str) -> str:
    """Return the range of versions from this one to the end of its major version."""
    return f">={version},<{Version(version).major + 1}"


_UNRELEASED = re.compile(r"^## \[Unreleased\]\n(.*?)(?=^## \[|\Z)", re.MULTILINE | re.DOTALL)


def date_changelog(text: str, version: str, today: dt.date) -> str:
    """Return the changelog with the entries of Unreleased moved below the version and its date."""
    match = _UNRELEASED.search(text)
    if match is None:
        raise ReleaseError(f"{CHANGELOG} must have a section `## [Unreleased]`. Add one.")
    if f"\n## [{version}]" in text:
        raise ReleaseError(f"{CHANGELOG} already has a section for {version}.")
    entries = match[1].strip()
    if not re.search(r"^- ", entries, re.MULTILINE):
        raise ReleaseError(f"{CHANGELOG} has no entries under Unreleased. Add a line per change.")
    dated = f"## [Unreleased]\n\n## [{version}] - {today.isoformat()}\n\n{entries}\n"
    rest = text[match.end() :]
    return text[: match.start()] + dated + ("\n" + rest if rest else "")


def as_diff(changes: list[Change]) -> str:
    """Return the changes as one unified diff."""
    return "".join(
        line
        for path, before, after in changes
        for line in difflib.unified_diff(
            before.splitlines(keepends=True),
            after.splitlines(keepends=True),
            f"a/{path.as_posix()}",
            f"b/{path.as_posix()}",
        )
    )
