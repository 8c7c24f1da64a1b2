"""Waiting for outcomes: all handles that wait on one event loop share their calls of the store.

Each awaited message is either due to be read, or waits in a group. When a message of a group ends, only
that group becomes due: an outcome costs the same however many are awaited.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from functools import partial
from itertools import islice

from asynctasq.contracts.capabilities import Outcome, SupportsResults
from asynctasq.errors import DriverError, DriverUnavailable, ResultTimeout, ResultUnknown
from asynctasq.message import id_to_text
from asynctasq.records import record
from asynctasq.tasks.context import waiting_for_result

logger = logging.getLogger("asynctasq")

BATCH_SIZE = 1000
"""Most messages whose outcomes are read with one call."""
GROUP_SIZE = 200
"""Most messages that share one call of `wait_results`, and become due with one hint."""

CONTINUES = "; it continues."
"""The end of the error of a result that did not arrive in time."""


@record
class WatchTiming:
    """How often the store is called, in seconds."""

    poll: float = 1.0
    """All awaited messages become due this often: a push from the store is only a hint."""
    check: float = 5.0
    """The store is asked this often whether it knows a message, which may be purged while it is awaited."""
    pause: float = 0.5
    """Pause after a call that could not reach the store."""
    phase: float | None = None
    """Share of `poll` by which the polls are shifted on the loop's clock, 0 to 1. None means at random, which
    spreads the polls of many programs."""


_TIMING = WatchTiming()


class Awaited:
    """A message, and the futures that wait for its outcome."""

    def __init__(self, check_at: float) -> None:
        self.futures: set[asyncio.Future[Outcome]] = set()
        self.check_at = check_at
        """When to ask whether the store knows the message, by the loop's clock."""


class ResultWatcher:
    """Reads the outcomes of awaited messages, for as long as any is awaited."""

    def __init__(self, driver: SupportsResults, timing: WatchTiming = _TIMING) -> None:
        self._driver = driver
        self._timing = timing
        self._awaited: dict[bytes, Awaited] = {}
        self._due: dict[bytes, None] = {}
        """Ids of messages to read, in order."""
        self._groups: set[asyncio.Future[None]] = set()
        self._failure: BaseException | None = None
        """The error of a group that has ended."""
        self._news = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._phase = random.random() if timing.phase is None else timing.phase

    @property
    def awaited(self) -> int:
        """The number of messages whose outcomes are awaited."""
        return len(self._awaited)

    async def outcome(
        self, message_id: bytes, timeout: float | None, *, check_first: bool = False
    ) -> Outcome:
        """Wait for an outcome, and return it.

        Args:
            message_id: the message.
            timeout: seconds to wait at most; None waits forever.
            check_first: ask at once whether the store knows the message. This can be left out for a
                message that the store has just accepted.

        Raises:
            ResultTimeout: the message has not ended within `timeout` seconds.
            ResultUnknown: the store does not know the message.
            DriverError: the store refused.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        awaited = self._awaited.get(message_id)
        if awaited is None:
            check_at = loop.time() + (0.0 if check_first else self._timing.check)
            awaited = self._awaited[message_id] = Awaited(check_at)
            self._due[message_id] = None
            self._news.set()
        awaited.futures.add(future)
        if self._watching is None:
            self._watching = loop.create_task(self._watch())
        try:
            async with waiting_for_result(message_id), asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            raise ResultTimeout(
                f"Task {id_to_text(message_id)} has not ended within {timeout:g} s{CONTINUES}"
            ) from None
        finally:
            self._drop(message_id, future)

    async def close(self) -> None:
        """Stop watching; calls that still wait raise a `DriverError`."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        self._fail(
            list(self._awaited), DriverError("The app was closed while a result was awaited.")
        )

    def _drop(self, message_id: bytes, future: "asyncio.Future[Outcome]") -> None:
        awaited = self._awaited.get(message_id)
        if awaited is not None:
            awaited.futures.discard(future)
            if not awaited.futures:
                self._forget(message_id)

    def _forget(self, message_id: bytes) -> set["asyncio.Future[Outcome]"]:
        self._due.pop(message_id, None)
        awaited = self._awaited.pop(message_id, None)
        return awaited.futures if awaited is not None else set()

    async def _watch(self) -> None:
        is_unavailable = False
        try:
            while self._awaited or self._groups:
                try:
                    await self._read_or_wait()
                    is_unavailable = False
                except DriverUnavailable as error:
                    if not is_unavailable:  # one line for an outage, not one for each try
                        logger.warning("Could not read results; retrying: %s", error)
                    is_unavailable = True
                    await asyncio.sleep(self._timing.pause)
                    self._failure = None  # that of another group in the same outage
                except Exception as error:  # noqa: BLE001  each caller gets the error of the driver
                    self._fail(list(self._awaited), error)
        finally:
            self._watching = None
            if self._groups:
                for group in self._groups:
                    group.cancel()
                await asyncio.wait(self._groups)

    async def _read_or_wait(self) -> None:
        self._news.clear()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        if self._due:
            await self._read(list(islice(self._due, BATCH_SIZE)))
        else:
            await self._news.wait()

    async def _read(self, ids: Sequence[bytes]) -> None:
        """Deliver the outcomes that exist, and wait for the others."""
        missing = await self._resolve(ids)
        await self._check_known(missing)
        for message_id in ids:
            self._due.pop(message_id, None)
        left = [message_id for message_id in missing if message_id in self._awaited]
        for start in range(0, len(left), GROUP_SIZE):
            self._wait(left[start : start + GROUP_SIZE])

    async def _resolve(self, ids: Sequence[bytes]) -> list[bytes]:
        """Deliver the outcomes that exist, and return the ids of messages that have none."""
        missing: list[bytes] = []
        for message_id, outcome in zip(ids, await self._driver.results(ids), strict=True):
            if outcome is None:
                missing.append(message_id)
                continue
            for future in self._forget(message_id):
                if not future.done():
                    future.set_result(outcome)
        return missing

    async def _check_known(self, missing: Sequence[bytes]) -> None:
        """Fail the messages that are due to be checked and that the store does not know."""
        now = asyncio.get_running_loop().time()
        doubtful = {
            message_id: awaited
            for message_id in missing
            if (awaited := self._awaited.get(message_id)) is not None and awaited.check_at <= now
        }
        if not doubtful:
            return
        absent: list[bytes] = []
        for message_id, known in zip(
            doubtful, await self._driver.known(list(doubtful)), strict=True
        ):
            doubtful[message_id].check_at = self._next_poll(now + self._timing.check)
            if not known:
                absent.append(message_id)
        if absent:  # some may have ended between the two calls
            for message_id in await self._resolve(absent):
                self._fail([message_id], unknown(message_id))

    def _fail(self, ids: Sequence[bytes], error: Exception) -> None:
        for message_id in ids:
            for future in self._forget(message_id):
                if not future.done():
                    future.set_exception(error)

    def _wait(self, ids: Sequence[bytes]) -> None:
        """Make a group due when the store hints at an outcome, or at the next poll or check."""
        now = asyncio.get_running_loop().time()
        until = min(self._next_poll(now), *(self._awaited[each].check_at for each in ids))
        group = asyncio.ensure_future(self._driver.wait_results(ids, timeout=max(until - now, 0.0)))
        self._groups.add(group)
        group.add_done_callback(partial(self._waited, ids))

    def _waited(self, ids: Sequence[bytes], group: "asyncio.Future[None]") -> None:
        self._groups.discard(group)
        self._news.set()
        if not group.cancelled():
            self._failure = group.exception() or self._failure
            self._due.update(dict.fromkeys(each for each in ids if each in self._awaited))

    def _next_poll(self, time: float) -> float:
        poll = self._timing.poll
        return time + poll - (time + self._phase * poll) % poll


def unknown(message_id: bytes) -> ResultUnknown:
    """Return the error for a message that the store does not know."""
    return ResultUnknown(
        f"Task {id_to_text(message_id)} is not known: it was never dispatched to this store and "
        f"namespace, or it has ended and its outcome was forgotten (option `result_ttl`)."
    )
