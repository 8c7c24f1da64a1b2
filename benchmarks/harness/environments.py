"""Separate environments of peers, made from the registry when they are first needed."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path


def installed(
    environments: Path, name: str, packages: Sequence[str], say: Callable[[str], object]
) -> Path:
    """Return the Python of the environment `bench-NAME`, after installing these packages in it."""
    folder = environments / f"bench-{name}"
    python = folder / "bin" / "python"
    if not (folder / ".ready").exists():
        say(f"installing {name}")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        options = ["--quiet", "--disable-pip-version-check"]
        subprocess.run([str(python), "-m", "pip", "install", *options, *packages], check=True)
        (folder / ".ready").touch()
    return python
