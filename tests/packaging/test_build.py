"""The distributions, as a user gets them: what is inside, and the README's first steps run from them."""

import email.message
import email.parser
import email.policy
import re
import subprocess
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, Built, Environment

PROJECTS = sorted(path.parent for path in ROOT.glob("asynctasq-*/pyproject.toml"))
DATA_FILES = {".sql", ".lua", ".typed", ".tmpl", ".html", ".css", ".js", ".svg"}

each_project = pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.name)


def metadata_of(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        text = archive.read(name).decode()
    return email.parser.Parser(policy=email.policy.compat32).parsestr(text)


def source_files(project: Path) -> set[str]:
    """Return the files of a project's packages, as their paths inside a wheel."""
    return {
        str(path.relative_to(project / "src"))
        for path in (project / "src").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }


@each_project
def test_wheel_holds_every_source_and_data_file(
    project: Path, build: Callable[[Path], Built]
) -> None:
    with zipfile.ZipFile(build(project).wheel) as archive:
        packed = set(archive.namelist())
    expected = source_files(project)
    assert expected <= packed
    assert any(name.endswith("/py.typed") for name in packed)
    strangers = {n for n in packed - expected if ".dist-info/" not in n}
    assert not strangers


@each_project
def test_sdist_holds_sources_readme_and_license(
    project: Path, build: Callable[[Path], Built]
) -> None:
    with tarfile.open(build(project).sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"src/{name}" for name in source_files(project)} <= packed
    assert {"pyproject.toml", "README.md", "LICENSE", "PKG-INFO"} <= packed


@each_project
def test_metadata_is_what_an_index_accepts(project: Path, build: Callable[[Path], Built]) -> None:
    declared = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    metadata = metadata_of(build(project).wheel)
    assert metadata["Name"] == declared["name"]
    assert metadata["Version"] == declared["version"]
    assert metadata["Summary"]
    assert metadata["License-Expression"] == "MIT"
    assert metadata["License-File"] == "LICENSE"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert str(metadata.get_payload()).strip()
    lines = [str(line).partition(", ") for line in metadata.get_all("Project-URL", [])]
    assert {name: url for name, _, url in lines} == declared["urls"]


@pytest.mark.parametrize(
    "suffix", sorted({Path(n).suffix for p in PROJECTS for n in source_files(p)})
)
def test_every_kind_of_file_is_a_known_one(suffix: str) -> None:
    """The developer who adds a new kind of data file to this list checks that it is packed."""
    assert suffix == ".py" or suffix in DATA_FILES or suffix == ""


def code_blocks(markdown: str, heading: str) -> list[tuple[str, str]]:
    """(language, code) of the fenced blocks below a heading, up to the next one of its level."""
    section = re.split(r"^## ", markdown, flags=re.MULTILINE)
    (text,) = (part for part in section if part.partition("\n")[0].strip() == heading)
    return re.findall(r"^```(\w+)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def test_the_quick_start_runs_from_the_wheel(
    core: Built, make_environment: Callable[..., Environment], tmp_path: Path
) -> None:
    """Every block of the README's quick start, in order, as a newcomer would type them."""
    environment = make_environment(core.wheel)
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "worker.log").touch()
    blocks = code_blocks((ROOT / "README.md").read_text(), "Quick start")
    assert [language for language, _ in blocks].count("python") >= 1
    workers: list[subprocess.Popen[str]] = []
    try:
        for language, code in blocks:
            if language == "python":
                first_line = code.partition("\n")[0]
                (folder / first_line.removeprefix("#").strip()).write_text(code)
            elif language == "console":
                run_commands(environment, folder, code, workers)
        stop(workers)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
        print((folder / "worker.log").read_text())


def run_commands(
    environment: Environment, folder: Path, console: str, workers: list[subprocess.Popen[str]]
) -> None:
    """Type the lines that begin with `$`; the lines between them are what has to be printed."""
    for part in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        words = command.split()
        if words[0] == "pip":
            continue  # done before, with the wheel just built
        if words[:2] == ["asynctasq", "worker"]:
            stop(workers)  # one at a time, as the text says
            workers.append(start_worker(environment, folder, words))
        else:
            output = environment.run(*words, cwd=folder).stdout
            for line in filter(None, map(str.strip, expected.splitlines())):
                assert line in output, f"{command!r} printed:\n{output}"


def stop(workers: list[subprocess.Popen[str]]) -> None:
    for worker in workers:
        if worker.poll() is None:
            worker.terminate()
        assert worker.wait(timeout=30) == 0


def start_worker(environment: Environment, folder: Path, words: list[str]) -> subprocess.Popen[str]:
    with (folder / "worker.log").open("a") as log:  # an unread pipe would block it
        return subprocess.Popen(
            [environment.folder / "bin" / words[0], *words[1:]],
            cwd=folder,
            env={"PATH": f"{environment.folder / 'bin'}:/usr/bin:/bin", "HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        )


def test_importing_the_wheel_needs_nothing_from_the_checkout(
    core: Built, make_environment: Callable[..., Environment], tmp_path: Path
) -> None:
    environment = make_environment(core.wheel)
    code = "import asynctasq, sys; print(asynctasq.__file__, sys.prefix)"
    module, prefix = environment.run("python", "-c", code, cwd=tmp_path).stdout.split()
    assert module.startswith(prefix)
    assert "asynctasq" in environment.run("asynctasq", "--version", cwd=tmp_path).stdout
    demo = environment.run("asynctasq", "demo", "--folder", "demo", cwd=tmp_path, timeout=100)
    assert "Try it yourself" in demo.stdout
