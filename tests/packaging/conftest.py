"""Distributions built once a test run, and empty environments to install them into."""

import hashlib
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from filelock import FileLock

from asynctasq.records import record

ROOT = Path(__file__).resolve().parents[2]


@record
class Built:
    """The two files that `python -m build` makes of one distribution."""

    sdist: Path
    wheel: Path


@record
class Environment:
    """A virtual environment without our checkout, our tools or a user's settings."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def run(
        self, *command: str | Path, cwd: Path, timeout: float = 100
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of this environment (or any other) and fail with what it printed."""
        name, *arguments = command
        program = self.folder / "bin" / name
        done = subprocess.run(
            [program if program.exists() else name, *arguments],
            cwd=cwd,
            env={"PATH": f"{self.folder / 'bin'}:/usr/bin:/bin", "HOME": str(cwd)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            pytest.fail(f"{command} ended with {done.returncode}:\n{done.stdout}")
        return done


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return a folder that all processes of one test run share."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def build(shared_folder: Path) -> Callable[[Path], Built]:
    """Build the sdist, and the wheel from it, of the project in a folder; once a test run."""

    def build_once(project: Path) -> Built:
        folder = shared_folder / "built" / project.name
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not list(folder.glob("*.whl")):
                _run([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, project])
        (sdist,) = folder.glob("*.tar.gz")
        (wheel,) = folder.glob("*.whl")
        return Built(sdist=sdist, wheel=wheel)

    return build_once


@pytest.fixture(scope="session")
def core(build: Callable[[Path], Built]) -> Built:
    """Build the distribution `asynctasq`."""
    return build(ROOT / "asynctasq-core")


@pytest.fixture
def install() -> Callable[..., None]:
    """Install requirements into an environment that exists."""
    return _install


@pytest.fixture(scope="session")
def make_environment(shared_folder: Path) -> Callable[..., Environment]:
    """Make an environment with requirements, from files or the registry: once a test run each.

    A test that installs more into its environment names a `purpose` that no other test shares.
    """

    def make_once(*requirements: str | Path, purpose: str = "") -> Environment:
        wanted = hashlib.sha256("\0".join(map(str, (purpose, *requirements))).encode()).hexdigest()[
            :12
        ]
        folder = shared_folder / "environments" / wanted
        folder.parent.mkdir(exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                venv.create(folder, with_pip=False)
                _install(Environment(folder), *requirements)
        return Environment(folder)

    return make_once


def _install(environment: Environment, *requirements: str | Path) -> None:
    install: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        environment.python,
        "install",
    ]
    # Most of what is installed is never imported: what is, will be compiled then.
    quiet = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-compile"]
    _run([*install, *quiet, "-c", ROOT / "constraints.txt", *requirements])


def _run(command: Sequence[str | Path]) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"{command} ended with {done.returncode}:\n{done.stdout}")
