"""Notices after the commit of a transaction with dispatches: they wake workers and notify observers."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeAlias

from asynctasq.app_runtime import Runtime
from asynctasq.dispatch.observing import announce_done
from asynctasq.dispatch.portal import BlockingPortal
from asynctasq.message import Message
from asynctasq.records import record

logger = logging.getLogger("asynctasq")

Wake: TypeAlias = Callable[[Sequence[str]], Awaitable[None]]
Publish: TypeAlias = Callable[[Sequence[Message]], Awaitable[None]]


@record
class _Sent:
    """Messages whose transaction was committed."""

    wake: Wake
    messages: Sequence[Message]
    publish: Publish | None = None


class CommitNotices:
    """Sends the notices of commits, those of one turn of a loop together."""

    def __init__(self, runtime: Runtime, portal: BlockingPortal) -> None:
        """Connect the parts.

        Args:
            runtime: has the observers.
            portal: sends the notices of code without an event loop.
        """
        self._runtime = runtime
        self._portal = portal
        self._lock = threading.Lock()
        self._waiting: dict[asyncio.AbstractEventLoop | None, list[_Sent]] = {}
        """By the loop that sends them; None is that of the portal."""
        self._tasks: set[asyncio.Task[None]] = set()

    def to_send(
        self, wake: Wake, messages: Sequence[Message], publish: Publish | None = None
    ) -> Callable[[], None]:
        """Return the function that a client calls after the commit of these messages.

        Args:
            wake: wakes the workers of some queues.
            messages: of the transaction.
            publish: publishes events about messages; None if they are not in their store yet.
        """
        return partial(self._committed, _Sent(wake, messages, publish))

    def observe(self, messages: Sequence[Message]) -> None:
        """Notify the observers of dispatches whose commit nothing reports."""
        if self._runtime.observers.after_dispatch:
            self._committed(_Sent(_wake_none, messages))

    async def finish(self) -> None:
        """Wait for the notices that are being sent on the running loop."""
        here = asyncio.get_running_loop()
        if mine := [task for task in self._tasks if task.get_loop() is here]:
            await asyncio.wait(mine)

    def _committed(self, sent: _Sent) -> None:
        """Send a notice soon. Never raises: the caller is in the middle of its commit."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        with self._lock:
            waiting = self._waiting.setdefault(loop, [])
            waiting.append(sent)
            if len(waiting) > 1:
                return
        try:
            self._start(loop, self._send(loop))
        except Exception as error:  # noqa: BLE001  the commit succeeded, and workers look by themselves
            self._take(loop)
            logger.debug("Could not send the notice of a commit: %s", error)

    def _start(
        self, loop: asyncio.AbstractEventLoop | None, sending: Coroutine[Any, Any, None]
    ) -> None:
        try:
            if loop is None:
                self._portal.start(sending)
                return
            task = loop.create_task(sending)
        except BaseException:
            sending.close()
            raise
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _take(self, loop: asyncio.AbstractEventLoop | None) -> list[_Sent]:
        with self._lock:
            return self._waiting.pop(loop, [])

    async def _send(self, loop: asyncio.AbstractEventLoop | None) -> None:
        sent = self._take(loop)
        queues: dict[Wake, set[str]] = {}
        for each in sent:
            queues.setdefault(each.wake, set()).update(message.queue for message in each.messages)
        for wake, names in queues.items():
            try:
                await wake(sorted(names))
            except Exception as error:  # noqa: BLE001  a hint only
                logger.debug("Could not wake workers after a commit: %s", error)
        for each in sent:
            if each.publish is not None:
                try:
                    await each.publish(each.messages)
                except Exception as error:  # noqa: BLE001  events must not fail a dispatch
                    logger.debug("Could not publish the events of a commit: %s", error)
        observers = self._runtime.observers
        if observers.after_dispatch:
            for each in sent:
                for message in each.messages:
                    await announce_done(observers, message)


async def _wake_none(queues: Sequence[str]) -> None:
    """Do nothing."""
