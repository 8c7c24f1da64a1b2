"""INSPECT: queues, single messages, listings."""

from uuid import uuid4

from asynctasq.conformance.check import check
from asynctasq.conformance.formatting import gave
from asynctasq.conformance.harness import ERROR, LEASE, Harness, expect, expect_equal, random_name
from asynctasq.conformance.listings import all_pages
from asynctasq.contracts.capabilities import Capability, QueueInfo, Snapshot
from asynctasq.message import State, new_id
from asynctasq.settlement import Complete, Fail, Reason, Release, Retry

NEEDS = Capability.INSPECT


async def _queue(harness: Harness, name: str) -> QueueInfo | None:
    return next((info for info in await harness.inspect.queues() if info.name == name), None)


async def _find(harness: Harness, message_id: bytes) -> Snapshot:
    [snapshot] = await harness.inspect.find([message_id])
    if snapshot is None:
        raise AssertionError("find does not know the message")
    return snapshot


async def _browse(
    harness: Harness,
    state: State,
    *,
    limit: int = 100,
    since: float | None = None,
    until: float | None = None,
) -> list[bytes]:
    """Return ids in the harness's queue, page by page."""
    found = await all_pages(
        lambda cursor: harness.inspect.browse(
            state, queue=harness.queue, since=since, until=until, limit=limit, cursor=cursor
        ),
        limit=limit,
    )
    expect(all(item.state is state for item in found), f"states other than {state}")
    return [item.message.id for item in found]


@check("", 36, needs=NEEDS)
async def queues_tell_their_counts(harness: Harness) -> None:
    expect_equal(await _queue(harness, harness.queue), None, "a queue that was never used")
    await harness.enqueue_count(4)
    leased, failing = await harness.reserve(2)
    await harness.settle(Fail(failing.lease, Reason.FAILED, ERROR))
    await harness.enqueue(delay=LEASE)
    info = await _queue(harness, harness.queue)
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
async def queues_are_listed_by_name(harness: Harness) -> None:
    names = [random_name(prefix) for prefix in ("zz", "aa", "mm")]
    for name in names:
        await harness.enqueue(queue=name)
    listed = [info.name for info in await harness.inspect.queues()]
    expect_equal([name for name in listed if name in names], sorted(names), "order of queues")
    expect_equal(listed, sorted(listed), "order of all queues")


@check("", 36, needs=NEEDS)
async def queue_that_is_empty_again_is_not_listed(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.settle(Complete(delivery.lease))
    expect_equal(await _queue(harness, harness.queue), None, "an empty queue")


@check("", 36, needs=NEEDS)
async def queue_with_only_dead_letters_is_listed(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.settle(Fail(delivery.lease, Reason.FAILED, ERROR))
    info = await _queue(harness, harness.queue)
    expect(info is not None and info.dead == 1, gave("the queue with 1 dead", info))
    expect(info is not None and info.oldest_ready_at is None, "oldest_ready_at with nothing ready")


@check("", 34, 36, needs=NEEDS | Capability.PAUSE)
async def paused_queue_is_listed(harness: Harness) -> None:
    await harness.pauser.pause(harness.queue)
    info = await _queue(harness, harness.queue)
    expect(
        info is not None and info.paused and not info.ready,
        gave("the empty queue listed as paused", info),
    )
    await harness.pauser.resume(harness.queue)
    expect_equal(await _queue(harness, harness.queue), None, "a resumed queue that is empty")


@check("", 2, 36, needs=NEEDS)
async def oldest_ready_counts_from_the_time_due(harness: Harness) -> None:
    await harness.enqueue(delay=1000.0)
    probe = await harness.enqueue_and_lease(queue=random_name("probe"))
    harness.jump(1500)
    info = await _queue(harness, harness.queue)
    expect(
        info is not None
        and info.ready == 1
        and info.oldest_ready_at is not None
        and abs(info.oldest_ready_at - probe.enqueued_at - 1000.0) < 100,
        gave(f"one ready, the oldest since {probe.enqueued_at} + 1000 s", info),
    )


@check("", 36, needs=NEEDS)
async def snapshot_of_every_state(harness: Harness) -> None:
    leased = await harness.enqueue_and_lease(body=b"leased")
    dead = await harness.enqueue_and_lease()
    done = await harness.enqueue_and_lease()
    await harness.settle(Fail(dead.lease, Reason.FAILED, ERROR), Complete(done.lease))
    ready = await harness.enqueue(headers={"a": "b"})
    scheduled = await harness.enqueue(delay=500.0)
    ids = [done.message.id, dead.message.id, ready.id, new_id(), scheduled.id, leased.message.id]
    found = await harness.inspect.find(ids)
    states = [snapshot.state if snapshot else None for snapshot in found]
    expected = [None, State.DEAD, State.READY, None, State.SCHEDULED, State.LEASED]
    expect_equal(states, expected, "states in order")
    messages = [snapshot.message for snapshot in found if snapshot]
    expect_equal(messages, [dead.message, ready, scheduled, leased.message], "messages")
    owners = [snapshot.owner for snapshot in found if snapshot]
    expect_equal(owners, [None, None, None, harness.owner], "owners")
    await harness.advance(600)
    expect_equal((await _find(harness, scheduled.id)).state, State.READY, "state of a due message")


@check("", 36, needs=NEEDS)
async def snapshot_tells_times_and_tries(harness: Harness) -> None:
    first = await harness.enqueue_and_lease()
    await harness.end_leases()
    second = await harness.lease()
    await harness.settle(Retry(second.lease, 500.0, ERROR))
    snapshot = await _find(harness, first.message.id)
    expect_equal(snapshot.enqueued_at, first.enqueued_at, "enqueued_at")
    if harness.has(Capability.COUNTED):
        expect_equal((snapshot.attempt, snapshot.lost), (1, 1), "attempt and lost")
    expect_equal(snapshot.error, ERROR, "error of the last attempt")
    after = snapshot.due_at - first.enqueued_at
    expect(LEASE * 1.5 + 450 < after < LEASE * 1.5 + 600, f"due {after} s after the enqueue")


@check("", 15, 36, needs=NEEDS)
async def snapshot_tells_why_it_was_released(harness: Harness) -> None:
    first = await harness.enqueue_and_lease()
    await harness.settle(Release(first.lease, 0.0, mismatched=True, error=ERROR))
    expect_equal((await _find(harness, first.message.id)).error, ERROR, "error of a release")
    second = await harness.lease()
    await harness.settle(Release(second.lease))
    expect_equal(
        (await _find(harness, first.message.id)).error, ERROR, "error after another release"
    )


@check("h", 29, needs=NEEDS | Capability.CANCEL)
async def snapshot_tells_a_flag(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    expect_equal((await _find(harness, delivery.message.id)).cancelling, False, "cancelling")
    await harness.canceller.cancel([delivery.message.id])
    expect_equal((await _find(harness, delivery.message.id)).cancelling, True, "cancelling")


@check("", 36, needs=NEEDS)
async def browse_pages_through_a_state(harness: Harness) -> None:
    """Check that a listing has all messages of a state, and none of other states or queues."""
    ids: list[bytes] = []
    for _ in range(4):
        ids += [message.id for message in await harness.enqueue_count(2)]
        await harness.advance(10)
    await harness.enqueue(queue=random_name("other"))
    scheduled = await harness.enqueue(delay=500.0)
    for limit in (100, 3, 1):
        got = sorted(await _browse(harness, State.READY, limit=limit))
        expect_equal(got, sorted(ids), f"pages of {limit}")
    expect_equal(await _browse(harness, State.SCHEDULED), [scheduled.id], "scheduled")
    expect_equal(await _browse(harness, State.LEASED), [], "leased")
    leased = [delivery.message.id for delivery in await harness.reserve(3)]
    expect_equal(sorted(await _browse(harness, State.LEASED, limit=2)), sorted(leased), "leased")
    await harness.advance(600)
    expect_equal(len(await _browse(harness, State.READY, limit=2)), 6, "ready, with what fell due")
    expect_equal(await _browse(harness, State.SCHEDULED), [], "scheduled, when it fell due")


async def _match(harness: Harness, part: str, *, limit: int = 10) -> list[bytes]:
    found = await all_pages(
        lambda cursor: harness.inspect.match_ids(part, limit=limit, cursor=cursor), limit=limit
    )
    expect(len(set(found)) == len(found), f"an id is listed twice for {part!r}")
    return sorted(found)


@check("", 36, needs=NEEDS)
async def id_is_found_by_its_end(harness: Harness) -> None:
    scheduled = await harness.enqueue(delay=500.0)
    await harness.enqueue_count(4)
    leased, dead, done = await harness.reserve(3)
    await harness.settle(Fail(dead.lease, Reason.FAILED, ERROR), Complete(done.lease))
    await harness.expect_counts(ready=1, scheduled=1, leased=1, dead=1)
    for message_id in (scheduled.id, leased.message.id, dead.message.id):
        digits = message_id.hex()
        for length in (12, 15, 31):
            got = await _match(harness, digits[-length:])
            expect_equal(got, [message_id], f"ids that end with {length} digits")
    digits = leased.message.id.hex()
    for length in (19, 20):
        part = f"{(int(digits[-length], 16) + 1) % 16:x}{digits[1 - length :]}"
        expect_equal(await _match(harness, part), [], f"ids that end with {part}")
    expect_equal(await _match(harness, digits[10:26]), [], "ids that neither begin nor end so")
    ended = done.message.id.hex()[-20:]
    expect_equal(await _match(harness, ended), [], "the id of a message that has finished")


@check("", 36, needs=NEEDS)
async def ids_are_found_by_their_beginning(harness: Harness) -> None:
    beginning = new_id().hex()[:13]
    ids = sorted(bytes.fromhex(beginning + uuid4().hex[13:]) for _ in range(5))
    for message_id in ids:
        await harness.enqueue(id=message_id)
    for limit in (10, 2, 1):
        got = await _match(harness, beginning, limit=limit)
        expect_equal(got, ids, f"pages of {limit}")
    expect_equal(await _match(harness, ids[2].hex()[:30]), [ids[2]], "ids with 30 digits")


@check("", 36, needs=NEEDS)
async def browse_of_all_queues(harness: Harness) -> None:
    mine = {(await harness.enqueue(queue=random_name("browse"))).id for _ in range(3)}
    listed = await all_pages(
        lambda cursor: harness.inspect.browse(State.READY, limit=1000, cursor=cursor)
    )
    found = {item.message.id for item in listed}
    expect(mine <= found, "messages of some queues are missing in a listing of all")


@check("", 36, needs=NEEDS)
async def browse_by_time_of_enqueue(harness: Harness) -> None:
    early = await harness.enqueue_and_lease()
    await harness.advance(100)
    middle = await harness.enqueue()
    await harness.advance(100)
    late = await harness.enqueue()
    start = early.enqueued_at
    await harness.expect_counts(leased=1, ready=2)
    since = await _browse(harness, State.READY, since=start + 50)
    expect_equal(sorted(since), sorted([middle.id, late.id]), "since")
    expect_equal(await _browse(harness, State.READY, until=start + 150), [middle.id], "until")
    expect_equal(
        await _browse(harness, State.READY, since=start + 150, until=start + 1000),
        [late.id],
        "both",
    )
    expect_equal(await _browse(harness, State.LEASED, until=start), [], "until is exclusive")
    expect_equal(
        await _browse(harness, State.LEASED, since=start), [early.message.id], "since is inclusive"
    )


@check("j", 30, 36, needs=NEEDS)
async def browse_shows_the_dead(harness: Harness) -> None:
    await harness.enqueue_count(3)
    deliveries = await harness.reserve()
    await harness.settle(*(Fail(d.lease, Reason.FAILED, ERROR) for d in deliveries))
    ids = sorted(d.message.id for d in deliveries)
    expect_equal(sorted(await _browse(harness, State.DEAD, limit=2)), ids, "dead messages")
    expect_equal((await _find(harness, ids[0])).error, ERROR, "error of a dead message")


@check("j", 14, 36, needs=NEEDS | Capability.COUNTED)
async def snapshot_of_the_dead_tells_how_often_it_ran(harness: Harness) -> None:
    """Check that a failed run counts, and a message that could not run does not."""
    await harness.enqueue_count(2)
    ran, unread = await harness.reserve()
    await harness.settle(
        Fail(ran.lease, Reason.FAILED, ERROR),
        Fail(unread.lease, Reason.UNDECODABLE, ERROR, attempted=False),
    )
    attempts = [(await _find(harness, each.message.id)).attempt for each in (ran, unread)]
    expect_equal(attempts, [1, 0], "attempts of two dead messages")
