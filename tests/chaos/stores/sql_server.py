"""A SQL server as the store of a storm: behind a proxy, with a clock that can jump and an operator."""

import asyncio
import os
import random
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from asynctasq.conformance import TcpProxy
from asynctasq.contracts.driver import Driver
from tests.chaos.fleet import children
from tests.chaos.stores.faketime import FakeClock
from tests.chaos.stores.store import Damage, Store
from tests.servers.mariadb import MariadbServer
from tests.servers.postgres import PostgresServer
from tests.servers.processes import private_folder, unprivileged

P = ParamSpec("P")
T = TypeVar("T")

USER = "storm"
"""As whom workers and dispatchers connect: faults restrict this user only."""
DATABASE = "storm"
PASSWORD = "st@rm/1:2%3"
HOURS_LATER = 7200.0
UPKEEPS = 30
PATIENCE_SECONDS = 60.0
MOST_ROWS = 12
"""Rows that a rival locks."""
WAITING_STATES = (2, 3)
"""Numbers of the states scheduled and ready."""


class Hold(ABC):
    """A transaction of a rival, which holds locks until it ends."""

    @abstractmethod
    def lock(self, message: bytes) -> bool:
        """Lock one more row; return False if the server has ended the transaction instead."""

    @abstractmethod
    def end(self) -> None:
        """Close the connection, which rolls back."""


class SqlServerStore(Store):
    """One server. Subclasses speak its dialect."""

    clock: FakeClock
    proxy: TcpProxy
    failure_rate: float
    """Share of the statements that fail while some do."""
    unreachable: tuple[type[Exception], ...]
    """Errors of the operator's client while the server is down, starts or is busy."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._stack = ExitStack()
        # A server ends with the thread that starts it, so that thread has to last.
        self._starter = self._stack.enter_context(ThreadPoolExecutor(1))
        self.clock = FakeClock(
            self._stack.enter_context(private_folder("clock", unprivileged())) / "clock"
        )
        if self.clock.problem:
            self.skipped.append(f"clock of the server jumped ({self.clock.problem})")

    # What a dialect adds.

    @property
    @abstractmethod
    def server(self) -> PostgresServer | MariadbServer:
        """The server, once the store has started."""

    @abstractmethod
    def make_server(self, folder: Path) -> PostgresServer | MariadbServer:
        """Create the server's data in a folder."""

    @abstractmethod
    def make_driver(self, *, direct: bool = False, **settings: Any) -> Driver:
        """Make a driver that reaches the server through the proxy, or directly."""

    @property
    @abstractmethod
    def direct_address(self) -> str:
        """The URL of the server, past the proxy."""

    @abstractmethod
    def prepare(self) -> None:
        """Create the user and the database of the storm, before the tables exist."""

    @abstractmethod
    def prepare_faults(self) -> None:
        """Create the triggers by which statements fail, after the tables exist."""

    @abstractmethod
    def sessions(self) -> list[int]:
        """Return the server's numbers for the sessions of the storm."""

    @abstractmethod
    def end_session(self, session: int) -> None:
        """End a session of the storm, if it still exists."""

    @abstractmethod
    def set_failures(self, rate: float, code: str = "", most: int | None = None) -> None:
        """Let statements that write fail at the server.

        Args:
            rate: the share of them that fails.
            code: of the error; all kinds of errors by turns if empty.
            most: end the failures after so many.
        """

    @abstractmethod
    def failures(self) -> int:
        """Return how many statements were chosen to fail."""

    @abstractmethod
    def blocked_sessions(self) -> int:
        """Return how many sessions of the storm wait for a lock."""

    @abstractmethod
    def hold(self, message: bytes) -> "Hold":
        """Lock the row of a message in a transaction of a rival."""

    @abstractmethod
    def fully_occupied(self) -> AbstractContextManager[object]:
        """Let the server refuse all further sessions of the storm during the block."""

    @abstractmethod
    def dead_locks(self) -> int:
        """Return how many dead-locks the server has resolved."""

    @abstractmethod
    def set_read_only(self, on: bool) -> None:
        """Refuse to write, as a replica does that was the primary."""

    @abstractmethod
    def set_room(self, sessions: int | None) -> None:
        """Limit the sessions that the storm may have; None for no limit."""

    @abstractmethod
    def set_statement_timeout(self, seconds: float) -> None:
        """Limit the time of each statement in sessions that begin from now on; 0 for no limit."""

    @abstractmethod
    def newest_messages(self, limit: int) -> list[bytes]:
        """Return the ids of messages, the newest first."""

    @abstractmethod
    def overwrite(self, chance: random.Random) -> tuple[bytes, int, str, bool] | None:
        """Overwrite a column of a message; return its id, state, a description, and if it matters."""

    @abstractmethod
    def insert_nonsense(self, chance: random.Random) -> None:
        """Insert a message without meaning into the queue `low`."""

    @abstractmethod
    def count_leftovers(self) -> list[tuple[str, int]]:
        """Count the rows that should have been deleted, by the names of the things in them."""

    # What all dialects share.

    def start(self) -> None:
        folder = self._stack.enter_context(private_folder(self.kind, unprivileged()))
        server = self.make_server(folder)
        server.process.environment = self.clock.environment()
        self.restart()
        self._stack.callback(self._stop_server)
        self.proxy = TcpProxy(server.url)
        self._stack.enter_context(self.proxy)
        self.prepare()
        # In a thread, because the loop of a storm runs in this one.
        self._starter.submit(asyncio.run, self._migrate()).result()
        self.prepare_faults()

    def stop(self) -> None:
        self._stack.close()

    def _stop_server(self) -> None:
        self.wake()
        self.server.stop()

    async def _migrate(self) -> None:
        driver: Any = self.make_driver()
        await driver.migrate()

    def crash(self) -> None:
        """End the server at once."""
        self.wake()
        self.server.crash()

    def restart(self) -> None:
        """Start the server on its files."""
        self._starter.submit(self.server.start).result()

    def wake(self) -> None:
        """Let the server go on if it was stopped."""
        for pid in self._pids():
            with _gone_is_fine():
                os.kill(pid, signal.SIGCONT)

    def _pids(self) -> list[int]:
        pid = self.server.process.pid
        return [] if pid is None else [*children(pid), pid]

    async def hang(self, seconds: float) -> None:
        """Stop all processes of the server, as a machine does that swaps or is suspended."""
        for pid in reversed(self._pids()):
            with _gone_is_fine():
                os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.wake()

    async def ask(self, question: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do something as the operator, and repeat it until the server answers."""
        return await asyncio.to_thread(self._ask, partial(question, *args, **kwargs))

    def _ask(self, question: Callable[[], T]) -> T:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return question()
            except self.unreachable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def lock_rows(self, chance: random.Random, seconds: float) -> None:
        """Lock messages one by one in descending order, hold them for a while, and roll back."""
        newest = self.newest_messages(40)
        chosen = sorted(chance.sample(newest, min(MOST_ROWS, len(newest))), reverse=True)
        if not chosen:
            return
        hold = self.hold(chosen[0])
        try:
            for message in chosen[1:]:
                time.sleep(seconds / MOST_ROWS)
                if not hold.lock(message):
                    return
        finally:
            hold.end()

    async def damage(self, chance: random.Random) -> Damage | None:
        found = await self.ask(self.overwrite, chance)
        if found is None:
            return None
        message, state, how, is_fatal = found
        return Damage(message.hex(), how, must_die=is_fatal and state in WAITING_STATES)

    async def write_nonsense(self, chance: random.Random) -> None:
        await self.ask(self.insert_nonsense, chance)

    async def calm(self) -> None:
        self.proxy.thaw()
        self.proxy.accept()
        self.clock.jump(0.0)
        await self.ask(self.set_failures, 0.0)
        await self.ask(self.set_read_only, False)
        await self.ask(self.set_room, None)
        await self.ask(self.set_statement_timeout, 0.0)

    async def leftovers(self) -> list[str]:
        """Look into the tables once the results have expired."""
        driver = self.make_driver()
        await driver.open()
        try:
            for offset in (HOURS_LATER, HOURS_LATER * 2):
                driver.clock_offset = offset
                await driver.reserve({"nothing": 1}, limit=1, owner="upkeep", lease=0.1)
                await asyncio.sleep(0.1)  # the jump looks like an outage, which pauses the upkeep
                for _ in range(UPKEEPS):
                    await driver.reserve({"nothing": 1}, limit=1, owner="upkeep", lease=0.1)
        finally:
            await driver.close()
        counts = await self.ask(self.count_leftovers)
        return [f"{count} {name}" for name, count in counts if count]


def _gone_is_fine() -> AbstractContextManager[None]:
    return suppress(ProcessLookupError)
