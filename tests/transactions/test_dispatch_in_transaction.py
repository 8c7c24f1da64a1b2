"""Dispatches in a transaction of the application, with each client."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

import asynctasq
from asynctasq import Handle, State, Worker, current_task, hookimpl, task
from asynctasq.errors import LeaseLost, ResultUnknown, TransactionError
from asynctasq.hookspecs import SettledContext
from asynctasq.message import CancelOutcome
from asynctasq.settlement import SettlementKind
from tests.transactions.clients import RollBack
from tests.transactions.conftest import Shop


@task
async def ship(number: int) -> int:
    return number


@pytest.mark.every_client
async def test_task_appears_with_the_work_at_the_commit(shop: Shop) -> None:
    async with shop.client.transaction() as transaction:
        await shop.client.insert(transaction, 7)
        handle = await ship(7).dispatch(transaction=transaction)
        assert await shop.waiting() == 0
        with pytest.raises(ResultUnknown):
            await handle.result(timeout=30)
    assert await shop.orders() == [7]
    assert await handle.status() is State.READY
    await Worker(app=shop.app, burst=True, handle_signals=False).start()
    assert await handle.result(timeout=30) == 7


@pytest.mark.every_client
async def test_rollback_leaves_nothing(shop: Shop) -> None:
    handles: list[Handle[int]] = []
    with suppress(RollBack):
        async with shop.client.transaction() as transaction:
            await shop.client.insert(transaction, 7)
            dispatched = ship(7).options(unique="order 7")
            handles.append(await dispatched.dispatch(transaction=transaction))
            raise RollBack
    assert await shop.orders() == []
    assert await shop.waiting() == 0
    with pytest.raises(ResultUnknown):
        await handles[0].status()
    again = await ship(7).options(unique="order 7").dispatch()
    assert again.created


async def test_block_applies_to_every_call(shop: Shop) -> None:
    other = await ship(0).dispatch()
    async with shop.client.transaction() as transaction, asynctasq.transaction(transaction):
        await shop.client.insert(transaction, 1)
        handle = await ship(1).dispatch()
        many = await asynctasq.dispatch_many(ship(number) for number in range(2, 5))
        assert await handle.status() is State.READY
        assert await other.cancel() is CancelOutcome.CANCELLED
        with pytest.raises(TransactionError, match="after its transaction"):
            await handle.result(timeout=30)
    assert await shop.waiting() == 4
    assert await other.status() is State.CANCELLED
    await Worker(app=shop.app, burst=True, handle_signals=False).start()
    assert [await each.result(timeout=30) for each in (handle, *many)] == [1, 2, 3, 4]


async def test_cancel_counts_only_after_the_commit(shop: Shop) -> None:
    handle = await ship(1).dispatch()
    with suppress(RollBack):
        async with shop.client.transaction() as transaction:
            assert await handle.cancel(transaction=transaction) is CancelOutcome.CANCELLED
            assert await handle.status(transaction=transaction) is State.CANCELLED
            raise RollBack
    assert await handle.status() is State.READY


async def test_known_id_and_held_key_add_nothing_and_keep_the_work(shop: Shop) -> None:
    first = await ship(1).options(unique="one").dispatch()
    async with shop.client.transaction() as transaction:
        await shop.client.insert(transaction, 1)
        held = await ship(1).options(unique="one").dispatch(transaction=transaction)
        known = await ship(1).options(id=first).dispatch(transaction=transaction)
        assert (held.created, known.created) == (False, False)
        assert held == known == first
        many = await asynctasq.dispatch_many(
            [ship(2).options(id=first), ship(3)], transaction=transaction
        )
        assert [each.created for each in many] == [False, True]
    assert await shop.orders() == [1]
    assert await shop.waiting() == 2


async def test_connection_without_a_transaction_is_refused(shop: Shop) -> None:
    try:
        idle = shop.client.idle()
    except NotImplementedError:
        return  # the client has no connections outside of transactions
    async with idle as connection:
        with pytest.raises(TransactionError, match="Begin one, as in"):
            await ship(1).dispatch(transaction=connection)
    assert await shop.waiting() == 0


async def test_other_tasks_and_threads_cannot_use_the_block(shop: Shop) -> None:
    async with shop.client.transaction() as transaction, asynctasq.transaction(transaction):
        with pytest.raises(TransactionError, match="the task or thread that entered"):
            await asyncio.create_task(ship(1).dispatch())
        with pytest.raises(TransactionError, match="the task or thread that entered"):
            await asyncio.to_thread(ship(1).dispatch_sync)
        await ship(2).dispatch()
    assert await shop.waiting() == 1


async def test_completion_commits_with_the_work(shop: Shop) -> None:
    async def work(number: int) -> None:
        async with shop.client.transaction() as transaction:
            await shop.client.insert(transaction, number)
            await current_task().complete(transaction=transaction, result="done")
            assert await shop.orders() == []

    class Ends:
        @hookimpl
        def on_settled(self, context: SettledContext) -> None:
            ends.append((context.kind, context.applied))

    ends: list[tuple[SettlementKind, bool | None]] = []
    shop.app.plugins.register(Ends())
    handle = await perform(work, 5).dispatch()
    await Worker(app=shop.app, burst=True, handle_signals=False).start()
    assert await handle.result(timeout=30) == "done"
    assert await shop.orders() == [5]
    assert ends == [(SettlementKind.COMPLETED, True)]


async def test_completion_that_is_rolled_back_is_retried(shop: Shop) -> None:
    attempts: list[int] = []

    async def work(number: int) -> None:
        attempts.append(current_task().attempt)
        async with shop.client.transaction() as transaction:
            await shop.client.insert(transaction, number)
            await current_task().complete(transaction=transaction)
            if len(attempts) == 1:
                raise RollBack

    handle = await perform(work, 5).options(retry_delay=0.0).dispatch()
    await Worker(app=shop.app, burst=True, handle_signals=False).start()
    assert await handle.result(timeout=30) is None
    assert (attempts, await shop.orders()) == ([0, 1], [5])


async def test_task_that_returns_after_a_rollback_is_retried(shop: Shop) -> None:
    attempts: list[int] = []

    async def work(number: int) -> str:
        attempts.append(current_task().attempt)
        with suppress(RollBack):
            async with shop.client.transaction() as transaction:
                await shop.client.insert(transaction, number)
                await current_task().complete(transaction=transaction, result="second")
                if len(attempts) == 1:
                    raise RollBack
        return "ignored"

    handle = await perform(work, 5).options(retry_delay=0.0).dispatch()
    await Worker(app=shop.app, burst=True, handle_signals=False).start()
    assert await handle.result(timeout=30) == "second"
    assert (attempts, await shop.orders()) == ([0, 1], [5])


async def test_second_completion_raises(shop: Shop) -> None:
    async def work(number: int) -> None:
        async with shop.client.transaction() as transaction:
            await current_task().complete(transaction=transaction, result=number)
        with pytest.raises(LeaseLost):
            async with shop.client.transaction() as transaction:
                await current_task().complete(transaction=transaction, result=0)

    handle = await perform(work, 5).dispatch()
    await Worker(app=shop.app, burst=True, handle_signals=False).start()
    assert await handle.result(timeout=30) == 5


_works: dict[str, Any] = {}


@task
async def perform_named(name: str, number: int) -> Any:
    return await _works[name](number)


def perform(work: Any, number: int) -> Any:
    """Return a task that runs a function of the test."""
    name = f"{id(work):x}"
    _works[name] = work
    return perform_named(name, number)
