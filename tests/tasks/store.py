"""Looking into the store of an app, and running what is in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from asynctasq import App, BaseTask, Worker
from asynctasq.app import runtime_of
from asynctasq.contracts.capabilities import Snapshot, SupportsInspect
from asynctasq.contracts.driver import Driver
from asynctasq.message import Message, State, id_to_text
from asynctasq.retry import RunPolicy


async def snapshots(app: App) -> list[Snapshot]:
    """Return the waiting messages in the store of an app, in the order of dispatch."""
    driver = await app.driver()
    assert isinstance(driver, SupportsInspect)
    found: list[Snapshot] = []
    for state in (State.SCHEDULED, State.READY):
        cursor: str | None = None
        while True:
            page = await driver.browse(state, limit=1000, cursor=cursor)
            found += page.items
            cursor = page.cursor
            if cursor is None:
                break
    return sorted(found, key=lambda each: each.message.id)


async def messages(app: App) -> list[Message]:
    return [each.message for each in await snapshots(app)]


async def message_of(app: App, task: BaseTask[Any]) -> Message:
    """Dispatch a task and show the message."""
    handle = await task.dispatch()
    [message] = [each for each in await messages(app) if id_to_text(each.id) == handle]
    return message


def policy_of(app: App, message: Message) -> RunPolicy:
    return runtime_of(app).codec.open_call(message.body).policy


async def work(app: App, *, driver: Driver | None = None, queues: list[str] | None = None) -> None:
    """Run everything that is ready, and what comes of it."""
    await Worker(driver, app=app, burst=True, queues=queues, handle_signals=False).start()


@asynccontextmanager
async def opened(app: App) -> AsyncIterator[App]:
    """Open an app that is not the current one, and close it at the end."""
    try:
        await app.open()
        yield app
    finally:
        await app.close()
