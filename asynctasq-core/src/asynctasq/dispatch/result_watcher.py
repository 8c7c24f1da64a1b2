"""Waiting for outcomes: all handles that wait on one loop share their looks at the store.

Each message that is awaited is either due for a look or waited for in a group. What ends makes its own
group due, not the others: an outcome costs the same however many are awaited.
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
from asynctasq.tasks.context import waiting_for_result

logger = logging.getLogger("asynctasq")

POLL_SECONDS = 1.0
"""All are due together so often: a push from the store is a hint, and groups fill up again."""
FIRST_CHECK_SECONDS = 0.1
CHECK_SECONDS = 5.0
"""A message may not be known, or be purged while it is awaited, so now and then it is looked for."""
PAUSE_SECONDS = 0.5
BATCH_SIZE = 1000
GROUP_SIZE = 200
"""So many share one `wait_results`: what a hint makes due, at most."""


class Awaited:
    """A message, and who awaits its outcome."""

    def __init__(self, check_at: float) -> None:
        self.futures: set[asyncio.Future[Outcome]] = set()
        self.check_at = check_at
        """When to make sure that it is known, by the loop's clock."""


class ResultWatcher:
    """Watches for the outcomes of awaited messages, for as long as any is awaited."""

    def __init__(self, driver: SupportsResults) -> None:
        self._driver = driver
        self._awaited: dict[bytes, Awaited] = {}
        self._due: dict[bytes, None] = {}
        """Ids to look at, in order."""
        self._groups: set[asyncio.Future[None]] = set()
        self._failure: BaseException | None = None
        """Of a group that has ended."""
        self._news = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._phase = random.random()  # programs are not to poll a store all at once

    async def outcome(self, message_id: bytes, timeout: float | None) -> Outcome:
        """The outcome, as soon as there is one.

        Raises:
            ResultTimeout: none within `timeout` seconds.
            ResultUnknown: the store knows nothing of the message.
            DriverError: the store refused.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        if message_id not in self._awaited:
            self._awaited[message_id] = Awaited(loop.time() + FIRST_CHECK_SECONDS)
            self._due[message_id] = None
            self._news.set()
        self._awaited[message_id].futures.add(future)
        if self._watching is None:
            self._watching = loop.create_task(self._watch())
        try:
            async with waiting_for_result(message_id), asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            raise ResultTimeout(
                f"Task {id_to_text(message_id)} has not ended within {timeout:g} s; it goes on."
            ) from None
        finally:
            self._drop(message_id, future)

    async def close(self) -> None:
        """Stop watching; who still waits is told."""
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
        away = False
        try:
            while self._awaited or self._groups:
                try:
                    await self._look_or_wait()
                    away = False
                except DriverUnavailable as error:
                    if not away:  # one line for an outage, not one for each try
                        logger.warning("Results cannot be read now; trying again: %s", error)
                    away = True
                    await asyncio.sleep(PAUSE_SECONDS)
                    self._failure = None  # of other groups, in the same outage
                except Exception as error:  # noqa: BLE001  whatever a driver raises, the callers are told
                    self._fail(list(self._awaited), error)
        finally:
            self._watching = None
            if self._groups:
                for group in self._groups:
                    group.cancel()
                await asyncio.wait(self._groups)

    async def _look_or_wait(self) -> None:
        self._news.clear()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        if self._due:
            await self._look(list(islice(self._due, BATCH_SIZE)))
        else:
            await self._news.wait()

    async def _look(self, ids: Sequence[bytes]) -> None:
        """Hand out the outcomes there are, and wait for the others."""
        missing = await self._resolve(ids)
        await self._check_known(missing)
        for message_id in ids:
            self._due.pop(message_id, None)
        left = [message_id for message_id in missing if message_id in self._awaited]
        for start in range(0, len(left), GROUP_SIZE):
            self._wait(left[start : start + GROUP_SIZE])

    async def _resolve(self, ids: Sequence[bytes]) -> list[bytes]:
        """Hand out the outcomes there are; returns the ids that have none."""
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
        """Fail those for which it is time to look, and of which the store knows nothing."""
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
            doubtful[message_id].check_at = self._next_poll(now + CHECK_SECONDS)
            if not known:
                absent.append(message_id)
        if absent:  # it may have ended between the two looks
            for message_id in await self._resolve(absent):
                self._fail([message_id], unknown(message_id))

    def _fail(self, ids: Sequence[bytes], error: Exception) -> None:
        for message_id in ids:
            for future in self._forget(message_id):
                if not future.done():
                    future.set_exception(error)

    def _wait(self, ids: Sequence[bytes]) -> None:
        """Let a group be due when the store hints at an outcome, or it is time to look."""
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
        return time + POLL_SECONDS - (time + self._phase) % POLL_SECONDS


def unknown(message_id: bytes) -> ResultUnknown:
    """The error for a message of which the store knows nothing."""
    return ResultUnknown(
        f"Task {id_to_text(message_id)} is not known: it was never dispatched to this store and "
        f"namespace, or it has ended and its outcome was forgotten (option `result_ttl`)."
    )
