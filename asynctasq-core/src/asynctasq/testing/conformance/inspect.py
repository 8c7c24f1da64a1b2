"""INSPECT: queues, single messages, listings."""

from asynctasq.contracts.capabilities import Capability, QueueInfo, Snapshot
from asynctasq.message import State, new_id
from asynctasq.settlement import Complete, Fail, Reason, Retry
from asynctasq.testing.conformance.check import check
from asynctasq.testing.conformance.kit import ERROR, LEASE, Kit, expect, expect_equal, random_name
from asynctasq.testing.conformance.showing import gave

NEEDS = Capability.INSPECT


async def _queue(kit: Kit, name: str) -> QueueInfo | None:
    return next((info for info in await kit.inspect.queues() if info.name == name), None)


async def _find(kit: Kit, message_id: bytes) -> Snapshot:
    [snapshot] = await kit.inspect.find([message_id])
    if snapshot is None:
        raise AssertionError("find does not know the message")
    return snapshot


async def _browse(
    kit: Kit,
    state: State,
    *,
    limit: int = 100,
    since: float | None = None,
    until: float | None = None,
) -> list[bytes]:
    """Ids in the kit's queue, page by page."""
    found: list[bytes] = []
    cursor: str | None = None
    while True:
        page = await kit.inspect.browse(
            state, queue=kit.queue, since=since, until=until, limit=limit, cursor=cursor
        )
        expect(len(page.items) <= limit, f"a page of {len(page.items)} with limit={limit}")
        expect(all(item.state is state for item in page.items), f"states other than {state}")
        found += [item.message.id for item in page.items]
        cursor = page.cursor
        if cursor is None:
            return found


@check("", 36, needs=NEEDS)
async def queues_tell_their_counts(kit: Kit) -> None:
    expect_equal(await _queue(kit, kit.queue), None, "a queue that was never used")
    await kit.enqueue_count(4)
    leased, failing = await kit.reserve(2)
    await kit.settle(Fail(failing.lease, Reason.FAILED, ERROR))
    await kit.enqueue(delay=LEASE)
    info = await _queue(kit, kit.queue)
    if info is None:
        raise AssertionError("a queue with messages is not listed")
    counts = (info.ready, info.scheduled, info.blocked, info.leased, info.dead, info.paused)
    expect_equal(counts, (2, 1, 0, 1, 1, False), "counts of the queue")
    oldest = info.oldest_ready_at
    expect(
        oldest is not None and abs(oldest - leased.enqueued_at) < 100,
        f"oldest_ready_at is {oldest}, enqueued at {leased.enqueued_at}",
    )


@check("", 36, needs=NEEDS)
async def queues_are_listed_by_name(kit: Kit) -> None:
    names = [random_name(prefix) for prefix in ("zz", "aa", "mm")]
    for name in names:
        await kit.enqueue(queue=name)
    listed = [info.name for info in await kit.inspect.queues()]
    expect_equal([name for name in listed if name in names], sorted(names), "order of queues")
    expect_equal(listed, sorted(listed), "order of all queues")


@check("", 36, needs=NEEDS)
async def queue_that_is_empty_again_is_not_listed(kit: Kit) -> None:
    delivery = await kit.enqueue_and_lease()
    await kit.settle(Complete(delivery.lease))
    expect_equal(await _queue(kit, kit.queue), None, "an empty queue")


@check("", 36, needs=NEEDS)
async def queue_with_only_dead_letters_is_listed(kit: Kit) -> None:
    delivery = await kit.enqueue_and_lease()
    await kit.settle(Fail(delivery.lease, Reason.FAILED, ERROR))
    info = await _queue(kit, kit.queue)
    expect(info is not None and info.dead == 1, gave("the queue with 1 dead", info))
    expect(info is not None and info.oldest_ready_at is None, "oldest_ready_at with nothing ready")


@check("", 34, 36, needs=NEEDS | Capability.PAUSE)
async def paused_queue_is_listed(kit: Kit) -> None:
    await kit.pauser.pause(kit.queue)
    info = await _queue(kit, kit.queue)
    expect(
        info is not None and info.paused and not info.ready,
        gave("the empty queue listed as paused", info),
    )
    await kit.pauser.resume(kit.queue)
    expect_equal(await _queue(kit, kit.queue), None, "a resumed queue that is empty")


@check("", 2, 36, needs=NEEDS)
async def oldest_ready_counts_from_the_time_due(kit: Kit) -> None:
    await kit.enqueue(delay=1000.0)
    probe = await kit.enqueue_and_lease(queue=random_name("probe"))
    kit.jump(1500)
    info = await _queue(kit, kit.queue)
    expect(
        info is not None
        and info.ready == 1
        and info.oldest_ready_at is not None
        and abs(info.oldest_ready_at - probe.enqueued_at - 1000.0) < 100,
        gave(f"one ready, the oldest since {probe.enqueued_at} + 1000 s", info),
    )


@check("", 36, needs=NEEDS)
async def snapshot_of_every_state(kit: Kit) -> None:
    leased = await kit.enqueue_and_lease(body=b"leased")
    dead = await kit.enqueue_and_lease()
    done = await kit.enqueue_and_lease()
    await kit.settle(Fail(dead.lease, Reason.FAILED, ERROR), Complete(done.lease))
    ready = await kit.enqueue(headers={"a": "b"})
    scheduled = await kit.enqueue(delay=500.0)
    ids = [done.message.id, dead.message.id, ready.id, new_id(), scheduled.id, leased.message.id]
    found = await kit.inspect.find(ids)
    states = [snapshot.state if snapshot else None for snapshot in found]
    expected = [None, State.DEAD, State.READY, None, State.SCHEDULED, State.LEASED]
    expect_equal(states, expected, "states in order")
    messages = [snapshot.message for snapshot in found if snapshot]
    expect_equal(messages, [dead.message, ready, scheduled, leased.message], "messages")
    owners = [snapshot.owner for snapshot in found if snapshot]
    expect_equal(owners, [None, None, None, kit.owner], "owners")
    await kit.advance(600)
    expect_equal((await _find(kit, scheduled.id)).state, State.READY, "state of a due message")


@check("", 36, needs=NEEDS)
async def snapshot_tells_times_and_tries(kit: Kit) -> None:
    first = await kit.enqueue_and_lease()
    await kit.end_leases()
    second = await kit.lease()
    await kit.settle(Retry(second.lease, 500.0, ERROR))
    snapshot = await _find(kit, first.message.id)
    expect_equal(snapshot.enqueued_at, first.enqueued_at, "enqueued_at")
    if kit.has(Capability.COUNTED):
        expect_equal((snapshot.attempt, snapshot.lost), (1, 1), "attempt and lost")
    expect_equal(snapshot.error, ERROR, "error of the last attempt")
    after = snapshot.due_at - first.enqueued_at
    expect(LEASE * 1.5 + 450 < after < LEASE * 1.5 + 600, f"due {after} s after the enqueue")


@check("h", 29, needs=NEEDS | Capability.CANCEL)
async def snapshot_tells_a_flag(kit: Kit) -> None:
    delivery = await kit.enqueue_and_lease()
    expect_equal((await _find(kit, delivery.message.id)).cancelling, False, "cancelling")
    await kit.canceller.cancel([delivery.message.id])
    expect_equal((await _find(kit, delivery.message.id)).cancelling, True, "cancelling")


@check("", 36, needs=NEEDS)
async def browse_pages_through_a_state(kit: Kit) -> None:
    """Oldest enqueue first; nothing of other states or queues; no gaps between pages."""
    ids: list[bytes] = []
    for _ in range(4):
        ids += [message.id for message in await kit.enqueue_count(2)]
        await kit.advance(10)
    await kit.enqueue(queue=random_name("other"))
    scheduled = await kit.enqueue(delay=500.0)
    for limit in (100, 3, 1):
        expect_equal(await _browse(kit, State.READY, limit=limit), ids, f"pages of {limit}")
    expect_equal(await _browse(kit, State.SCHEDULED), [scheduled.id], "scheduled")
    expect_equal(await _browse(kit, State.LEASED), [], "leased")
    leased = [delivery.message.id for delivery in await kit.reserve(3)]
    expect_equal(sorted(await _browse(kit, State.LEASED, limit=2)), sorted(leased), "leased")
    await kit.advance(600)
    expect_equal(len(await _browse(kit, State.READY, limit=2)), 6, "ready, with what fell due")
    expect_equal(await _browse(kit, State.SCHEDULED), [], "scheduled, when it fell due")


@check("", 36, needs=NEEDS)
async def browse_of_all_queues(kit: Kit) -> None:
    mine = {(await kit.enqueue(queue=random_name("browse"))).id for _ in range(3)}
    found: set[bytes] = set()
    cursor: str | None = None
    while True:
        page = await kit.inspect.browse(State.READY, limit=1000, cursor=cursor)
        found |= {item.message.id for item in page.items}
        cursor = page.cursor
        if cursor is None:
            break
    expect(mine <= found, "messages of some queues are missing in a listing of all")


@check("", 36, needs=NEEDS)
async def browse_by_time_of_enqueue(kit: Kit) -> None:
    early = await kit.enqueue_and_lease()
    await kit.advance(100)
    middle = await kit.enqueue()
    await kit.advance(100)
    late = await kit.enqueue()
    start = early.enqueued_at
    await kit.expect_counts(leased=1, ready=2)
    expect_equal(await _browse(kit, State.READY, since=start + 50), [middle.id, late.id], "since")
    expect_equal(await _browse(kit, State.READY, until=start + 150), [middle.id], "until")
    expect_equal(
        await _browse(kit, State.READY, since=start + 150, until=start + 1000), [late.id], "both"
    )
    expect_equal(await _browse(kit, State.LEASED, until=start), [], "until is exclusive")
    expect_equal(
        await _browse(kit, State.LEASED, since=start), [early.message.id], "since is inclusive"
    )


@check("j", 30, 36, needs=NEEDS)
async def browse_shows_the_dead(kit: Kit) -> None:
    await kit.enqueue_count(3)
    deliveries = await kit.reserve()
    await kit.settle(*(Fail(d.lease, Reason.FAILED, ERROR) for d in deliveries))
    ids = sorted(d.message.id for d in deliveries)
    expect_equal(await _browse(kit, State.DEAD, limit=2), ids, "dead messages")
    expect_equal((await _find(kit, ids[0])).error, ERROR, "error of a dead message")


@check("j", 14, 36, needs=NEEDS | Capability.COUNTED)
async def snapshot_of_the_dead_tells_how_often_it_ran(kit: Kit) -> None:
    """A run that failed counts; what could not be run at all does not."""
    await kit.enqueue_count(2)
    ran, unread = await kit.reserve()
    await kit.settle(
        Fail(ran.lease, Reason.FAILED, ERROR),
        Fail(unread.lease, Reason.UNDECODABLE, ERROR, attempted=False),
    )
    attempts = [(await _find(kit, each.message.id)).attempt for each in (ran, unread)]
    expect_equal(attempts, [1, 0], "attempts of two dead messages")
