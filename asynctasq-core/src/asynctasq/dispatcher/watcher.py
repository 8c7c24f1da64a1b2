"""Waiting for outcomes: all handles that wait on one loop share their looks at the store."""

import asyncio
import logging
from collections.abc import Sequence

from asynctasq.contracts.capabilities import Outcome, SupportsInspect, SupportsResults
from asynctasq.errors import DriverError, DriverUnavailable, ResultTimeout, ResultUnknown
from asynctasq.message import id_to_text

logger = logging.getLogger("asynctasq")

POLL_SECONDS = 1.0
"""A push from the store is a hint; this stands behind it."""
LOOKS_BETWEEN_CHECKS = 5
"""A message may be purged while it is awaited, so now and then it is looked for."""
PAUSE_SECONDS = 0.5
BATCH_SIZE = 1000


class ResultWatcher:
    """Watches for the outcomes of awaited messages, for as long as any is awaited."""

    def __init__(self, driver: SupportsResults) -> None:
        self._driver = driver
        self._awaited: dict[bytes, set[asyncio.Future[Outcome]]] = {}
        self._looks: dict[bytes, int] = {}
        self._added = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    async def outcome(self, message_id: bytes, timeout: float | None) -> Outcome:
        """The outcome, as soon as there is one.

        Raises:
            ResultTimeout: none within `timeout` seconds.
            ResultUnknown: the store knows nothing of the message.
            DriverError: the store refused.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Outcome] = loop.create_future()
        self._awaited.setdefault(message_id, set()).add(future)
        self._added.set()
        if self._watching is None:
            self._watching = loop.create_task(self._watch())
        try:
            async with asyncio.timeout(timeout):
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
        futures = self._awaited.get(message_id)
        if futures is not None:
            futures.discard(future)
            if not futures:
                self._forget(message_id)

    def _forget(self, message_id: bytes) -> set["asyncio.Future[Outcome]"]:
        self._looks.pop(message_id, None)
        return self._awaited.pop(message_id, set())

    async def _watch(self) -> None:
        try:
            while self._awaited:
                self._added.clear()
                try:
                    await self._look()
                    await self._wait()
                except DriverUnavailable as error:
                    logger.warning("Results cannot be read now; trying again: %s", error)
                    await asyncio.sleep(PAUSE_SECONDS)
                except Exception as error:  # noqa: BLE001  whatever a driver raises, the callers are told
                    self._fail(list(self._awaited), error)
        finally:
            self._watching = None

    async def _look(self) -> None:
        ids = list(self._awaited)
        for start in range(0, len(ids), BATCH_SIZE):
            missing = await self._resolve(ids[start : start + BATCH_SIZE])
            doubtful = [each for each in missing if self._is_due_for_check(each)]
            if doubtful and isinstance(self._driver, SupportsInspect):
                await self._check_known(self._driver, doubtful)

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

    def _is_due_for_check(self, message_id: bytes) -> bool:
        if message_id not in self._awaited:
            return False
        looks = self._looks.get(message_id, 0)
        self._looks[message_id] = looks + 1
        return looks % LOOKS_BETWEEN_CHECKS == 0

    async def _check_known(self, driver: SupportsInspect, ids: Sequence[bytes]) -> None:
        found = await driver.find(ids)
        absent = [
            message_id for message_id, snapshot in zip(ids, found, strict=True) if not snapshot
        ]
        if absent:  # it may have ended between the two looks
            for message_id in await self._resolve(absent):
                self._fail([message_id], unknown(message_id))

    def _fail(self, ids: Sequence[bytes], error: Exception) -> None:
        for message_id in ids:
            for future in self._forget(message_id):
                if not future.done():
                    future.set_exception(error)

    async def _wait(self) -> None:
        """Sleep until the store hints at an outcome, another message is awaited, or it is time to look."""
        if not self._awaited or self._added.is_set():
            return
        hint = asyncio.ensure_future(
            self._driver.wait_results(list(self._awaited), timeout=POLL_SECONDS)
        )
        added = asyncio.ensure_future(self._added.wait())
        try:
            await asyncio.wait([hint, added], return_when=asyncio.FIRST_COMPLETED)
        finally:
            added.cancel()
            hint.cancel()
            await asyncio.wait([hint, added])
        if not hint.cancelled():
            hint.result()


def unknown(message_id: bytes) -> ResultUnknown:
    """The error for a message of which the store knows nothing."""
    return ResultUnknown(
        f"Task {id_to_text(message_id)} is not known: it was never dispatched to this store and "
        f"namespace, or it has ended and its outcome was forgotten (option `result_ttl`)."
    )
