"""Waiting for work and for results: one task looks into the store for all coroutines that wait.

A server of MySQL cannot notify its clients. So the task looks every 10 ms for ten seconds after the last work, and
then less and less often.
"""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress

from asynctasq.driverkit.packing import ID_BYTES
from asynctasq.errors import DriverError
from asynctasq_mysql.statements import in_list, json_of
from asynctasq_mysql.store import Store, name_bytes, name_text

SHORTEST_PAUSE, LONGEST_PAUSE = 0.01, 0.26
"""Seconds between two looks. The longest leaves room for calls of `reserve` below four looks a second."""
ACTIVE_SECONDS = 10.0
"""For which the pauses stay short after the last work."""
ENDED_SECONDS = 0.3
"""For which a lease has to be seen as ended before it wakes a coroutine: other workers may reclaim it."""
LONGEST_WAIT = 3600.0
"""Seconds. Some event loops cannot count to infinity."""


class Waiter:
    """One coroutine that waits for work in queues, or for the end of messages."""

    __slots__ = ("ends_at", "future", "ids", "queues")

    def __init__(self, queues: Sequence[str], ids: Collection[bytes], timeout: float) -> None:
        self.ends_at = asyncio.get_running_loop().time() + timeout
        self.queues = tuple(queues)
        self.ids = frozenset(one for one in ids if len(one) == ID_BYTES)
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake(self) -> None:
        """End the wait."""
        if not self.future.done():
            self.future.set_result(None)


class Poller:
    """The task that looks into the store, and the coroutines for which it looks."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiters: set[Waiter] = set()
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._pause = SHORTEST_PAUSE
        self._active_until = 0.0
        self._ended_since: float | None = None
        self._empty: Collection[str] = ()
        """Queues in which a reserve found nothing, and when."""
        self._empty_at = 0.0

    def note_empty(self, queues: Collection[str]) -> None:
        """Take a reserve that found nothing in these queues for a look into them."""
        self._empty, self._empty_at = queues, asyncio.get_running_loop().time()

    def note_work(self) -> None:
        """Look often from now on, because there was work."""
        self._active_until = asyncio.get_running_loop().time() + ACTIVE_SECONDS
        self._pause = SHORTEST_PAUSE

    def look_now(self) -> None:
        """Look at once: this process has changed something."""
        self._empty = ()
        self._changed.set()

    async def wait(
        self, timeout: float, *, queues: Sequence[str] = (), ids: Collection[bytes] = ()
    ) -> None:
        """Return when there may be something, or after `timeout` seconds."""
        if ids:
            self.note_work()
        timeout = min(max(timeout, 0.0), LONGEST_WAIT)
        waiter = Waiter(queues, ids, timeout)
        self._waiters.add(waiter)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look_again_and_again())
        elif self._pause > SHORTEST_PAUSE or ids:
            self._changed.set()
        try:
            async with asyncio.timeout(timeout):
                await waiter.future
        except TimeoutError:
            pass
        finally:
            self._waiters.discard(waiter)
            if not self._waiters:
                self._changed.set()

    async def close(self) -> None:
        """End the task, and all waits."""
        task, self._task = self._task, None
        for waiter in self._waiters:
            waiter.wake()
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _look_again_and_again(self) -> None:
        while self._waiters:
            self._changed.clear()
            try:
                if not self._was_empty():
                    await self._look()
            except DriverError:
                # Their next call meets the error, and reports it.
                for waiter in self._waiters:
                    waiter.wake()
                return
            await self._sleep()
            if self._is_last_pause():
                for waiter in self._waiters:
                    waiter.wake()
                return

    def _is_last_pause(self) -> bool:
        """Return whether all waits end before a long pause does: the reserves after them serve as a look."""
        if self._pause < LONGEST_PAUSE or self._changed.is_set():
            return False
        until = asyncio.get_running_loop().time() + self._pause
        return all(not each.ids and each.ends_at <= until for each in self._waiters)

    def _was_empty(self) -> bool:
        """Return whether a reserve has just looked for all that is waited for."""
        empty, self._empty = set(self._empty), ()
        if asyncio.get_running_loop().time() - self._empty_at > self._pause:
            return False
        return all(not each.ids and empty.issuperset(each.queues) for each in self._waiters)

    async def _sleep(self) -> None:
        if asyncio.get_running_loop().time() >= self._active_until:
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pause):
                await self._changed.wait()

    async def _look(self) -> None:
        """Wake the coroutines for which there is something."""
        store, waiters = self._store, list(self._waiters)
        names = {name for waiter in waiters for name in waiter.queues}
        ids = sorted({one for waiter in waiters for one in waiter.ids})
        sql, namespace = store.sql.lease, store.namespace
        texts = []
        if names:
            texts.append(sql["watch"](store.offset, namespace=namespace, since=store.hints.since))
            listed = in_list(sorted(map(name_bytes, names)))
            texts.append(sql["watch_queues"](namespace=namespace, names=listed))
        if ids:
            texts.append(sql["ended"](ids=json_of(ids), namespace=namespace))
        if not texts:
            return
        answers = await store.run(*texts)
        anything = bool(names) and self._is_anything_due(*answers[0][0])
        ready = {name_text(bytes(row[0])) for row in answers[1]} if names else set[str]()
        ended = (
            {ids[number - 1] for number in self._numbers_in(answers[-1])} if ids else set[bytes]()
        )
        for waiter in waiters:
            has_work = bool(waiter.queues) and (anything or not ready.isdisjoint(waiter.queues))
            if has_work or not ended.isdisjoint(waiter.ids):
                waiter.wake()

    def _is_anything_due(self, message: object, lease: object) -> bool:
        """Return whether a message is due, or a lease has been over for some time."""
        now = asyncio.get_running_loop().time()
        if lease is None:
            self._ended_since = None
        elif self._ended_since is None:
            self._ended_since = now
        is_over = self._ended_since is not None and now - self._ended_since >= ENDED_SECONDS
        return message is not None or is_over

    @staticmethod
    def _numbers_in(rows: Sequence[tuple[object, ...]]) -> list[int]:
        return [row[0] for row in rows if isinstance(row[0], int)]
