"""Reports of the store's own upkeep: leases that were lost, and messages that died or expired."""

import asyncio
import logging

from asynctasq.contracts.capabilities import Capability, News, SupportsNews
from asynctasq.contracts.driver import Driver
from asynctasq.hookspecs import NewsContext
from asynctasq.message import State, id_to_text
from asynctasq.plugins.observers import Observers

logger = logging.getLogger("asynctasq")

LOGGED_EACH = 20
"""News of one reserve that are logged one by one; of more, the number is logged."""


class StoreNews:
    """Reads the news of a driver after each reserve; logs, counts and passes them to observers."""

    def __init__(self, driver: Driver, observers: Observers, worker_id: str) -> None:
        """Make the news of one worker.

        Args:
            driver: opened, the one that reserves. Without NEWS there are none.
            observers: those with `on_news` are called in the background.
            worker_id: for observers.
        """
        self._driver: SupportsNews | None = None
        if Capability.NEWS in driver.capabilities and isinstance(driver, SupportsNews):
            self._driver = driver
        self._observers = observers
        self._worker_id = worker_id
        self._background: set[asyncio.Task[None]] = set()
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
        for each in news[:LOGGED_EACH]:
            _log(each)
        if len(news) > LOGGED_EACH:
            logger.warning("%d more tasks were lost or expired", len(news) - LOGGED_EACH)
        if self._observers.on_news:
            task = asyncio.get_running_loop().create_task(self._notify(list(news)))
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    async def _notify(self, news: list[News]) -> None:
        for each in news:
            await self._observers.notify(
                self._observers.on_news, NewsContext(each, self._worker_id)
            )


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
