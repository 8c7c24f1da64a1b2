"""`scripts/release` in a copy of the repository, and its edits on the real files."""

import datetime as dt
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scripts import release_changes
from scripts.release import publish_order
from scripts.release_changes import ReleaseError
from tests.packaging.conftest import ROOT

TODAY = dt.date(2031, 2, 3)
PROJECTS = sorted(ROOT.glob("asynctasq-*/pyproject.toml"))
OLD = release_changes.current_version(ROOT)
NEXT_MINOR = f"{OLD.split('.')[0]}.{int(OLD.split('.')[1]) + 1}.0"
NEXT_MAJOR = f"{int(OLD.split('.')[0]) + 1}.0.0"


# --- the edits -----------------------------------------------------------------------------------


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.parent.name)
@pytest.mark.parametrize("new", [NEXT_MINOR, NEXT_MAJOR, f"{NEXT_MINOR}rc1"])
def test_bump_changes_the_version_pins_and_bounds_of_a_real_project_and_nothing_else(
    project: Path, new: str
) -> None:
    text = project.read_text()
    after = release_changes.bump_project(text, OLD, new)
    release_changes.check_requirements(after, new, project.parent.name)
    assert tomllib.loads(after)["project"]["version"] == new
    lines = zip(text.splitlines(), after.splitlines(), strict=True)
    changed = [line for line, edited in lines if line != edited]
    assert changed
    assert all(re.match(r'version = "|.*"asynctasq', line) for line in changed)


def test_bump_leaves_versions_of_other_packages_alone() -> None:
    text = f'version = "{OLD}"\ndependencies = ["other=={OLD}", "asynctasq-redis=={OLD}"]\n'
    after = release_changes.bump_project(text, OLD, NEXT_MINOR)
    assert f"other=={OLD}" in after
    assert f"asynctasq-redis=={NEXT_MINOR}" in after


@pytest.mark.parametrize("text", ["", 'version = "0.0.7"\n', f'version = "{OLD}"\n' * 2])
def test_bump_refuses_a_project_without_exactly_one_current_version(text: str) -> None:
    with pytest.raises(ReleaseError, match="must contain version"):
        release_changes.bump_project(text, OLD, NEXT_MINOR)


@pytest.mark.parametrize(
    "requirement", ["asynctasq", "asynctasq>=0.0.1", "asynctasq~=9.9", "asynctasq-redis==0.0.1"]
)
def test_a_requirement_that_a_bump_cannot_keep_current_is_refused(requirement: str) -> None:
    text = f'[project]\nname = "asynctasq-x"\ndependencies = ["{requirement}"]\n'
    with pytest.raises(ReleaseError, match=r"asynctasq-x: .* must pin =="):
        release_changes.check_requirements(text, NEXT_MINOR, "asynctasq-x")


def test_every_module_with_a_version_is_bumped() -> None:
    with_literal = {
        path.relative_to(ROOT)
        for path in ROOT.glob("asynctasq-*/src/**/*.py")
        if re.search(r'^__version__.*= "', path.read_text(), re.MULTILINE)
    }
    assert with_literal
    # The real changelog has no entries right after a release, so only the modules are compared.
    changed = {path.relative_to(ROOT) for path in release_changes.version_modules(ROOT)}
    assert changed == with_literal
    for path in with_literal:
        after = release_changes.bump_module((ROOT / path).read_text(), OLD, NEXT_MINOR)
        assert f'"{NEXT_MINOR}"' in after
        assert OLD not in after


@pytest.mark.parametrize(
    ("new", "accepted"),
    [
        ("1.2.4", True),
        ("1.3.0", True),
        ("2.0.0rc1", True),
        ("1.2.3", False),
        ("1.2.3rc1", False),
        ("1.2.2", False),
        ("0.9.9", False),
        ("v1.3.0", False),
        ("1.3", False),
        ("01.3.0", False),
        ("1.3.0+local", False),
        ("1!1.3.0", False),
        ("", False),
        ("next", False),
    ],
)
def test_a_version_must_be_normalized_and_grow(new: str, accepted: bool) -> None:
    if accepted:
        release_changes.check_version("1.2.3", new)
    else:
        with pytest.raises(ReleaseError, match="VERSION must be"):
            release_changes.check_version("1.2.3", new)


def test_entries_move_from_unreleased_to_the_dated_version() -> None:
    text = (
        "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A.\n\n## [1.0.0] - 2030-01-01\n\n- Old.\n"
    )
    assert release_changes.date_changelog(text, "1.1.0", TODAY) == (
        "# Changelog\n\n## [Unreleased]\n\n## [1.1.0] - 2031-02-03\n\n### Added\n\n- A.\n\n"
        "## [1.0.0] - 2030-01-01\n\n- Old.\n"
    )


def test_the_first_release_has_no_older_section() -> None:
    text = "# Changelog\n\n## [Unreleased]\n\n- A.\n"
    assert release_changes.date_changelog(text, "1.0.0", TODAY) == (
        "# Changelog\n\n## [Unreleased]\n\n## [1.0.0] - 2031-02-03\n\n- A.\n"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# Changelog\n", "must have a section"),
        ("# Changelog\n\n## [Unreleased]\n\n## [1.0.0]\n\n- A.\n", "no entries under Unreleased"),
        ("# Changelog\n\n## [Unreleased]\n\n### Added\n", "no entries under Unreleased"),
        ("# Changelog\n\n## [Unreleased]\n\n- A.\n\n## [1.1.0]\n", "already has a section"),
    ],
)
def test_a_changelog_without_entries_for_the_version_is_refused(text: str, message: str) -> None:
    with pytest.raises(ReleaseError, match=message):
        release_changes.date_changelog(text, "1.1.0", TODAY)


def test_core_is_published_last() -> None:
    names = publish_order(ROOT)
    assert names[-1] == "asynctasq"
    assert set(names) == {tomllib.loads(p.read_text())["project"]["name"] for p in PROJECTS}


# --- the command ---------------------------------------------------------------------------------


class Checkout:
    """A copy of the repository with one commit and an entry in the changelog."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file() and not name.startswith(("tests/", "docs/", "benchmarks/")):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        self.git("init", "--quiet", "--initial-branch", "main")
        self.git("config", "user.name", "Ada")
        self.git("config", "user.email", "ada@example.com")
        changelog = self.read("CHANGELOG.md")
        entry = "## [Unreleased]\n\n### Added\n\n- An entry of the test.\n"
        self.write("CHANGELOG.md", changelog.replace("## [Unreleased]\n", entry, 1))
        self.commit("Begin")

    def git(self, *arguments: str) -> str:
        command = ["git", *arguments]
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, check=False, env=clean_env()
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, subject: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", subject)

    def read(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def release(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the module that scripts/release starts once the environment is ready."""
        return subprocess.run(
            [sys.executable, "-m", "scripts.release", *arguments],
            cwd=self.folder,
            env={**clean_env(), "PIP_CONSTRAINT": str(ROOT / "constraints.txt")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    def state(self) -> tuple[str, ...]:
        """Return all that a failed release must leave as it was."""
        return (
            self.git("rev-parse", "HEAD"),
            self.git("symbolic-ref", "HEAD"),
            self.git("status", "--porcelain", "--ignored"),
            self.git("for-each-ref"),
            self.git("worktree", "list"),
            *sorted(path.name for path in self.folder.glob("dist/*")),
        )


def clean_env() -> dict[str, str]:
    """Return the environment without variables of git, which a hook may have set."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**variables, "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    (folder := tmp_path / "checkout").mkdir()
    return Checkout(folder)


def test_dry_run_prints_the_diff_and_changes_nothing(checkout: Checkout) -> None:
    before = checkout.state()
    done = checkout.release("--dry-run", NEXT_MINOR)
    assert (done.returncode, done.stderr) == (0, "")
    added = {line for line in done.stdout.splitlines() if line.startswith("+")}
    assert f'+version = "{NEXT_MINOR}"' in added
    assert f'+__version__ = "{NEXT_MINOR}"' in added
    assert f'+redis = ["asynctasq-redis=={NEXT_MINOR}"]' in added
    assert any(line.startswith(f"+## [{NEXT_MINOR}] - 2") for line in added)
    assert checkout.state() == before


def test_refusals_say_why_and_change_nothing(checkout: Checkout) -> None:
    def refused(version: str, message: str) -> None:
        before = checkout.state()
        done = checkout.release(version)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("scripts/release: ")
        assert message in done.stderr
        assert checkout.state() == before

    refused(OLD, f"VERSION must be above the current version {OLD}, got {OLD}.")
    checkout.write("new.txt", "not committed")
    refused(NEXT_MINOR, "The work tree must be clean. Commit or remove:\n?? new.txt")
    (checkout.folder / "new.txt").unlink()
    checkout.git("tag", f"v{NEXT_MINOR}")
    refused(NEXT_MINOR, f"The tag v{NEXT_MINOR} already exists.")
    before, _, after = checkout.read("CHANGELOG.md").partition("## [Unreleased]\n")
    released = after[after.index("## [") :] if "## [" in after else ""
    checkout.write("CHANGELOG.md", f"{before}## [Unreleased]\n\n{released}")
    checkout.commit("Empty the changelog")
    refused(NEXT_MAJOR, "CHANGELOG.md has no entries under Unreleased.")


@pytest.mark.full
def test_a_failure_in_the_last_step_leaves_the_repository_as_it_was(checkout: Checkout) -> None:
    """The wheels build and install, but the command line does not work."""
    cli = "asynctasq-core/src/asynctasq/cli/__init__.py"
    checkout.write(cli, checkout.read(cli) + "\n\ndef main(**_: object) -> None:\n    print('0')\n")
    checkout.commit("Break the command line")
    before = checkout.state()
    done = checkout.release(NEXT_MINOR)
    assert done.returncode == 1, done.stdout
    assert "Smoke test failed: --version must print" in done.stderr
    assert checkout.state() == before


@pytest.mark.full
def test_a_release_commits_tags_and_builds_what_it_has_tested(checkout: Checkout) -> None:
    parent = checkout.git("rev-parse", "HEAD")
    done = checkout.release(NEXT_MINOR)
    assert done.returncode == 0, done.stderr
    assert checkout.git("log", "-1", "--format=%s %P") == f"Release {NEXT_MINOR} {parent}"
    assert checkout.git("symbolic-ref", "--short", "HEAD") == "main"
    assert checkout.git("rev-parse", f"v{NEXT_MINOR}^{{commit}}") == checkout.git(
        "rev-parse", "HEAD"
    )
    assert checkout.git("status", "--porcelain") == ""
    assert len(checkout.git("worktree", "list").splitlines()) == 1
    assert release_changes.current_version(checkout.folder) == NEXT_MINOR
    assert f"## [{NEXT_MINOR}] - 2" in checkout.read("CHANGELOG.md")
    built = {path.name for path in checkout.folder.glob("dist/*")}
    names = [name.replace("-", "_") for name in publish_order(ROOT)]
    assert built == {
        f"{name}-{NEXT_MINOR}{end}" for name in names for end in (".tar.gz", "-py3-none-any.whl")
    }
    uploads = re.findall(rf"twine upload dist/(\w+)-{NEXT_MINOR}", done.stdout)
    assert uploads == names
