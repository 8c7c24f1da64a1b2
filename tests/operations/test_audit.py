"""Operations are logged and reported to `on_operation`, after they have succeeded."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from asynctasq import App, hookimpl, task
from asynctasq.cli import main
from asynctasq.contracts.capabilities.worker_requests import WorkerRequest
from asynctasq.errors import CapabilityMissing
from asynctasq.hookspecs import OperationContext
from asynctasq.message import State
from asynctasq.operations import RetryOutcome, acting_as
from tests.operations.staging import bury, enqueue, message

UNKNOWN = "0190a9f2-0000-7000-8000-000000000000"


class Watcher:
    """Keeps the operations."""

    def __init__(self) -> None:
        self.contexts: list[OperationContext] = []

    @hookimpl
    async def on_operation(self, context: OperationContext) -> None:
        await asyncio.sleep(0)
        self.contexts.append(context)

    def take(self) -> OperationContext:
        [context] = self.contexts
        self.contexts.clear()
        return context


@pytest.fixture
def watcher(app: App) -> Watcher:
    found = Watcher()
    app.plugins.register(found)
    return found


@task(name="audit.nothing")
async def nothing() -> None: ...


async def test_operations_on_queues(app: App, watcher: Watcher) -> None:
    await app.queues.pause("emails")
    seen = watcher.take()
    assert (seen.what, seen.where, seen.target) == ("queues.pause", "api", {"queue": "emails"})
    assert "@" in seen.who
    assert seen.store == app.store
    await app.queues.resume("emails")
    assert watcher.take().what == "queues.resume"
    await enqueue(app, message(app))
    await app.queues.purge("default")
    seen = watcher.take()
    assert seen.target == {"queue": "default", "states": ["blocked", "ready", "scheduled"]}
    assert seen.counts == {"purged": 1}


async def test_operations_on_tasks_and_dead_letters(app: App, watcher: Watcher) -> None:
    [waiting] = await enqueue(app, message(app, queue="other"))
    await app.tasks.cancel([waiting, UNKNOWN])
    seen = watcher.take()
    assert (seen.what, seen.target) == ("tasks.cancel", {"ids": [waiting, UNKNOWN]})
    assert sum(seen.counts.values()) == 2
    first, second, third = await bury(app, message(app), message(app), message(app))
    await app.dead_letters.retry([first, UNKNOWN])
    seen = watcher.take()
    assert (seen.what, seen.counts) == ("dead_letters.retry", {"retried": 1, "unknown": 1})
    await app.dead_letters.retry_edited(second, priority=7)
    seen = watcher.take()
    assert seen.target == {"ids": [second], "changes": ["priority"]}
    assert seen.counts == {"retried": 1}
    await app.dead_letters.delete([third])
    seen = watcher.take()
    assert (seen.what, seen.counts) == ("dead_letters.delete", {"deleted": 1})


async def test_operations_on_schedules(app: App, watcher: Watcher) -> None:
    await nothing().schedule("nightly", every=3600)
    await app.schedules.pause("nightly")
    assert (watcher.take().what, watcher.contexts) == ("schedules.pause", [])
    await app.schedules.resume("nightly")
    assert watcher.take().what == "schedules.resume"
    task_id = await app.schedules.run_now("nightly")
    assert watcher.take().target == {"schedule": "nightly", "ids": [task_id]}
    await app.schedules.remove("nightly")
    assert watcher.take().what == "schedules.remove"
    await app.schedules.remove("nightly")
    assert watcher.take().counts == {"unknown": 1}


async def test_the_batches_before_an_interruption_are_reported(app: App, watcher: Watcher) -> None:
    ids = await bury(app, *(message(app) for _ in range(201)))

    def interrupt(_: Sequence[RetryOutcome]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await app.dead_letters.retry(ids, on_progress=interrupt)
    seen = watcher.take()
    assert seen.target == {"ids": ids[:200]}
    assert seen.counts == {"retried": 200}


async def test_reads_and_failed_operations_are_not_reported(
    app: App, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    await app.queues.all()
    with pytest.raises(ValueError, match="states must be"):
        await app.queues.purge("default", states=[State.LEASED])
    driver = await app.driver()
    monkeypatch.setattr(type(driver), "capabilities", type(driver.capabilities)(0))
    with pytest.raises(CapabilityMissing):
        await app.queues.pause("default")
    assert watcher.contexts == []


async def test_a_program_can_name_its_user(
    app: App, watcher: Watcher, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="asynctasq.audit")
    with acting_as("alice", where="dashboard"):
        await app.queues.pause("emails")
    seen = watcher.take()
    assert (seen.who, seen.where) == ("alice", "dashboard")
    [line] = caplog.messages
    assert line == "alice (dashboard): queues.pause queue=emails"
    ids = await bury(app, *(message(app) for _ in range(7)))
    await app.dead_letters.delete(ids)
    assert caplog.messages[-1].endswith(f"{ids[4]} and 2 more deleted=7")


async def test_an_observer_that_raises_changes_nothing(app: App) -> None:
    class Broken:
        @hookimpl
        def on_operation(self, context: OperationContext) -> None:
            raise LookupError

    app.plugins.register(Broken())
    await app.queues.pause("emails")
    assert await app.queues.paused() == frozenset(["emails"])


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/queue.db"

    async def make() -> None:
        async with App({"driver": url}) as app:
            await enqueue(app, message(app, task="shop:pay"))

    asyncio.run(make())
    return url


def test_the_command_line_is_named(store_url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="asynctasq.audit")
    done = CliRunner().invoke(main, ["queues", "pause", "default", "--driver", store_url])
    assert done.exit_code == 0, done.output
    [line] = caplog.messages
    assert line.endswith("(cli): queues.pause queue=default")


async def test_calls_for_many_tasks_are_reported_once_with_their_filter(
    app: App, watcher: Watcher
) -> None:
    for _ in range(3):
        await enqueue(app, message(app, queue="mail"))
    await app.tasks.move_all("sms", queue="mail")
    seen = watcher.take()
    assert seen.what == "tasks.move_all"
    assert seen.target == {
        "states": ["ready", "scheduled"],
        "queue": "mail",
        "new_queue": "sms",
    }
    assert seen.counts == {"done": 3, "interrupted": 0, "skipped": 0, "failed": 0}
    await app.tasks.cancel_all(everything=True)
    seen = watcher.take()
    assert (seen.what, seen.counts["done"]) == ("tasks.cancel_all", 3)
    await app.tasks.cancel_all(everything=True)
    assert not watcher.contexts, "nothing was done"
    await app.request_workers(["w"], WorkerRequest.QUIET)
    seen = watcher.take()
    assert (seen.what, seen.counts) == ("workers.quiet", {"followed": 0})
