"""Make a release: bump the versions, date the changelog, build, test the wheels, commit and tag.

Everything happens in a temporary work tree. The branch, the tag and `dist/` of the repository change
after all steps have passed, so a release that fails leaves the repository as it was.

python -m scripts.release [--dry-run] VERSION
"""

import argparse
import datetime as dt
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.release_changes import (
    Change,
    ReleaseError,
    as_diff,
    check_version,
    current_version,
    release_changes,
)
from scripts.release_smoke import check_wheels, run

ROOT = Path(__file__).resolve().parent.parent


def check_repository(root: Path, version: str) -> None:
    """Raise ReleaseError if the work tree is dirty or the tag of the version exists."""
    changed = git(root, "status", "--porcelain")
    if changed:
        raise ReleaseError(f"The work tree must be clean. Commit or remove:\n{changed}")
    if git(root, "tag", "--list", f"v{version}"):
        raise ReleaseError(f"The tag v{version} already exists.")


def make_release(root: Path, version: str, changes: list[Change]) -> None:
    """Build and test the release in a temporary work tree, then commit and tag it."""
    with tempfile.TemporaryDirectory(prefix="asynctasq-release-") as name:
        folder = Path(name).resolve()
        with work_tree(root, folder / "tree") as tree:
            for path, _, after in changes:
                (tree / path).write_text(after, encoding="utf-8")
            # The hooks of the repository run programs of its `.venv`, which this tree does not have.
            git(tree, "commit", "--quiet", "--no-verify", "--all", "-m", f"Release {version}")
            print("==> building", flush=True)
            build(tree)
            print("==> testing the wheels in an empty environment", flush=True)
            check_wheels(sorted((tree / "dist").glob("*.whl")), version, folder / "smoke")
            finish(root, version, git(tree, "rev-parse", "HEAD"))
            shutil.rmtree(root / "dist", ignore_errors=True)
            shutil.copytree(tree / "dist", root / "dist")


@contextmanager
def work_tree(root: Path, folder: Path) -> Iterator[Path]:
    """Check out the current commit into a folder, and remove the folder at the end."""
    git(root, "worktree", "add", "--quiet", "--detach", str(folder), "HEAD")
    try:
        yield folder
    finally:
        git(root, "worktree", "remove", "--force", str(folder))


def build(tree: Path) -> None:
    """Run `make build` with the Python that runs this script."""
    programs = Path(sys.executable).parent
    run(["make", "--assume-old", ".venv/.ready-dev", "build", f"BIN={programs}"], tree)


def finish(root: Path, version: str, commit: str) -> None:
    """Tag the commit and move the branch to it; do neither if one of them fails."""
    tag = f"v{version}"
    git(root, "tag", "--annotate", "-m", f"asynctasq {version}", tag, commit)
    try:
        git(root, "merge", "--quiet", "--ff-only", commit)
    except BaseException:
        git(root, "tag", "--delete", tag)
        raise


def git(root: Path, *arguments: str) -> str:
    """Run a git command and return its output."""
    return run(["git", *arguments], root).strip()


def publish_order(root: Path) -> list[str]:
    """Return the names of the distributions in the order to publish them: core last."""
    names = sorted(path.parent.name for path in root.glob("asynctasq-*/pyproject.toml"))
    return [*(name for name in names if name != "asynctasq-core"), "asynctasq"]


def publish_instructions(root: Path, version: str) -> str:
    """Return the text that says how to publish the files in `dist/`."""
    uploads = (
        f"  python -m twine upload dist/{name.replace('-', '_')}-{version}*"
        for name in publish_order(root)
    )
    return "\n".join(
        [
            f"Released {version} locally: one commit, the tag v{version}, and the files in dist/.",
            "Publish the siblings first and core last, because the extras of core pin them with `==`:",
            *uploads,
            f"  git push --follow-tags  # pushes the commit and v{version}",
        ]
    )


def main(arguments: list[str]) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="scripts/release", description="Make a release.")
    parser.add_argument("version", metavar="VERSION", help="for example 1.2.3 or 1.2.3rc1")
    parser.add_argument(
        "--dry-run", action="store_true", help="print the changes as a diff and change nothing"
    )
    options = parser.parse_args(arguments)
    version: str = options.version
    try:
        check_version(current_version(ROOT), version)
        check_repository(ROOT, version)
        today = dt.datetime.now(dt.UTC).date()
        changes = release_changes(ROOT, version, today)
        if options.dry_run:
            print(as_diff(changes), end="")
            return 0
        make_release(ROOT, version, changes)
    except ReleaseError as error:
        print(f"scripts/release: {error}", file=sys.stderr)
        return 1
    print(publish_instructions(ROOT, version))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
