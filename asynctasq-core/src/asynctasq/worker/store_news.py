"""Reports of the store's own upkeep: leases that were lost, and messages that died or expired."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from asynctasq.contracts.capabilities import NEWS_KEPT, Capability, News, SupportsNews
from asynctasq.contracts.driver import Driver
from asynctasq.hookspecs import NewsContext
from asynctasq.message import State, id_to_text
from asynctasq.plugins.observers import Observers
from asynctasq.worker.events import WorkerEvents
from asynctasq.worker.tally import Tally

logger = logging.getLogger("asynctasq")

LOGGED_EACH = 20
"""News of one reserve that are logged one by one; of more, the number is logged."""


class StoreNews:
    """Reads the news of a driver after each reserve; logs, counts and passes them to observers."""

    def __init__(
        self,
        driver: Driver,
        observers: Observers,
        worker_id: str,
        tally: Tally | None = None,
        events: WorkerEvents | None = None,
    ) -> None:
        """Make the news of one worker.

        Args:
            driver: opened, the one that reserves. Without NEWS there are none.
            observers: those with `on_news` are called in the background, for one message after the other.
                If they are too slow, they miss the oldest ones.
            worker_id: for observers.
            tally: counts the news.
            events: publish the news.
        """
        self._driver: SupportsNews | None = None
        if Capability.NEWS in driver.capabilities and isinstance(driver, SupportsNews):
            self._driver = driver
        self._observers = observers
        self._worker_id = worker_id
        self._tally = tally
        self._events = events
        self._waiting: deque[News] = deque(maxlen=NEWS_KEPT)
        """News for observers."""
        self._notifying: asyncio.Task[None] | None = None
        self.lost = 0
        """Number of leases that ended without renewal and that this worker's reserves found."""
        self.dead = 0
        """Messages that died without a worker: lost too often, expired or damaged."""

    def drain(self) -> None:
        """Read the news. Call it after each reserve."""
        if self._driver is None:
            return
        news = self._driver.news()
        if not news:
            return
        for each in news:
            self.dead += each.state is State.DEAD
            self.lost += each.state is not State.DEAD or each.reason == "lost"
        if self._tally is not None:
            self._tally.news(news)
        if self._events is not None and self._events.active:
            self._events.news(news)
        for each in news[:LOGGED_EACH]:
            _log(each)
        if len(news) > LOGGED_EACH:
            logger.warning("%d more tasks were lost or expired", len(news) - LOGGED_EACH)
        if self._observers.on_news:
            self._pass_on(news)

    def _pass_on(self, news: Sequence[News]) -> None:
        missed = len(self._waiting) + len(news) - NEWS_KEPT
        if missed > 0:
            logger.warning("Observers of on_news are too slow and miss %d events", missed)
        self._waiting.extend(news)
        if self._notifying is None or self._notifying.done():
            self._notifying = asyncio.get_running_loop().create_task(self._notify())

    async def _notify(self) -> None:
        while self._waiting:
            context = NewsContext(self._waiting.popleft(), self._worker_id)
            await self._observers.notify(self._observers.on_news, context)


def _log(news: News) -> None:
    fields = {
        "task_id": id_to_text(news.id),
        "task": news.task,
        "queue": news.queue,
        "attempts": news.attempts,
        "lost": news.lost,
    }
    if news.state is State.DEAD:
        reason = "" if news.reason is None else news.reason.value
        logger.error(
            "Task %s of %s is dead (%s)",
            fields["task_id"],
            news.task or "unknown name",
            reason,
            extra={**fields, "reason": reason},
        )
    else:
        then = "cancelled" if news.state is State.CANCELLED else "ready again"
        logger.warning(
            "Task %s of %s lost its lease, which was not renewed; it is %s",
            fields["task_id"],
            news.task,
            then,
            extra=fields,
        )
