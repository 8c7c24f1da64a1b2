"""The default app, explicit apps, and drivers of single tasks."""

import ast
import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

import asynctasq
from asynctasq import App, AsyncTask, Worker, task
from asynctasq.contracts.driver import QueueCounts
from asynctasq.default import current_app, existing_default
from asynctasq.drivers.memory import MemoryDriver
from asynctasq.drivers.sqlite import SqliteDriver
from asynctasq.errors import ConfigurationError, PluginError, PluginNotFound
from tests.tasks.counting import CountingDriver
from tests.tasks.store import messages, opened, work


@task
async def note(number: int) -> int:
    return number


# The default app.


async def test_without_init_the_default_is_a_file_in_the_current_folder(tmp_path: Path) -> None:
    await note(1).dispatch()
    assert (tmp_path / "asynctasq.db").is_file()
    assert asynctasq.default_app().settings.driver_name == "sqlite"
    await asynctasq.close()


def test_the_log_names_the_store_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "asynctasq")
    asynctasq.init()

    async def program() -> None:
        await note(1).dispatch()
        await asynctasq.close()

    asyncio.run(program())
    asyncio.run(program())
    told = [line for line in caplog.messages if line.startswith("Using store")]
    assert told == [f"Using store {tmp_path / 'asynctasq.db'}"]


async def test_an_equal_init_does_nothing(app: App) -> None:
    await note(1).dispatch()
    assert asynctasq.init({"driver": "memory"}) is app
    assert len(await messages(app)) == 1


def test_a_second_init_replaces_an_app_that_is_not_open() -> None:
    first = asynctasq.init({"driver": "memory"})
    second = asynctasq.init({"driver": "memory", "default_queue": "other"})
    assert asynctasq.default_app() is second
    assert second is not first


async def test_a_different_init_of_an_open_app_is_an_error(app: App) -> None:
    await note(1).dispatch()
    with pytest.raises(ConfigurationError, match="while the default app is open on memory"):
        asynctasq.init({"driver": "sqlite"})
    assert asynctasq.default_app() is app
    await asynctasq.close()
    assert asynctasq.init({"driver": "sqlite"}) is asynctasq.default_app()


async def test_a_different_init_in_a_running_worker_is_an_error(app: App) -> None:
    @task(max_attempts=1)
    async def again() -> str:
        asynctasq.init({"driver": "memory"})
        with pytest.raises(ConfigurationError, match="open"):
            asynctasq.init({"driver": "sqlite"})
        return "refused"

    handle = await again().dispatch()
    await work(app)
    assert await handle.result(timeout=5) == "refused"


async def test_that_holds_for_a_worker_with_a_driver_of_its_own_too(app: App) -> None:
    @task(max_attempts=1)
    async def again() -> str:
        with pytest.raises(ConfigurationError, match="open"):
            asynctasq.init({"driver": "sqlite"})
        return "refused"

    driver = MemoryDriver()
    other = App({"driver": driver})
    async with other:
        handle = await other.dispatch(again())
        await app.close()
        await Worker(queue_driver=driver, app=app, burst=True, handle_signals=False).start()
        assert await handle.result(timeout=5) == "refused"
    assert asynctasq.init({"driver": "sqlite"}) is not app  # the worker has ended


def test_a_wrong_init_leaves_the_default_as_it_was() -> None:
    app = asynctasq.init({"driver": "memory"})
    with pytest.raises(PluginNotFound, match="nowhere"):
        asynctasq.init({"driver": "nowhere"})
    with pytest.raises(ConfigurationError, match="did you mean driver"):
        asynctasq.init({"drivr": "sqlite"})
    assert asynctasq.default_app() is app


async def test_close_is_idempotent_and_a_closed_app_opens_again(app: App) -> None:
    await app.close()
    await note(1).dispatch()
    await asynctasq.close()
    await asynctasq.close()
    await note(2).dispatch()
    assert len(await messages(app)) == 2


# Explicit apps.


async def test_inside_an_app_dispatches_go_there(app: App) -> None:
    async with App({"driver": "memory"}) as other:
        assert current_app() is other
        inner = await note(1).dispatch()
        async with App({"driver": "memory"}) as third:
            await note(2).dispatch()
            assert len(await messages(third)) == 1
        await asynctasq.dispatch_many([note(3)])
        assert len(await messages(other)) == 2
        await work(other)
        assert await asynctasq.handle(inner).result(timeout=5) == 1
    await note(4).dispatch()
    assert len(await messages(app)) == 1


async def test_apps_entered_side_by_side_do_not_mix() -> None:
    both_in = asyncio.Barrier(2)

    async def use(number: int) -> int:
        async with App({"driver": "memory"}) as own:
            await both_in.wait()
            await note(number).dispatch()
            assert len(await messages(own)) == 1
            await work(own)
            await both_in.wait()
        return number

    assert list(await asyncio.gather(use(1), use(2))) == [1, 2]


async def test_an_inner_block_leaves_the_app_open() -> None:
    async with App({"driver": "memory"}) as other:
        async with other:
            await note(1).dispatch()
        assert other.is_open
        await note(2).dispatch()
        assert len(await messages(other)) == 2
    assert not other.is_open


async def test_an_app_works_without_being_entered(app: App) -> None:
    async with opened(App({"driver": "memory"})) as other:
        handle = await other.dispatch(note(5))
        assert not await messages(app)
        await work(other)
        assert await handle.result(timeout=5) == 5
        assert await other.handle(handle).result(timeout=5) == 5


async def test_tasks_that_a_worker_runs_dispatch_to_its_app(app: App) -> None:
    @task
    async def parent() -> str:
        return await note(7).dispatch()

    @task
    def sync_parent() -> str:
        return note(8).dispatch_sync()

    async with opened(App({"driver": "memory"})) as other:
        handles = [await other.dispatch(parent()), await other.dispatch(sync_parent())]
        await work(other)
        children = [other.handle(await handle.result(timeout=5)) for handle in handles]
        assert [await child.result(timeout=5) for child in children] == [7, 8]
        assert not await messages(app)


# Several loops.


def test_programs_with_several_loops_in_a_row(tmp_path: Path) -> None:
    asynctasq.init({"driver": "sqlite"})

    async def dispatch(number: int) -> asynctasq.Handle[int]:
        return await note(number).dispatch()

    handles = [asyncio.run(dispatch(number)) for number in range(3)]

    async def run() -> list[int]:
        await Worker(burst=True, handle_signals=False).start()
        return [await handle.result(timeout=5) for handle in handles]

    assert asynctasq.run(run()) == [0, 1, 2]


def test_an_app_left_open_by_a_loop_may_be_replaced() -> None:
    asynctasq.init({"driver": "sqlite"})

    async def dispatch() -> None:
        await note(1).dispatch()

    asyncio.run(dispatch())
    app = asynctasq.init({"driver": "memory"})
    asynctasq.run(dispatch())
    assert asynctasq.default_app() is app


def test_run_returns_closes_and_passes_errors_on() -> None:
    app = asynctasq.init({"driver": "memory"})

    async def fine() -> int:
        await note(1).dispatch()
        assert app.is_open
        return 5

    async def broken() -> None:
        await note(1).dispatch()
        raise LookupError("mine")

    assert asynctasq.run(fine()) == 5
    assert not app.is_open
    with pytest.raises(LookupError, match="mine"):
        asynctasq.run(broken())
    assert not app.is_open


# Drivers of single tasks.


async def counts(driver: Any, queue: str = "default") -> QueueCounts:
    """Return the counts of the store of an unopened driver."""
    clone = driver.clone()
    await clone.open()
    try:
        counted: QueueCounts = await clone.count(queue)
        return counted
    finally:
        await clone.close()


async def test_driver_of_a_function_task_by_name_url_and_instance(app: App, tmp_path: Path) -> None:
    instance = CountingDriver()
    url = f"sqlite:///{tmp_path / 'other.db'}"

    @task(driver="sqlite")
    async def by_name() -> str:
        return "by name"

    @task(driver=url)
    async def by_url() -> str:
        return "by url"

    @task(driver=instance)
    async def by_instance() -> str:
        return "by instance"

    handles = [await call.dispatch() for call in (by_name(), by_url(), by_instance(), note(1))]
    assert len(await messages(app)) == 1
    stores: list[Any] = [SqliteDriver(), SqliteDriver(tmp_path / "other.db"), instance]
    assert [(await counts(store)).ready for store in stores] == [1, 1, 1]
    for store in stores:
        await work(app, driver=store.clone())
    await work(app)
    found = [await handle.result(timeout=5) for handle in handles]
    assert found == ["by name", "by url", "by instance", 1]


async def test_driver_of_a_class_task(app: App) -> None:
    driver = CountingDriver()

    class Elsewhere(AsyncTask[int]):
        _driver_override = driver

        async def execute(self) -> int:
            return 1

    class Child(Elsewhere):
        pass

    await Elsewhere().dispatch()
    await Child().dispatch()
    assert (await counts(driver)).ready == 2
    assert not await messages(app)


async def test_driver_is_resolved_at_dispatch_never_before(app: App) -> None:
    @task(driver="not-installed")
    async def lost() -> None: ...

    @task(driver=5)
    async def wrong() -> None: ...

    call = lost()
    with pytest.raises(PluginNotFound, match="not-installed"):
        await call.dispatch()
    with pytest.raises(PluginError):
        await wrong().dispatch()
    assert app.settings.driver_name == "memory"
    await note(1).dispatch()


async def test_an_override_changes_nothing_for_other_tasks_and_is_closed(app: App) -> None:
    closed: list[object] = []

    class Closing(CountingDriver):
        async def close(self) -> None:
            closed.append(self)
            await super().close()

    driver = Closing()

    @task(driver=driver)
    async def elsewhere() -> None: ...

    await asyncio.gather(*(elsewhere().dispatch() for _ in range(10)))
    await note(1).dispatch()
    assert len(driver.chunks) == 1
    assert len(await messages(app)) == 1
    await app.close()
    assert len(closed) == 1
    assert closed[0] is not driver  # an opened clone


async def test_a_worker_warns_of_tasks_that_go_elsewhere(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    @task(driver="sqlite", name="goes-elsewhere")
    async def elsewhere() -> None: ...

    await work(app)
    assert "Task goes-elsewhere is dispatched to another driver (sqlite)" in caplog.text


@pytest.mark.parametrize("given", [note(1), note, 5], ids=["call", "task", "number"])
def test_only_a_coroutine_can_be_run(given: Any) -> None:
    with pytest.raises(TypeError, match=r"must be a coroutine"):
        asynctasq.run(given)


def test_settings_that_are_not_a_dict_are_refused_without_showing_their_secrets() -> None:
    with pytest.raises(ConfigurationError, match=r"Settings must be a dict.*, got str\.$"):
        App("redis://user:secret@host")  # type: ignore[arg-type]  # what it is about


@pytest.mark.parametrize("given", ["sqlite", SqliteDriver], ids=["name", "class"])
def test_a_worker_takes_a_driver_and_neither_its_name_nor_its_class(given: Any) -> None:
    with pytest.raises(PluginError, match="must be an instance"):
        Worker(queue_driver=given)


def test_what_is_no_id_is_named(app: App) -> None:
    for wrong in ("abc", "", 5, None):
        with pytest.raises(ValueError, match=f"task id must be a UUID, got {wrong!r}"):
            app.handle(wrong)  # type: ignore[arg-type]  # on purpose


class Literals:
    """A serializer for constants."""

    content_type = "literals"

    def dumps(self, value: object, *, refer: object) -> bytes:
        return repr(value).encode()

    def loads(self, data: bytes, *, models: object = ()) -> Any:
        return ast.literal_eval(data.decode())


async def test_a_serializer_of_the_applications_own_is_given_as_an_instance() -> None:
    async with App({"driver": "memory", "serializer": Literals()}) as app:
        handle = await note(5).dispatch()
        [message] = await messages(app)
        assert b"literals" in message.body
        assert message.body.endswith(b"[[5], {}]")
        await work(app)
        assert await handle.result(timeout=5) == 5


def test_a_serializer_that_nobody_has_names_the_way_out() -> None:
    with pytest.raises(PluginNotFound, match="pass an instance of it as the setting"):
        App({"driver": "memory", "serializer": "literals"})


async def test_a_driver_instance_for_the_whole_app() -> None:
    driver = CountingDriver()
    async with App({"driver": driver}) as app:
        handle = await note(1).dispatch()
        await work(app)
        assert await handle.result(timeout=5) == 1
    assert len(driver.chunks) == 1


async def test_a_worker_serves_the_app_of_the_enclosing_block() -> None:
    @task
    async def where() -> str:
        return current_app().store

    async with App({"driver": "memory"}) as app:
        handle = await where.dispatch()
        await Worker(burst=True, handle_signals=False).start()
        assert await handle.result(timeout=30) == app.store
    assert existing_default() is None


def test_an_app_in_the_place_of_a_workers_driver_is_refused_with_the_remedy() -> None:
    app: Any = App({"driver": "memory"})
    with pytest.raises(ConfigurationError, match=r"Pass the app by name: app=\.\.\."):
        Worker(app)
