"""The queues that are composed with every state store: that of these tests, and those of other distributions.

The file `tests/queues.py` of another distribution adds a queue by assigning a `QueueKind` to `QUEUE`.
"""

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from asynctasq.contracts.driver import Driver
from asynctasq.records import record
from tests.composed.queue_driver import QueueDriver
from tests.stores import ROOT


@record
class QueueKind:
    """A kind of queue without outcomes, which a state store completes."""

    name: str
    open: Callable[[Path, pytest.TempPathFactory], AbstractContextManager[Callable[[], Driver]]]
    """Opens a queue for one test, in a folder or on a server; yields a maker of unopened drivers."""
    known_failures: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Checks that the composed driver cannot pass, with the reason of each."""
    timeout: float = 30.0
    """Seconds for each check."""
    sample: int = 1
    """One of so many checks runs without `--full`, always the same."""


@contextmanager
def _queue(_: Path, __: pytest.TempPathFactory) -> Iterator[Callable[[], Driver]]:
    yield QueueDriver


@cache
def queue_kinds() -> tuple[QueueKind, ...]:
    """Return the kinds of queues of all distributions in this repository."""
    found = [QueueKind("queue", _queue)]
    for file in sorted(ROOT.glob("asynctasq-*/tests/queues.py")):
        name = file.parents[1].name.replace("-", "_")
        spec = importlib.util.spec_from_file_location(f"{name}_queues", file)
        assert spec is not None
        assert spec.loader is not None
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found.append(module.QUEUE)
    return tuple(found)
