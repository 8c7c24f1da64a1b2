"""`wrap_dispatch` surrounds each enqueue in the context of its caller, and may add headers."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

import pytest

from asynctasq import App, hookimpl, task
from asynctasq.errors import DispatchError, DriverUnavailable, MessageTooLarge
from asynctasq.hookspecs import DispatchBatch, DispatchContext
from asynctasq.message import Message, id_from_text
from asynctasq.tasks.base import BaseTask
from tests.worker.faulty_driver import Line

caller: ContextVar[str] = ContextVar("caller", default="nobody")
span: ContextVar[str] = ContextVar("span", default="none")


class Tracer:
    """Adds the caller to the headers, and notes each batch with its error."""

    def __init__(self) -> None:
        self.batches: list[tuple[list[str], bool, BaseException | None]] = []

    @hookimpl
    @contextmanager
    def wrap_dispatch(self, batch: DispatchBatch) -> Iterator[None]:
        span.set("of the batch")
        for each in batch.messages:
            each.headers["caller"] = caller.get()
        names = [f"{each.message.queue}/{each.message.task}" for each in batch.messages]
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            self.batches.append((names, batch.in_transaction, error))


class After:
    """Keeps the messages of `after_dispatch`."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    @hookimpl
    def after_dispatch(self, context: DispatchContext) -> None:
        self.messages.append(context.message)


@task(name="wrapped.nothing")
async def nothing() -> None: ...


ONE = "default/wrapped.nothing"


async def headers(app: App, *task_ids: str) -> list[dict[str, str]]:
    driver = await app.driver()
    found = await driver.find([id_from_text(each) for each in task_ids])  # type: ignore[attr-defined]  # INSPECT
    return [dict(each.message.headers) for each in found]


async def test_each_dispatch_is_a_batch_in_the_context_of_its_caller(app: App) -> None:
    tracer, after = Tracer(), After()
    app.plugins.register(tracer)
    app.plugins.register(after)

    async def send(name: str) -> str:
        caller.set(name)
        return await nothing().options(headers={"own": "1"}).dispatch()

    ids = await asyncio.gather(send("a"), send("b"))  # one enqueue
    assert await headers(app, *ids) == [{"own": "1", "caller": "a"}, {"own": "1", "caller": "b"}]
    assert tracer.batches == [([ONE], False, None)] * 2
    assert [each.headers["caller"] for each in after.messages] == ["a", "b"]


async def test_a_chunk_of_many_is_one_batch(app: App) -> None:
    tracer, after = Tracer(), After()
    app.plugins.register(tracer)
    app.plugins.register(after)
    spans: set[str] = set()

    def tasks() -> Iterator[BaseTask[None]]:
        for _ in range(1001):
            spans.add(span.get())
            yield nothing()

    caller.set("many")
    ids = await app.dispatch_many(tasks())
    assert [len(names) for names, _, _ in tracer.batches] == [1000, 1]
    assert await headers(app, ids[0], ids[-1]) == [{"caller": "many"}] * 2
    assert {each.headers["caller"] for each in after.messages} == {"many"}
    assert spans == {"none"}


async def test_the_error_of_the_store_is_seen(app: App, line: Line) -> None:
    tracer = Tracer()
    app.plugins.register(tracer)
    line.fail("enqueue", 1000)
    for sending in (nothing().dispatch(), app.dispatch_many([nothing()])):
        with pytest.raises(DriverUnavailable):
            await sending
    assert [type(error) for _, _, error in tracer.batches] == [DriverUnavailable] * 2


async def test_code_without_a_loop_has_its_own_context(app: App) -> None:
    tracer = Tracer()
    app.plugins.register(tracer)
    caller.set("sync")
    task_id = await asyncio.to_thread(nothing().dispatch_sync)
    assert await headers(app, task_id) == [{"caller": "sync"}]
    assert tracer.batches == [([ONE], False, None)]


@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_dispatch_in_a_transaction_is_a_batch(tmp_path: Path, in_thread: bool) -> None:
    tracer = Tracer()
    async with App({"driver": f"sqlite:///{tmp_path}/queue.db"}) as app:
        app.plugins.register(tracer)
        await app.driver()  # makes the tables
        caller.set("work")

        def work() -> str:
            with closing(sqlite3.connect(tmp_path / "queue.db")) as connection:
                connection.execute("BEGIN IMMEDIATE")
                task_id = nothing().dispatch_sync(transaction=connection)
                connection.commit()
                return task_id

        if in_thread:
            task_id: str = await asyncio.to_thread(work)
        else:
            with closing(sqlite3.connect(tmp_path / "queue.db")) as connection:
                connection.execute("BEGIN IMMEDIATE")
                task_id = await nothing().dispatch(transaction=connection)
                await app.dispatch_many([nothing()], transaction=connection)
                connection.commit()
        assert await headers(app, task_id) == [{"caller": "work"}]
    assert tracer.batches == [([ONE], True, None)] * (1 if in_thread else 2)


async def test_errors_of_hooks_change_nothing(app: App, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        @hookimpl
        @contextmanager
        def wrap_dispatch(self, batch: DispatchBatch) -> Iterator[None]:
            if raises_before:
                raise LookupError("before")
            yield
            raise LookupError("after")

    class Swallowing:
        @hookimpl
        @contextmanager
        def wrap_dispatch(self, batch: DispatchBatch) -> Iterator[None]:
            with suppress(Exception):
                yield

    class Nothing:
        @hookimpl
        def wrap_dispatch(self, batch: DispatchBatch) -> None:
            return None

    tracer = Tracer()
    for plugin in (Broken(), Swallowing(), Nothing(), tracer):
        app.plugins.register(plugin)
    for raises_before in (True, False):  # noqa: B007  Broken reads it
        assert await headers(app, await nothing().dispatch()) == [{"caller": "nobody"}]
    assert caplog.text.count("raised in wrap_dispatch; tasks are not affected") == 2
    assert [error for _, _, error in tracer.batches] == [None, None]


async def test_an_error_cannot_be_swallowed(app: App, line: Line) -> None:
    class Swallowing:
        @hookimpl
        @contextmanager
        def wrap_dispatch(self, batch: DispatchBatch) -> Iterator[None]:
            try:
                yield
            except DriverUnavailable:
                seen.append("seen")

    seen: list[str] = []
    app.plugins.register(Swallowing())
    line.fail("enqueue", 1000)
    with pytest.raises(DriverUnavailable):
        await nothing().dispatch()
    assert seen == ["seen"]


@pytest.mark.parametrize("error", [DispatchError, MessageTooLarge])
@pytest.mark.parametrize("many", [False, True])
async def test_wrong_headers_are_refused(app: App, error: type[Exception], many: bool) -> None:
    value = 5 if error is DispatchError else "x" * app.settings.max_message_bytes

    class Wrong:
        @hookimpl
        def wrap_dispatch(self, batch: DispatchBatch) -> None:
            batch.messages[0].headers["wrong"] = value  # type: ignore[assignment]  # or too long

    app.plugins.register(Wrong())
    with pytest.raises(error):
        await (app.dispatch_many([nothing()]) if many else nothing().dispatch())
    assert (await app.queues.count("default")).ready == 0
