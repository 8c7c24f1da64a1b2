"""Fixtures of every test: its own folder, no settings from outside, and a check for leftovers."""

import asyncio
import inspect
import ipaddress
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import pytest_asyncio

from asynctasq.executors.process.pool import ProcessPool
from asynctasq.tasks.registry import registry

JOIN_SECONDS = 30.0
GRACE_SECONDS = 5.0
KEPT_VARIABLES = ("ASYNCTASQ_TEST_", "ASYNCTASQ_MODEL_")
LONG_LIVED_CHILDREN = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")

# A run starts hundreds of Python processes, here and in the tests: each would compile all it imports.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# A shell's background jobs ignore Ctrl-C, and so would all that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Tests change the current folder, where hypothesis would keep what it remembers.
os.environ.setdefault(
    "HYPOTHESIS_STORAGE_DIRECTORY", str(Path(__file__).resolve().parent.parent / ".hypothesis")
)
# Machines differ in speed, so no example has a deadline.
hypothesis.settings.register_profile("dev", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, print_blob=True, database=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse ids that differ between processes: pytest-xdist could not share out the tests."""
    for item in items:
        if " at 0x" in item.nodeid:
            raise pytest.UsageError(
                f"{item.nodeid}: an id must not contain an address. Name the case with `ids=`."
            )


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the root of the checkout."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Return the URL of a new SQLite store."""
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture(autouse=True)
def own_folder_and_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ignore settings of the user who runs the tests, and work in `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("ASYNCTASQ_") and not name.startswith(KEPT_VARIABLES):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def no_children_in_advance(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a worker in this process start children when a task needs one.

    It would start them at once where it knows of tasks that run in processes, and here it knows
    those of all tests: two processes for each of a thousand workers, most of what a run cost.
    """
    if "executors" not in request.path.parts:
        monkeypatch.setattr(ProcessPool, "warm", _nothing)


async def _nothing(_: ProcessPool) -> None:
    """Do nothing: the first task starts the children."""


@pytest.fixture(autouse=True, scope="session")
def loopback_only() -> Iterator[None]:
    """Let no test depend on a machine other than this one."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            host = str(address[0])
            if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
                raise PermissionError(f"tests connect to this machine only, not to {address}")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test after which a thread, child process or asyncio task of ours still runs."""
    function = getattr(request.node, "obj", None)
    if inspect.iscoroutinefunction(function):
        request.getfixturevalue("no_task_left_behind")
    threads = _threads()
    children = _children()
    yield
    left = [
        *(f"thread {thread.name}" for thread in _threads() - threads if _outlives(thread)),
        *(f"process {pid}: {_command(pid)}" for pid in sorted(_children() - children)),
    ]
    _forget_tasks_of_gone_modules()
    if left:
        pytest.fail("left running: " + "; ".join(left))


@pytest_asyncio.fixture
async def no_task_left_behind() -> AsyncIterator[None]:
    """Fail a test after which an asyncio task still runs once all fixtures are closed."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=GRACE_SECONDS)
    if left:
        pytest.fail("left running: " + "; ".join(str(task) for task in left))


def _forget_tasks_of_gone_modules() -> None:
    """Modules made by a test are gone with it; children of a later one would try to import them."""
    for definition in registry:
        if definition.module not in sys.modules:
            registry.discard(definition.name)


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("asynctasq")}


def _outlives(thread: threading.Thread) -> bool:
    thread.join(JOIN_SECONDS)
    return thread.is_alive()


def _children() -> set[int]:
    """Process ids of our children, without those that Python keeps for the life of a process."""
    multiprocessing.active_children()  # reaps those that have ended
    listing = Path(f"/proc/self/task/{threading.main_thread().native_id}/children")
    try:
        pids = {int(pid) for pid in listing.read_text().split()}
    except OSError:
        return {child.pid for child in multiprocessing.active_children() if child.pid}
    return {pid for pid in pids if not any(name in _command(pid) for name in LONG_LIVED_CHILDREN)}


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""
