"""What tests need of the system: found, or installed where this is root's Debian, or the test is skipped."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

INSTALL = Path(__file__).resolve().parents[2] / "scripts" / "install-packages"
INSTALL_SECONDS = 600
PACKAGES = Path("/usr/lib/python3/dist-packages")


def program(*names: str, package: str) -> str:
    """Return the path of the first of these programs that exists.

    Without any of them, skip the test with a reason; in CI, where a skip would go unnoticed, fail it.
    """
    return _needed(lambda: _find(names), " or ".join(names), package)


def extension(path: str, package: str) -> str:
    """Return the path of a compiled module among the system's packages, for this interpreter. Skip as `program` does.

    Args:
        path: of its file without the extension, such as `MySQLdb/_mysql`.
        package: of Debian.
    """
    pattern = f"{path}.{sys.implementation.cache_tag}-*.so"
    return _needed(lambda: next(map(str, PACKAGES.glob(pattern)), None), pattern, package)


def _needed(find: Callable[[], str | None], what: str, package: str) -> str:
    found = find()
    if found is None:
        _install(package)  # waits for another that does the same
        found = find()
    if found is None:
        reason = f"no {what} on this machine (Debian: apt-get install {package})"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def _find(names: tuple[str, ...]) -> str | None:
    # Those of servers stand where only root looks.
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def _install(package: str) -> None:
    subprocess.run(
        [INSTALL, package],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=INSTALL_SECONDS,
    )
