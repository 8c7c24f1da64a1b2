"""The stores on which the same tests run: a pytest plugin for the tests of all distributions.

A test that takes one of these fixtures runs once for each store kind that fits:

- `store`: a new, empty store.
- `durable_store`: the same, on kinds whose messages outlive a process, so that several can share it.
- `server_store`: a store on a server of its own, which the test may stop, restart or disconnect.

For `store` and `durable_store`, tests marked with `@pytest.mark.every_store` run on the embedded kinds and on
one of the servers, so that each server gets its share; all others run on one of the embedded kinds. With
`pytest --full`, everything runs on every kind. A queue with a state store beside it takes part in the marked tests of
the worker, with `--full` only. The file `tests/stores.py` of another distribution adds a kind by assigning a
`StoreKind` to `KIND`.
"""

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zlib import crc32

import pytest

from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Driver
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.records import record

ROOT = Path(__file__).resolve().parent.parent
MARKER = "every_store: run the test on a server, too; with --full, everything runs on every kind of store"


@record
class Store:
    """A new, empty store."""

    url: str
    """Opens the store as the setting `driver`; that of the memory driver opens another store."""
    driver: Callable[[], Driver]
    """Makes an unopened driver of the store."""
    capabilities: Capability


class ServerStore(ABC):
    """A store on a server that one test has for itself."""

    url: str

    @abstractmethod
    def stop(self) -> None:
        """Stop the server in an orderly way."""

    @abstractmethod
    def start(self) -> None:
        """Start the server again, with its data."""

    @abstractmethod
    def crash(self) -> None:
        """Kill the server."""

    @abstractmethod
    def disconnect_clients(self) -> None:
        """Close every connection of a client."""


@record
class StoreKind:
    """A kind of store: a driver, and where its messages are kept."""

    name: str
    open: Callable[[Path, pytest.TempPathFactory], AbstractContextManager[Store]]
    """Opens a new store for one test, in a folder or on a server that all tests share."""
    embedded: bool = False
    """True if the store needs no server. Every test runs on these kinds."""
    durable: bool = True
    """True if messages outlive a process."""
    server: Callable[[Path], AbstractContextManager[ServerStore]] | None = None
    """Starts a server for one test."""
    is_queue: bool = False
    """True for a queue with a state store beside it: no URL opens both, and a message in the queue cannot be found."""
    left_out: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Names of tests that ask for more than the kind promises, with the reason of each."""


@contextmanager
def _memory(_: Path, __: pytest.TempPathFactory) -> Iterator[Store]:
    driver = MemoryDriver()
    yield Store("memory://", lambda: driver, MemoryDriver.capabilities)


@contextmanager
def _sqlite(folder: Path, _: pytest.TempPathFactory) -> Iterator[Store]:
    file = folder / "queue.db"
    yield Store(
        f"sqlite:///{file}?synchronous=off",
        lambda: SqliteDriver(path=file, synchronous="off"),
        SqliteDriver.capabilities,
    )


EMBEDDED = (
    StoreKind("memory", _memory, embedded=True, durable=False),
    StoreKind("sqlite", _sqlite, embedded=True),
)


@cache
def store_kinds() -> tuple[StoreKind, ...]:
    """Return the kinds of stores of all distributions in this repository."""
    found = list(EMBEDDED)
    for file in sorted(ROOT.glob("asynctasq-*/tests/stores.py")):
        name = file.parents[1].name.replace("-", "_")
        spec = importlib.util.spec_from_file_location(f"{name}_stores", file)
        assert spec is not None
        assert spec.loader is not None
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found.append(module.KIND)
    return tuple(found)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", MARKER)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on the kinds of stores that fit, unless its module has a fixture of that name."""
    chosen = list(EMBEDDED)
    servers = [kind for kind in store_kinds() if not kind.embedded and not kind.is_queue]
    is_marked = any(metafunc.definition.iter_markers("every_store"))
    share = crc32(metafunc.definition.nodeid.encode())  # the same in every process
    if metafunc.config.getoption("full"):
        chosen += servers
        if is_marked and "make_stage" in metafunc.fixturenames:
            chosen += [kind for kind in store_kinds() if kind.is_queue]
    elif is_marked:
        chosen.append(servers[share % len(servers)])
    elif "store" in metafunc.fixturenames:
        chosen = [chosen[share % len(chosen)]]
    fitting = {
        "store": chosen,
        "durable_store": [kind for kind in chosen if kind.durable],
        "server_store": [kind for kind in store_kinds() if kind.server is not None],
    }
    for fixture in fitting.keys() & set(metafunc.fixturenames):
        if hasattr(metafunc.module, fixture):
            continue
        name = metafunc.definition.name
        kinds = [kind for kind in fitting[fixture] if name not in kind.left_out]
        metafunc.parametrize(fixture, kinds, indirect=True, ids=[kind.name for kind in kinds])


@pytest.fixture
def store(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    """Yield a new, empty store."""
    kind: StoreKind = request.param
    with kind.open(tmp_path, tmp_path_factory) as found:
        yield found


durable_store = store
"""Yields a new, empty store that several processes can share."""


@pytest.fixture
def server_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerStore]:
    """Yield a store on a server of its own."""
    kind: StoreKind = request.param
    assert kind.server is not None
    with kind.server(tmp_path / "server") as found:
        yield found
