"""Awaiting outcomes: handles share their looks at the store, and each ends as it should."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from asynctasq import App, State, task
from asynctasq.app import runtime_of
from asynctasq.contracts.capabilities import SupportsResults
from asynctasq.dispatch.result_watcher import GROUP_SIZE, ResultWatcher, WatchTiming
from asynctasq.errors import DriverError, ResultTimeout, ResultUnknown
from asynctasq.message import id_from_text, id_to_text, new_id
from asynctasq.settlement import Complete
from tests.worker.faulty_driver import FaultyDriver, Line

PATIENCE = 10.0
NEVER = 1e9
ONLY_HINTS = WatchTiming(poll=NEVER, check=NEVER, phase=0.0)
"""With it, no poll is due in the first thirty years after the machine has started."""


@task
async def never_run(number: int) -> int:
    return number


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """For how many ids the store is asked, by method."""
    found: Counter[str] = Counter()

    def count(name: str) -> None:
        method: Any = getattr(FaultyDriver, name)

        async def counted(driver: FaultyDriver, ids: Any, **options: Any) -> Any:
            found[name] += len(ids)
            return await method(driver, ids, **options)

        monkeypatch.setattr(FaultyDriver, name, counted)

    for name in ("results", "wait_results", "known"):
        count(name)
    return found


async def finish(app: App, count: int) -> None:
    """Complete so many messages, each with its argument as the result."""
    driver = await app.driver()
    deliveries = await driver.reserve({"default": count}, limit=count, owner="me", lease=100.0)
    assert len(deliveries) == count
    settlements = []
    for delivery in deliveries:
        args, _ = runtime_of(app).codec.decode_arguments(
            runtime_of(app).codec.open_call(delivery.message.body)
        )
        settlements.append(Complete(delivery.lease, runtime_of(app).codec.encode_result(args[0])))
    await driver.settle(settlements)


async def watcher_of(app: App, timing: WatchTiming) -> ResultWatcher:
    """Return a watcher for results in the store of an app."""
    driver = await app.driver()
    assert isinstance(driver, SupportsResults)
    return ResultWatcher(driver, timing)


async def awaited(watcher: ResultWatcher, app: App, task_id: str) -> object:
    """Wait for a result without a timeout."""
    outcome = await watcher.outcome(id_from_text(task_id), timeout=None)
    assert outcome.result is not None
    return runtime_of(app).codec.decode_result(outcome.result)


async def test_many_handles_share_their_looks(app: App, line: Line) -> None:
    count = 500
    handles = await app.dispatch_many([never_run(number) for number in range(count)])
    watcher = await watcher_of(app, ONLY_HINTS)
    awaiting = [asyncio.create_task(awaited(watcher, app, handle)) for handle in handles]
    await line.called("wait_results", 1)
    looks = line.calls["results"]
    assert looks <= 4
    await finish(app, count)
    async with asyncio.timeout(PATIENCE):
        assert await asyncio.gather(*awaiting) == list(range(count))
    assert line.calls["results"] - looks <= 4
    await watcher.close()


async def test_an_outcome_costs_the_same_however_many_are_awaited(
    app: App, line: Line, asked: Counter[str]
) -> None:
    count = 20 * GROUP_SIZE
    handles = await app.dispatch_many([never_run(number) for number in range(count)])
    watcher = await watcher_of(app, ONLY_HINTS)
    awaiting = [asyncio.create_task(awaited(watcher, app, handle)) for handle in handles]
    await line.called("wait_results", 20)
    assert asked == {"results": count, "wait_results": count}
    await finish(app, 1)
    async with asyncio.timeout(PATIENCE):
        assert await awaiting[0] == 0
        late = await never_run(count).dispatch()
        awaiting.append(asyncio.create_task(awaited(watcher, app, late)))
        await line.called("wait_results")
    few = 2 * GROUP_SIZE
    assert asked["results"] <= count + few
    assert asked["wait_results"] <= count + few
    assert asked["known"] == 0
    await finish(app, count)
    async with asyncio.timeout(PATIENCE):
        assert await asyncio.gather(*awaiting) == list(range(count + 1))
    await watcher.close()


async def test_a_hint_that_does_not_come_is_made_good(
    app: App, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def get_no_hint(_: FaultyDriver, ids: object, *, timeout: float) -> None:
        line.calls["wait_results"] += 1
        await asyncio.sleep(timeout)

    monkeypatch.setattr(FaultyDriver, "wait_results", get_no_hint)
    handle = await never_run(1).dispatch()
    waiting = asyncio.create_task(handle.result(timeout=PATIENCE))
    await line.called("results", 2)
    await finish(app, 1)
    assert await waiting == 1


async def test_a_result_that_is_there_needs_no_waiting(app: App, line: Line) -> None:
    handle = await never_run(1).dispatch()
    await finish(app, 1)
    assert await handle.result(timeout=0.5) == 1
    assert line.calls["wait_results"] == 0
    assert await handle.result() == 1


async def test_two_who_await_the_same_task_both_learn_of_it(app: App, line: Line) -> None:
    handle = await never_run(1).dispatch()
    again = app.handle(handle)
    awaiting = [asyncio.create_task(each.result(timeout=PATIENCE)) for each in (handle, again)]
    await line.called("wait_results")
    await finish(app, 1)
    assert await asyncio.gather(*awaiting) == [1, 1]


async def test_one_who_comes_later_is_not_kept_waiting(app: App, line: Line) -> None:
    first = await never_run(1).dispatch()
    waiting = asyncio.create_task(first.result(timeout=PATIENCE))
    await line.called("wait_results")
    second = app.handle(id_to_text(new_id()))
    with pytest.raises(ResultUnknown, match=str(second)):
        await second.result(timeout=PATIENCE)
    assert not waiting.done()
    await finish(app, 1)
    assert await waiting == 1


async def test_a_timeout_ends_the_waiting_and_not_the_task(app: App) -> None:
    handle = await never_run(1).dispatch()
    with pytest.raises(ResultTimeout, match="continues") as caught:
        await handle.result(timeout=0.01)
    assert isinstance(caught.value, TimeoutError)
    assert await handle.status() is State.READY
    await finish(app, 1)
    assert await handle.result(timeout=PATIENCE) == 1


async def test_giving_up_leaves_nothing_behind(app: App, line: Line) -> None:
    handle = await never_run(1).dispatch()
    watcher = await watcher_of(app, WatchTiming())
    waiting = asyncio.create_task(watcher.outcome(id_from_text(handle), timeout=None))
    await line.called("wait_results")
    assert watcher.awaited == 1
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert watcher.awaited == 0
    await watcher.close()


async def test_a_task_that_never_was_is_unknown(app: App) -> None:
    handle = app.handle(id_to_text(new_id()))
    for ask in (handle.result(timeout=PATIENCE), handle.status()):
        with pytest.raises(ResultUnknown, match=str(handle)):
            await ask


async def test_an_unknown_task_is_reported_at_once(app: App, line: Line) -> None:
    with pytest.raises(ResultUnknown):
        await app.handle(id_to_text(new_id())).result()
    assert line.calls["wait_results"] == 0


async def test_a_task_that_this_program_dispatched_is_not_checked(app: App, line: Line) -> None:
    handle = await never_run(1).dispatch()
    waiting = asyncio.create_task(handle.result(timeout=PATIENCE))
    await line.called("wait_results")
    await finish(app, 1)
    await waiting
    assert line.calls["known"] == 0


async def test_a_task_that_is_purged_while_awaited_is_unknown(app: App, line: Line) -> None:
    handle = await never_run(1).dispatch()
    watcher = await watcher_of(app, WatchTiming(poll=0.05, check=0.05))
    waiting = asyncio.create_task(awaited(watcher, app, handle))
    await line.called("known")
    driver: Any = await app.driver()
    assert await driver.purge("default", states={State.READY}) == 1
    with pytest.raises(ResultUnknown):
        await waiting
    await watcher.close()


@pytest.mark.parametrize("method", ["results", "wait_results", "known"])
async def test_an_outage_while_awaiting_is_outlived(app: App, line: Line, method: str) -> None:
    handle = await never_run(1).dispatch()
    line.fail(method, 2)
    waiting = asyncio.create_task(app.handle(handle).result(timeout=PATIENCE))
    await line.failed(method, 1)
    await finish(app, 1)
    assert await waiting == 1


@pytest.mark.parametrize("error", [lambda: DriverError("no"), lambda: KeyError("a mistake")])
async def test_what_will_not_pass_is_told(app: App, line: Line, error: Any) -> None:
    handle = await never_run(1).dispatch()
    line.fail("results", error=error)
    with pytest.raises(type(error())):
        await handle.result(timeout=PATIENCE)
    await finish(app, 1)
    assert await handle.result(timeout=PATIENCE) == 1


async def test_closing_the_app_tells_those_who_wait(app: App, line: Line) -> None:
    handle = await never_run(1).dispatch()
    waiting = asyncio.create_task(handle.result())
    await line.called("wait_results")
    await app.close()
    with pytest.raises(DriverError, match="closed"):
        await waiting


async def test_an_app_that_was_closed_opens_again(app: App) -> None:
    handle = await never_run(1).dispatch()
    await app.close()
    assert not app.is_open
    assert await handle.status() is State.READY
    assert app.is_open
