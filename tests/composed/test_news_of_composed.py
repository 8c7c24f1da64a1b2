"""News of a composed driver: workers log dead letters that no worker has made, and pass them to observers."""

import asyncio
import logging

import pytest

from asynctasq import App, hookimpl, task
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.hookspecs import NewsContext
from asynctasq.settlement import Reason
from asynctasq.worker.worker import Worker
from tests.composed.queue_driver import QueueDriver


class Reader:
    """An observer that keeps the reasons of dead messages by ID."""

    def __init__(self) -> None:
        self.reasons: dict[bytes, Reason | None] = {}
        self.has_two = asyncio.Event()

    @hookimpl
    async def on_news(self, context: NewsContext) -> None:
        self.reasons[context.news.id] = context.news.reason
        if len(self.reasons) == 2:
            self.has_two.set()


async def test_a_worker_reports_messages_of_both_stores_that_expire(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @task
    async def late() -> None:
        raise AssertionError("an expired task must not run")

    queue, state, reader = QueueDriver(), MemoryDriver(), Reader()
    async with App({"driver": queue, "state": state}) as app:
        app.plugins.register(reader)
        plain = await late().options(expires=5.0).dispatch()
        placed = await late().options(expires=5.0, unique="key").dispatch()
        driver = await app.driver()
        driver.clock_offset = 100.0
        with caplog.at_level(logging.ERROR, "asynctasq"):
            worker = Worker(app=app, handle_signals=False)
            running = asyncio.create_task(worker.start())
            await reader.has_two.wait()
            worker.stop()
            await running
    assert set(reader.reasons.values()) == {Reason.EXPIRED}
    for handle in (plain, placed):
        assert f"Task {handle} of {late.name} is dead (expired)" in caplog.text
