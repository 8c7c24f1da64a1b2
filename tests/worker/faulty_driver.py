"""A driver around a real one that can lose or delay calls and answers."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Self

from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import DRIVER_API_VERSION, DriverDefaults
from asynctasq.errors import DriverUnavailable
from tests.worker.stage import PATIENCE, Flag

REQUIRED = ("enqueue", "reserve", "wait", "settle", "extend", "count")
OPTIONAL = [
    "results",
    "known",
    "wait_results",
    "set_progress",
    "progress",
    "cancel",
    "cancel_requests",
    "requests",
    "request_workers",
    "pause",
    "resume",
    "paused",
    "dead_letters",
    "requeue",
    "requeue_edited",
    "delete_dead",
    "queues",
    "find",
    "match_ids",
    "browse",
    "purge",
    "edit",
    "record_worker",
    "end_owner",
    "forget_worker",
    "workers",
    "add_metrics",
    "metrics",
    "recent_outcomes",
    "listening",
    "publish",
    "events",
]


class _Instead:
    """An answer that no store gave."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def __call__(self, _: Any) -> Any:
        return self.answer


class Line:
    """The line to the store, shared by all clones: counts calls, and breaks on request."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self._faults: dict[str, deque[tuple[bool, Callable[[Any], Awaitable[Any]]]]] = defaultdict(
            deque
        )
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()

    def fail(
        self,
        method: str,
        times: int = 1,
        *,
        answered: bool = False,
        error: Callable[[], Exception] = lambda: DriverUnavailable("the line is down"),
    ) -> None:
        """Let the next calls fail; with `answered`, after the store has done what was asked."""

        async def fail(_: Any) -> None:
            self.failures[method] += 1
            raise error()

        self._faults[method].extend([(answered, fail)] * times)

    def answer(self, method: str, change: Callable[[Any], Any]) -> None:
        """Change the answer of the next call."""

        async def changed(answer: Any) -> Any:
            return change(answer)

        self._faults[method].append((True, changed))

    def replace(self, method: str, answer: Any) -> None:
        """Answer the next call without passing it to the store."""
        self._faults[method].append((False, _Instead(answer)))

    def hold(self, method: str, until: Flag, reached: Flag | None = None) -> None:
        """Keep the answer of the next call back."""

        async def wait(answer: Any) -> Any:
            if reached is not None:
                reached.set()
            await until.wait()
            return answer

        self._faults[method].append((True, wait))

    def restore(self) -> None:
        self._faults.clear()

    async def called(self, method: str, times: int = 1) -> None:
        """Wait for so many more calls."""
        async with asyncio.timeout(PATIENCE):
            wanted = self.calls[method] + times
            while self.calls[method] < wanted:
                self._changed.clear()
                await self._changed.wait()

    async def failed(self, method: str, times: int = 1) -> None:
        """Wait until so many calls have failed in all."""
        async with asyncio.timeout(PATIENCE):
            while self.failures[method] < times:
                self._changed.clear()
                await self._changed.wait()

    async def carry(self, method: str, call: Callable[[], Awaitable[Any]]) -> Any:
        self.calls[method] += 1
        try:
            answered, act = (
                self._faults[method].popleft() if self._faults[method] else (False, None)
            )
            if act is None:
                return await call()
            if isinstance(act, _Instead):
                return act.answer
            if not answered:
                await act(None)
                return await call()
            return await act(await call())
        finally:
            with suppress(RuntimeError):  # the renewer's last calls may outlive the test's loop
                self._loop.call_soon_threadsafe(self._changed.set)


class FaultyDriver(DriverDefaults):
    """Calls another driver through a `Line`."""

    api_version = DRIVER_API_VERSION
    capabilities: Capability
    description: str

    def __init__(self, inner: Any, line: Line) -> None:
        self.inner = inner
        self.line = line
        self.capabilities = inner.capabilities & ~(
            Capability.NEWS
            | Capability.SCHEMA
            | Capability.TRANSACTIONS
            | Capability.OUTBOX
            | Capability.STATE
            | Capability.SCHEDULES
        )
        self.description = inner.description

    @property
    def clock_offset(self) -> float:
        return float(self.inner.clock_offset)

    @clock_offset.setter
    def clock_offset(self, seconds: float) -> None:
        self.inner.clock_offset = seconds

    def clone(self) -> Self:
        return type(self)(self.inner.clone(), self.line)

    async def open(self) -> None:
        await self.line.carry("open", self.inner.open)

    async def close(self) -> None:
        await self.inner.close()


def _through(name: str) -> Any:
    async def method(self: FaultyDriver, *args: Any, **options: Any) -> Any:
        return await self.line.carry(name, lambda: getattr(self.inner, name)(*args, **options))

    method.__name__ = name
    return method


for _name in (*REQUIRED, *OPTIONAL):
    setattr(FaultyDriver, _name, _through(_name))
