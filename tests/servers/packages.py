"""The programs of servers: found, or installed where this is root's Debian, or the test is skipped."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock

INSTALL_SECONDS = 600


def program(*names: str, package: str) -> str:
    """The path of the first of these programs that there is.

    Where there is none: skips the test, loudly; in CI, where nobody would see that, fails it.
    """
    found = _find(names)
    if found is None and _may_install():
        with FileLock(Path(tempfile.gettempdir()) / "asynctasq-packages.lock"):
            found = _find(names) or _install(package, names)
    if found is None:
        reason = f"no {' or '.join(names)} on this machine (Debian: apt-get install {package})"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def _find(names: tuple[str, ...]) -> str | None:
    return next((path for name in names if (path := shutil.which(name))), None)


def _may_install() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def _install(package: str, names: tuple[str, ...]) -> str | None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-qq", "--no-install-recommends", package],
    ):
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=INSTALL_SECONDS,
        )
        if done.returncode:
            return None
    return _find(names)
