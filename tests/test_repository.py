"""The repository itself: versions that agree, files that belong here, imports that stay light."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from scripts.check_language import UNWANTED, phrases

ROOT = Path(__file__).resolve().parent.parent
PROJECTS = sorted(path.parent for path in ROOT.glob("asynctasq-*/pyproject.toml"))
MAX_FILE_BYTES = 500_000
CODE_IN_MARKDOWN = re.compile(r"^([ \t]*```).*?^\1|`[^`\n]+`", re.MULTILINE | re.DOTALL)
TEXT_FILES = {".html", ".js", ".lua", ".md", ".py", ".sql", ".svg", ".tmpl", ".toml", ".yml"}

# Extras of core and the distribution that each brings; kept here so that none is forgotten.
EXTRAS = {
    "mysql": "asynctasq-mysql=={version}",
    "postgres": "asynctasq-postgres=={version}",
    "rabbitmq": "asynctasq-rabbitmq=={version}",
    "redis": "asynctasq-redis=={version}",
    "sqs": "asynctasq-sqs=={version}",
    "sqlalchemy": "asynctasq-orm[sqlalchemy]=={version}",
    "django": "asynctasq-orm[django]=={version}",
    "tortoise": "asynctasq-orm[tortoise]=={version}",
}

# Nothing of this may be imported by `import asynctasq`.
HEAVY = {
    "aioboto3",
    "aiohttp",
    "aio_pika",
    "aiomysql",
    "asyncpg",
    "click",
    "cronsim",
    "django",
    "fastapi",
    "hypothesis",
    "msgpack",
    "multiprocessing",
    "orjson",
    "pluggy",
    "pydantic",
    "pydantic_settings",
    "pytest",
    "redis",
    "rich",
    "sqlalchemy",
    "sqlite3",
    "starlette",
    "tortoise",
    "uvloop",
}

# Places and hosts that differ between machines. Written in pieces, so that this file passes.
FORBIDDEN_TEXT = [
    re.compile(pattern)
    for pattern in (
        r"(?<![\w.])/(?:work|home|root|Users)/" + r"[\w.-]+",  # folders of a user
        r"files\.python" + r"hosted\.org",
        r"pypi" + r"\.org/simple",
        r"(?:index|extra-index)-url\s*=",
        r"registry\.(?:npmjs|yarnpkg)" + r"\.",
    )
]

each_project = pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.name)


def tracked_files() -> list[Path]:
    """Return the files that git knows, or would add: the files of a clone."""
    if shutil.which("git") is None:
        pytest.skip("there is no git on this machine to say which files belong to the repository")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()]


def project_table(project: Path) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    return table


def package_of(project: Path) -> Path:
    (package,) = (path.parent for path in (project / "src").glob("*/__init__.py"))
    return package


VERSION: str = project_table(ROOT / "asynctasq-core")["version"]


@each_project
def test_all_distributions_have_one_version(project: Path) -> None:
    assert project_table(project)["version"] == VERSION
    init = (package_of(project) / "__init__.py").read_text()
    declared = re.search(r'^__version__(?:: \w+)? = "(.+)"$', init, flags=re.MULTILINE)
    assert declared is None or declared[1] == VERSION


def test_core_tells_its_version() -> None:
    import asynctasq

    assert asynctasq.__version__ == VERSION


@each_project
def test_siblings_depend_on_core_within_one_major_version(project: Path) -> None:
    table = project_table(project)
    if table["name"] == "asynctasq":
        return
    major = int(VERSION.partition(".")[0])
    assert f"asynctasq>={VERSION},<{major + 1}" in table["dependencies"]


def test_every_extra_brings_its_sibling_of_the_same_version() -> None:
    extras = project_table(ROOT / "asynctasq-core")["optional-dependencies"]
    for name, requirement in EXTRAS.items():
        assert extras[name] == [requirement.format(version=VERSION)]
    everything = f"asynctasq[{','.join(sorted({*EXTRAS, 'prometheus'}))}]"
    assert extras["all"] == [everything]
    assert set(extras) == {*EXTRAS, "all", "prometheus", "testing"}


def test_extras_name_only_distributions_that_exist() -> None:
    existing = {project_table(project)["name"] for project in PROJECTS}
    named = {re.split(r"[\[=]", requirement)[0] for requirement in EXTRAS.values()}
    assert named <= existing


def test_install_hints_name_extras_that_exist_and_nothing_else() -> None:
    from asynctasq.plugins.missing import OFFICIAL

    hinted = {extra for names in OFFICIAL.values() for extra in names.values()}
    assert hinted == set(EXTRAS)


def test_documents_name_only_extras_that_exist() -> None:
    extras = set(project_table(ROOT / "asynctasq-core")["optional-dependencies"])
    named = {
        name
        for path in markdown_files()
        for names in re.findall(r"asynctasq\[([\w,]+)\]", path.read_text())
        for name in names.split(",")
    }
    assert named <= extras


@each_project
def test_every_distribution_says_where_its_project_is(project: Path) -> None:
    urls = project_table(project)["urls"]
    assert set(urls) == {"Homepage", "Documentation", "Source", "Changelog", "Issues"}
    assert urls["Source"].startswith("https://")
    assert all(url.startswith(urls["Source"]) for url in urls.values())
    assert urls == project_table(ROOT / "asynctasq-core")["urls"]


def test_links_to_this_project_lead_to_its_one_repository() -> None:
    source = project_table(ROOT / "asynctasq-core")["urls"]["Source"]
    address = re.compile(r"https?://git[\w.-]+/[\w.-]+/asynctasq(?![\w-])")
    texts = [*markdown_files(), ROOT / "mkdocs.yml"]
    found = {match for path in texts for match in address.findall(path.read_text())}
    assert found <= {source}


@each_project
def test_classifiers_name_only_pythons_that_make_test_all_runs(project: Path) -> None:
    script = (ROOT / "scripts" / "test-all").read_text()
    (versions,) = re.findall(r"^supported=\((.*)\)$", script, re.MULTILINE)
    claimed = re.findall(r"Python :: (3\.\d+)", " ".join(project_table(project)["classifiers"]))
    assert claimed
    assert set(claimed) <= set(versions.split())


def test_changelog_has_the_version() -> None:
    assert re.search(
        rf"^## \[{re.escape(VERSION)}\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )


@each_project
def test_each_distribution_is_complete(project: Path) -> None:
    assert (package_of(project) / "py.typed").is_file()
    assert (project / "README.md").read_text().strip()
    assert (project / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_tracked_files_are_small() -> None:
    large = [str(path) for path in tracked_files() if path.stat().st_size > MAX_FILE_BYTES]
    assert not large


def test_no_file_names_a_place_on_somebodys_machine_or_a_registry() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in tracked_files()
        for number, line in enumerate(path.read_bytes().decode(errors="replace").splitlines(), 1)
        if any(pattern.search(line) for pattern in FORBIDDEN_TEXT)
    ]
    assert not found


def markdown_files() -> list[Path]:
    return [path for path in tracked_files() if path.suffix == ".md"]


def test_documents_name_only_commands_that_make_has() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    unknown = [
        f"{path.relative_to(ROOT)}: make {name}"
        for path in markdown_files()
        for name in re.findall(r"(?:`|^\$ )make ([a-z-]+)", path.read_text(), re.MULTILINE)
        if name not in targets
    ]
    assert not unknown


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in markdown_files()
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text())
        if "://" not in target and not (path.parent / target).exists()
    ]
    assert not broken


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_documents_name_only_files_and_folders_that_exist(name: str) -> None:
    paths = [f"/{path.relative_to(ROOT).as_posix()}" for path in tracked_files()]
    named = re.findall(r"`([\w./-]+(?:\.(?:py|sql|lua|md|toml|txt)|/))`", (ROOT / name).read_text())
    assert named
    generated = {"dist/", "site/"}
    missing = [
        each
        for each in named
        if "NAME" not in each
        and each not in generated
        and not any(f"/{each}" in path for path in paths)
    ]
    assert not missing


def test_documents_list_the_layers_that_are_checked() -> None:
    """A module without a layer fails `make check`; these lists of the layers would be forgotten."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (contract,) = (each for each in tool["contracts"] if each["id"] == "layers")
    checked = [set(layer.split(" : ")) for layer in contract["layers"] if layer != "__main__"]

    text = (ROOT / "CONTRIBUTING.md").read_text()
    table = text[text.index("| layer |") :].split("\n\n")[0].splitlines()[2:]
    assert [set(re.findall(r"`(\w+)`", row.split("|")[1])) for row in table] == checked[::-1]

    text = (ROOT / "docs" / "architecture.md").read_text()
    picture = text[text.index("## Layers") :].split("```")[1].splitlines()[1:]
    assert [set(re.split(r"\s{2,}", line)[0].split(", ")) for line in picture] == checked


def test_code_keeps_to_the_glossary() -> None:
    """The glossary has one word for a task; "job" is that of other task queues."""
    found = occurrences(
        re.compile(r"(?i)(?<![a-z])jobs?(?![a-z])"),
        path_is=lambda path: "src" in path.parts and path.name != "hints.py",  # hints name it
    )
    assert not found


def test_code_and_documents_use_no_unwanted_words() -> None:
    """`scripts/check_language.py` lists the words, and CONTRIBUTING.md says why."""
    found = occurrences(
        phrases(UNWANTED),
        path_is=lambda path: (
            "src" in path.parts
            or path.parts[0] == "docs"
            or path.name in {"README.md", "CHANGELOG.md"}
        ),
    )
    assert not found


def occurrences(pattern: re.Pattern[str], path_is: Callable[[Path], bool]) -> list[str]:
    """Return the places of tracked text files in which the pattern occurs, outside code in Markdown."""
    found: list[str] = []
    for path in tracked_files():
        name = path.relative_to(ROOT)
        if path.suffix in TEXT_FILES and path_is(name):
            text = path.read_text(encoding="utf-8")
            if path.suffix == ".md":
                text = CODE_IN_MARKDOWN.sub(lambda code: "\n" * code[0].count("\n"), text)
            for match in pattern.finditer(text):
                number = text.count("\n", 0, match.start()) + 1
                found.append(f"{name}:{number}: {' '.join(match.group().split())}")
    return found


def test_constraints_are_names_and_versions() -> None:
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[0-9][\w.!+]*", line), line


def test_constraints_pin_every_tool_and_dependency_and_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {normalized(line.partition("==")[0]) for line in lines if not line.startswith("#")}
    needed = needed_distributions()
    ours = {project_table(project)["name"] for project in PROJECTS}
    assert pinned <= needed, f"no requirement needs {sorted(pinned - needed)}"
    installed = {normalized(each.name) for each in distributions()}
    missing = (needed & installed) - pinned - ours
    assert not missing, f"not pinned: {sorted(missing)}; run `make lock`"


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def needed_distributions() -> set[str]:
    """Return the names of all direct and indirect requirements of the environment."""
    root = tomllib.loads((ROOT / "pyproject.toml").read_text())
    waiting = [Requirement(line) for line in ("pip", *root["dependency-groups"]["dev"])]
    for project in PROJECTS:
        table = project_table(project)
        extras = table.get("optional-dependencies", {}).values()
        lines = [*table["dependencies"], *(line for extra in extras for line in extra)]
        waiting += [Requirement(line) for line in lines]
    installed = {normalized(each.name): each for each in distributions()}
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        name = normalized(requirement.name)
        for extra in ("", *sorted(requirement.extras)):
            if (name, extra) not in seen:
                seen.add((name, extra))
                requires = installed[name].requires or [] if name in installed else []
                waiting += [each for each in map(Requirement, requires) if applies(each, extra)]
    return {name for name, _ in seen}


def applies(requirement: Requirement, extra: str) -> bool:
    """Return whether a distribution with this extra needs the requirement, on any Python."""
    marker = requirement.marker
    if marker is None or "extra" not in str(marker):
        return not extra
    return bool(extra) and marker.evaluate({"extra": extra})


def test_exceptions_to_the_checks_give_a_reason() -> None:
    """`noqa` and `type: ignore` name a rule, and a reason stands beside them."""
    silenced = re.compile(r"#\s*(?:noqa|type: ignore|pyright: ignore)(?P<rest>.*)")
    bare = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in tracked_files()
        if path.suffix == ".py" and path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (match := silenced.search(line))
        and not re.match(
            r"(?:: [A-Z]+\d+(?:, [A-Z]+\d+)*|\[[\w, -]+\])\s+(?:[#-]\s*)?\w", match["rest"]
        )
    ]
    assert not bare


def imported_by(statement: str) -> set[str]:
    """Return the top-level modules in `sys.modules` after a statement in a new process."""
    code = f"import sys\n{statement}\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    command = [sys.executable, "-W", "error", "-c", code]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_importing_asynctasq_imports_nothing_heavy() -> None:
    assert not imported_by("import asynctasq") & HEAVY


def test_every_public_name_can_be_imported() -> None:
    import asynctasq

    names = getattr(asynctasq, "__all__", [])
    assert names, "asynctasq has no __all__"
    missing = [name for name in names if not hasattr(asynctasq, name)]
    assert not missing


def test_the_environment_fits_the_python_of_debian() -> None:
    """`make test` has to work there; pip only says that some versions are in conflict."""
    oldest = "3.11.2"
    too_new = {
        f"{dist.name} {dist.version}: {needed}"
        for dist in distributions()
        if "Requires-Python" in dist.metadata
        and not SpecifierSet(needed := dist.metadata["Requires-Python"]).contains(oldest)
    }
    assert not too_new
