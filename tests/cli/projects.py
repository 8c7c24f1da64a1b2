"""A module of an application that worker processes and the test import."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest


@contextmanager
def imported(
    name: str, text: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ModuleType]:
    """Write and import a module, and forget it afterwards."""
    (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    sys.modules.pop(name, None)
    importlib.invalidate_caches()
    yield importlib.import_module(name)
    sys.modules.pop(name, None)
