"""Another call after a call that failed half-way: counts and listings agree at once.

A call that failed may have written entries of an index before its record. If the same call is repeated, it
finishes the work (see `aborts`). Here, another legal call moves the messages instead, for example a release
after a failed dead letter, and must remove what the first one has left:

    @pytest.mark.parametrize(("operation", "then"), FOLLOW_UPS)
    async def test_follow_ups(operation, then):
        await check_follow_up(operation, then, lambda name: MyDriver(URL, namespace=name), MySaboteur())
"""

from collections.abc import AsyncIterator, Callable
from typing import Any
from zlib import crc32

from asynctasq.conformance.abort_operations import (
    LATE,
    Operation,
    cancel,
    delete_dead,
    end_owner,
    enqueue_plain,
    enqueue_replacing,
    enqueue_unique,
    purge,
    requeue,
    requeue_edited,
    reserve_after_a_while,
    reserve_after_the_pause,
    reserve_damaged,
    reserve_ready,
    settle_completions,
    settle_every_kind,
)
from asynctasq.conformance.abort_scene import ERROR, Scene
from asynctasq.conformance.aborts import Damage, Saboteur, stage
from asynctasq.conformance.full_store import FullStore
from asynctasq.contracts.capabilities import Page
from asynctasq.errors import DriverError
from asynctasq.message import Lease, Message, State
from asynctasq.settlement import (
    Cancelled,
    Complete,
    Fail,
    Reason,
    Release,
    Retry,
    Settlement,
)

__all__ = ["FOLLOW_UPS", "check_follow_up"]

EDITED = "edited"


def settling(name: str, make: Callable[[Lease], Settlement]) -> Operation:
    """Return an operation that settles all leases in the same way."""

    async def settle(scene: Scene) -> Any:
        leases = [*scene.leases, scene.stray]
        return await scene.driver.settle([make(lease) for lease in leases])

    settle.__name__ = name
    return settle


async def edit_into_another_queue(scene: Scene) -> Any:
    for one in scene.dead:
        message = Message(one, EDITED, "t", b"new", expires=50.0, priority=3)
        await scene.driver.requeue_edited(message)


async def cancel_all(scene: Scene) -> Any:
    return await scene.driver.cancel(sorted(scene.ids))


async def reserve_all(scene: Scene) -> Any:
    return await scene.reserve(owner="another")


SETTLEMENTS: tuple[Operation, ...] = (
    settling("complete_all", Complete),
    settling("retry_all", lambda lease: Retry(lease, 0.0, ERROR)),
    settling("retry_all_later", lambda lease: Retry(lease, 500.0, ERROR)),
    settling("fail_all", lambda lease: Fail(lease, Reason.REJECTED, ERROR)),
    settling("release_all", Release),
    settling("release_all_later", lambda lease: Release(lease, 500.0, mismatched=True)),
    settling("settle_all_as_cancelled", Cancelled),
)
OF_LEASED = (*SETTLEMENTS, end_owner, reserve_after_the_pause)
OF_DEAD: tuple[Operation, ...] = (requeue, edit_into_another_queue, delete_dead, purge)

FOLLOW_UPS: tuple[tuple[Operation, Operation], ...] = tuple(
    (operation, then)
    for operations, follow_ups in (
        ((settle_every_kind, settle_completions, *SETTLEMENTS), OF_LEASED),
        ((end_owner,), SETTLEMENTS),
        ((requeue, requeue_edited, edit_into_another_queue, delete_dead), OF_DEAD),
        ((enqueue_replacing,), (purge,)),
        ((enqueue_plain, enqueue_unique), (purge, reserve_all)),
        ((cancel,), (cancel_all, purge)),
        (
            (reserve_ready, reserve_after_a_while, reserve_damaged),
            (cancel_all, purge, reserve_all),
        ),
    )
    for operation in operations
    for then in follow_ups
    if operation is not then
)
"""Pairs of a call that fails, and a call on the same messages that may follow."""


async def check_follow_up(
    operation: Operation,
    then: Operation,
    make_driver: Callable[[str], FullStore],
    saboteur: Saboteur,
    *,
    damage: Damage | None = None,
    every: int = 1,
) -> None:
    """Let statements of one operation fail, and call another operation afterwards.

    Args:
        operation: the call that fails.
        then: the call that follows.
        make_driver: returns an unopened driver for a namespace.
        saboteur: lets statements fail.
        damage: makes the record of a message unreadable, for `reserve_damaged`.
        every: the step between statements that fail. Each pair of operations begins with another statement.

    Raises:
        AssertionError: counts and listings disagree, or a message is lost or stranded.
    """
    statement = 1 + crc32(f"{operation.__name__} {then.__name__}".encode()) % every
    while True:
        name = f"{operation.__name__}-{then.__name__}-{statement}"
        scene = await stage(make_driver(name), operation, damage)
        scene.queues.append(EDITED)
        saboteur.arm(statement)
        try:
            await operation(scene)
        except DriverError:
            failed = True
        else:
            failed = False
        reached = saboteur.disarm()
        if operation.__name__.startswith("enqueue"):
            scene.gone |= {scene.first.id, scene.second.id}
        try:
            if failed:
                await scene.driver.open()
                scene.driver.clock_offset += LATE.get(then, 0.0)
                await then(scene)
                await expect_counts_to_match(scene)
                await scene.expect_nothing_stranded()
        except Exception as error:
            error.add_note(f"{operation.__name__}, statement {statement}, then {then.__name__}")
            raise
        finally:
            await scene.driver.close()
        if not reached:
            return
        statement += every


async def expect_counts_to_match(scene: Scene) -> None:
    """Check that every listing shows as many messages as the counts say."""
    driver = scene.driver
    dead: set[bytes] = set()
    for queue in scene.queues:
        counts = await driver.count(queue)
        for state in (State.READY, State.SCHEDULED, State.LEASED, State.DEAD):
            listed = [
                snapshot.message.id
                async for snapshot in _pages(driver.browse, state=state, queue=queue)
            ]
            count = getattr(counts, state.value)
            assert len(set(listed)) == len(listed), f"{state} messages are listed twice"
            assert len(listed) == count, f"{len(listed)} {state} are listed, {count} are counted"
        letters = [each.message.id async for each in _pages(driver.dead_letters, queue=queue)]
        assert len(letters) == counts.dead, f"{len(letters)} dead letters, {counts.dead} counted"
        dead |= set(letters)
    everywhere = {each.message.id async for each in _pages(driver.dead_letters)}
    assert everywhere == dead, "the dead letters of all queues are not those of each queue"


async def _pages(listing: Callable[..., Any], **options: Any) -> AsyncIterator[Any]:
    cursor: str | None = None
    while True:
        page: Page[Any] = await listing(**options, cursor=cursor)
        for item in page.items:
            yield item
        cursor = page.cursor
        if cursor is None:
            return
