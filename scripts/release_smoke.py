"""Install the wheels of a release in an empty environment and run a task with them."""

import json
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from scripts.release_changes import ReleaseError

SECONDS = 300
TASKS = """
import sys
from pathlib import Path

import asynctasq


@asynctasq.task
async def write(name: str, text: str) -> int:
    return Path(name).write_text(text)


async def main() -> None:
    await write("done.txt", "hello").dispatch()


if __name__ == "__main__":
    asynctasq.run(main())
"""
EXPECTED_PLUGINS = {
    "memory",
    "sqlite",
    "mysql",
    "mariadb",
    "postgres",
    "rabbitmq",
    "amqp",
    "amqps",
    "redis",
    "sqs",
    "sqlalchemy",
    "django",
    "tortoise",
}
INSTALLED = """
import json
from importlib.metadata import distributions

print(json.dumps({each.name: each.version for each in distributions()}))
"""


def check_wheels(wheels: Sequence[Path], version: str, folder: Path) -> None:
    """Raise ReleaseError unless the wheels install together and can dispatch and run a task.

    Core is installed with the extra `all`, so pip also verifies that the pins of the extras and the
    bounds of the siblings fit each other. `folder` must be empty and outside the repository.
    """
    (core,) = (wheel for wheel in wheels if wheel.name.startswith("asynctasq-"))
    environment, project = folder / "environment", folder / "project"
    project.mkdir(parents=True)
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", python]
    quiet = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-compile"]
    wanted = f"asynctasq[all] @ {core.resolve().as_uri()}"
    run([*pip, "install", *quiet, "--find-links", core.resolve().parent, wanted], project)

    def command(*words: str) -> str:
        """Run a program of the environment, without settings from outside."""
        path = environment / "bin"
        variables = {"PATH": f"{path}:/usr/bin:/bin", "HOME": str(project)}
        return run([path / words[0], *words[1:]], project, variables)

    installed = json.loads(command("python", "-c", INSTALLED))
    for wheel in wheels:
        name = wheel.name.partition("-")[0].replace("_", "-")
        expect(
            installed.get(name) == version, f"{name} {version} must be installed, got {installed}."
        )
    shown = command("python", "-m", "asynctasq", "--version")
    expect(version in shown.split(), f"--version must print {version}, got {shown!r}.")
    plugins = {
        each["name"] for each in json.loads(command("asynctasq", "plugins", "list", "--json"))
    }
    missing = EXPECTED_PLUGINS - plugins
    expect(not missing, f"`asynctasq plugins list` must name {sorted(missing)}.")
    command("asynctasq", "plugins", "list", "--check")

    (project / "tasks.py").write_text(TASKS, encoding="utf-8")
    command("python", "tasks.py")
    command("asynctasq", "worker", "--app", "tasks", "--burst")
    done = project / "done.txt"
    expect(done.is_file() and done.read_text() == "hello", "The worker must run the task.")


def expect(holds: bool, message: str) -> None:
    """Raise ReleaseError with the message unless the condition holds."""
    if not holds:
        raise ReleaseError(f"Smoke test failed: {message}")


def run(
    command: Sequence[str | Path], folder: Path, variables: dict[str, str] | None = None
) -> str:
    """Run a command and return its output, or raise ReleaseError with it."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode:
        line = " ".join(map(str, command))
        raise ReleaseError(f"`{line}` exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
