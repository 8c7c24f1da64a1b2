"""What the store did by itself reaches logs, counters and observers."""

import asyncio
import logging

import pytest

from asynctasq.contracts.capabilities import NEWS_KEPT
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.hookspecs import NewsContext, hookimpl
from asynctasq.message import Message, State, new_id
from asynctasq.plugins.observers import Observers
from asynctasq.plugins.registry import PluginRegistry
from asynctasq.worker.store_news import LOGGED_EACH, StoreNews


class Recorder:
    """Observes; `heard` is set with the last of the news that are expected."""

    def __init__(self, expected: int) -> None:
        self.contexts: list[NewsContext] = []
        self.heard = asyncio.Event()
        self._expected = expected

    @hookimpl
    async def on_news(self, context: NewsContext) -> None:
        self.contexts.append(context)
        if len(self.contexts) == self._expected:
            self.heard.set()


async def store_with(*messages: Message) -> MemoryDriver:
    """Open a store in which these messages were leased, or have expired, an hour ago."""
    driver = MemoryDriver()
    await driver.open()
    await driver.enqueue(messages)
    await driver.reserve({"q": len(messages)}, limit=len(messages), owner="gone", lease=30.0)
    await driver.enqueue([Message(new_id(), "q", "late", b"", expires=5.0)])
    driver.clock_offset += 3600.0
    for lease in (0.000002, 30.0):  # the first call ends the pause that the jump causes
        await driver.reserve({"none": 1}, limit=1, owner="me", lease=lease)
    return driver


async def test_lost_and_expired_messages_are_logged_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lost, dead = (Message(new_id(), "q", "ship", b"", max_lost=most) for most in (3, 0))
    driver = await store_with(lost, dead)
    news = StoreNews(driver, Observers(), "w-1")
    with caplog.at_level(logging.WARNING, "asynctasq"):
        news.drain()
    assert (news.lost, news.dead) == (2, 2)
    texts = sorted(record.getMessage() for record in caplog.records)
    assert len(texts) == 3
    assert "was not renewed; it is ready again" in "\n".join(texts)
    assert "is dead (lost)" in "\n".join(texts)
    assert "of late is dead (expired)" in "\n".join(texts)
    caplog.clear()
    news.drain()
    assert not caplog.records


async def test_many_are_summed_up(caplog: pytest.LogCaptureFixture) -> None:
    messages = [Message(new_id(), "q", "ship", b"") for _ in range(LOGGED_EACH + 9)]
    news = StoreNews(await store_with(*messages), Observers(), "w-1")
    news.drain()
    assert len(caplog.records) == LOGGED_EACH + 1
    assert "10 more tasks" in caplog.text


async def test_observers_receive_each_of_them() -> None:
    recorder = Recorder(expected=2)
    message = Message(new_id(), "q", "ship", b"")
    driver = await store_with(message)
    registry = PluginRegistry()
    registry.register(recorder)
    StoreNews(driver, Observers(registry.hooks()), "w-1").drain()
    await asyncio.wait_for(recorder.heard.wait(), 10.0)
    states = {each.news.task: each.news.state for each in recorder.contexts}
    assert states == {"ship": State.READY, "late": State.DEAD}
    assert {each.worker_id for each in recorder.contexts} == {"w-1"}


async def test_slow_observers_miss_the_oldest(caplog: pytest.LogCaptureFixture) -> None:
    class Slow(Recorder):
        """Ends its first call when it is released."""

        def __init__(self, expected: int) -> None:
            super().__init__(expected)
            self.called = asyncio.Event()
            self.released = asyncio.Event()

        @hookimpl
        async def on_news(self, context: NewsContext) -> None:
            self.called.set()
            await self.released.wait()
            await super().on_news(context)

    slow = Slow(expected=1 + NEWS_KEPT)
    driver = await store_with(*(Message(new_id(), "q", "first", b"") for _ in range(600)))
    registry = PluginRegistry()
    registry.register(slow)
    news = StoreNews(driver, Observers(registry.hooks()), "w-1")
    news.drain()
    await slow.called.wait()
    late = [Message(new_id(), "late", "second", b"", expires=5.0) for _ in range(600)]
    await driver.enqueue(late)
    driver.clock_offset += 3600.0
    for _ in range(10):
        await driver.reserve({"none": 1}, limit=1, owner="me", lease=30.0)
        news.drain()
    assert "are too slow and miss 200 events" in caplog.text
    slow.released.set()
    await asyncio.wait_for(slow.heard.wait(), 10.0)
    assert [each.news.task for each in slow.contexts[-600:]] == ["second"] * 600
