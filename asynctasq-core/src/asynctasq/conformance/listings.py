"""INSPECT and DEAD_LETTERS: pages of long listings, filtered and not."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import ERROR, Harness, expect, expect_equal, random_name
from asynctasq.contracts.capabilities import Capability, Page
from asynctasq.message import State
from asynctasq.settlement import Complete, ErrorInfo, Fail, Reason

T = TypeVar("T")
NEEDS = Capability.INSPECT
PAGES = 2000
"""More pages than any listing of a check takes."""


async def all_pages(
    page: Callable[[str | None], Awaitable[Page[T]]], *, limit: int | None = None
) -> list[T]:
    """Read a listing to its end; pages may be short or empty."""
    found: list[T] = []
    cursor: str | None = None
    for _ in range(PAGES):
        part = await page(cursor)
        if limit is not None:
            expect(len(part.items) <= limit, f"a page of {len(part.items)} with limit={limit}")
        found += part.items
        if part.cursor is None:
            return found
        expect(part.cursor != cursor, "a page gives the cursor that it was asked with")
        cursor = part.cursor
    raise AssertionError(f"a listing has more than {PAGES} pages")


async def _browse(
    harness: Harness,
    state: State,
    *,
    task: str | None = None,
    owner: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> list[bytes]:
    found = await all_pages(
        lambda after: harness.inspect.browse(
            state, queue=harness.queue, task=task, owner=owner, limit=limit, cursor=after or cursor
        ),
        limit=limit,
    )
    return [snapshot.message.id for snapshot in found]


async def _some_tasks(harness: Harness, **fields: float) -> dict[str, list[bytes]]:
    """Enqueue messages of three tasks, mixed; return their ids by task."""
    tasks = ("shop.ship", "shop.shipping", "mail")
    messages = [harness.message(task=task) for _ in range(3) for task in tasks]
    if fields:
        messages = [harness.message(task=each.task, delay=fields["delay"]) for each in messages]
    await harness.enqueue_all(messages)
    return {task: sorted(each.id for each in messages if each.task == task) for task in tasks}


@check("", 55, needs=NEEDS)
async def browse_by_task(harness: Harness) -> None:
    """Filter by a whole name or by its beginning, in every state."""

    async def expect_found(state: State) -> None:
        for limit in (100, 2):
            for pattern in ("shop.ship", "shop.ship*", "shop.*", "mail", "*", "shop", "nothing*"):
                begin = pattern.removesuffix("*")
                expected = [
                    each
                    for task, several in ids.items()
                    for each in several
                    if (task.startswith(begin) if pattern.endswith("*") else task == pattern)
                ]
                got = await _browse(harness, state, task=pattern, limit=limit)
                expect_equal(sorted(got), sorted(expected), f"{state} messages of task={pattern!r}")

    scheduled = await _some_tasks(harness, delay=500.0)
    ids = scheduled
    await expect_found(State.SCHEDULED)
    ids = await _some_tasks(harness)
    await expect_found(State.READY)
    deliveries = await harness.reserve()
    await expect_found(State.LEASED)
    await harness.settle(*(Fail(each.lease, Reason.FAILED, ERROR) for each in deliveries))
    await expect_found(State.DEAD)


@check("", 55, needs=NEEDS)
async def browse_by_owner(harness: Harness) -> None:
    await harness.enqueue_count(5)
    other = random_name("other")
    mine = sorted(each.message.id for each in await harness.reserve(2))
    theirs = sorted(each.message.id for each in await harness.reserve(2, owner=other))
    for limit in (100, 1):
        for owner, expected in ((harness.owner, mine), (other, theirs), (random_name("no"), [])):
            got = await _browse(harness, State.LEASED, owner=owner, limit=limit)
            expect_equal(sorted(got), expected, "leases of an owner")
    expect_equal(await _browse(harness, State.READY, owner=other), [], "ready messages of an owner")


@check("", 36, 55, needs=NEEDS)
async def browse_has_a_stable_order(harness: Harness) -> None:
    """Check that pages of every size have the same order, and that new or removed messages move no other one."""
    ids = [message.id for message in await harness.enqueue_count(12)]
    order = await _browse(harness, State.READY)
    expect_equal(sorted(order), ids, "messages in all pages")
    for limit in (1, 5):
        expect_equal(await _browse(harness, State.READY, limit=limit), order, f"pages of {limit}")
    for leaving in (2, 6):  # fewer than the first page shows, and more
        order = await _browse(harness, State.READY)
        first = await harness.inspect.browse(State.READY, queue=harness.queue, limit=4)
        seen = [snapshot.message.id for snapshot in first.items]
        gone = [each.message.id for each in await harness.reserve(leaving)]
        await harness.enqueue_count(3)
        later = await _browse(harness, State.READY, limit=4, cursor=first.cursor)
        expect(not set(seen) & set(later), "a message is on two pages")
        stayed = set(order) - set(gone)
        expect(stayed <= {*seen, *later}, "a message that stayed ready is on no page")


@check("", 55, needs=NEEDS)
async def browse_finds_a_rare_task_among_many(harness: Harness) -> None:
    """Check that the listing reaches its end, however many messages a call looks at."""
    for _ in range(3):
        await harness.enqueue_count(1000, task="common")
    rare = await harness.enqueue(task="rare")
    expect_equal(await _browse(harness, State.READY, task="rare"), [rare.id], "the rare task")
    expect_equal(await _browse(harness, State.READY, task="none*"), [], "a task that is not there")
    await harness.reserve(1000)
    expect_equal(await _browse(harness, State.READY, task="rare"), [rare.id], "the rare task")


@check("", 36, needs=NEEDS)
async def snapshot_of_a_lease_says_since_when(harness: Harness) -> None:
    message = await harness.enqueue()
    [snapshot] = await harness.inspect.find([message.id])
    expect_equal(snapshot and snapshot.leased_at, None, "leased_at of a ready message")
    await harness.advance(100)
    await harness.lease()
    [snapshot] = await harness.inspect.find([message.id])
    leased_at = snapshot.leased_at if snapshot else None
    expect(
        leased_at is not None and snapshot and 90 < leased_at - snapshot.enqueued_at < 200,
        f"leased_at is {leased_at}, 100 s after the enqueue",
    )
    expect_equal(snapshot and (snapshot.pending, snapshot.held_by), (0, None), "what holds it")


@check("", 34, 36, needs=NEEDS | Capability.PAUSE)
async def queue_says_since_when_it_is_paused(harness: Harness) -> None:
    probe = await harness.enqueue_and_lease(queue=random_name("probe"))
    await harness.pauser.pause(harness.queue)
    await harness.advance(100)
    await harness.pauser.pause(harness.queue)  # changes nothing
    infos = {info.name: info for info in await harness.inspect.queues()}
    paused_at = infos[harness.queue].paused_at
    expect(
        paused_at is not None and abs(paused_at - probe.enqueued_at) < 90,
        f"paused_at is {paused_at}, at about {probe.enqueued_at}",
    )
    await harness.pauser.resume(harness.queue)
    await harness.enqueue()
    infos = {info.name: info for info in await harness.inspect.queues()}
    expect_equal(infos[harness.queue].paused_at, None, "paused_at of a queue that is not paused")


# Counts up to a bound.


@check("", 56, needs=Capability.EXACT_COUNT)
async def counts_end_at_a_bound(harness: Harness) -> None:
    """Check that a state with fewer messages is counted exactly."""
    await harness.enqueue_count(5)
    await harness.enqueue_count(2, delay=500.0)
    await harness.reserve(1)
    for bound, expected in ((None, (4, 2, 1)), (3, (3, 2, 1)), (1, (1, 1, 1)), (4, (4, 2, 1))):
        counts = await harness.clone.count(harness.queue, bound=bound)
        got = (counts.ready, counts.scheduled, counts.leased)
        expect_equal(got, expected, f"counts with bound={bound}")


@check("", 56, needs=NEEDS)
async def queues_are_counted_up_to_a_bound(harness: Harness) -> None:
    await harness.enqueue_count(5)
    for bound, expected in ((None, 5), (3, 3), (5, 5), (10, 5)):
        infos = {info.name: info for info in await harness.inspect.queues(bound=bound)}
        expect_equal(infos[harness.queue].ready, expected, f"ready messages with bound={bound}")


# Dead letters.


@check("j", 55, needs=Capability.DEAD_LETTERS)
async def dead_letters_by_task_reason_and_error(harness: Harness) -> None:
    """Check each filter alone, and all of them together."""
    other = ErrorInfo("shop.Late", "too late", "")
    deaths = [
        ("shop.ship", Reason.FAILED, ERROR),
        ("shop.ship", Reason.REJECTED, other),
        ("shop.bill", Reason.FAILED, other),
        ("mail", Reason.UNDECODABLE, None),
        ("mail", Reason.FAILED, ErrorInfo(f"{'long' * 100}.Never", "never", "")),
    ]
    ids: list[bytes] = []
    for task, reason, error in deaths:
        delivery = await harness.enqueue_and_lease(task=task)
        await harness.settle(Fail(delivery.lease, reason, error))
        ids.append(delivery.message.id)

    async def found(
        task: str | None = None, reason: Reason | None = None, error: str | None = None
    ) -> list[int]:
        letters = await all_pages(
            lambda cursor: harness.dead.dead_letters(
                queue=harness.queue, task=task, reason=reason, error=error, limit=2, cursor=cursor
            ),
            limit=2,
        )
        return sorted(ids.index(letter.message.id) for letter in letters)

    expect_equal(await found(), [0, 1, 2, 3, 4], "all dead letters")
    expect_equal(await found(task="shop.ship"), [0, 1], "of a task")
    expect_equal(await found(task="shop.*"), [0, 1, 2], "of tasks whose names begin so")
    expect_equal(await found(reason=Reason.FAILED), [0, 2, 4], "of a reason")
    expect_equal(await found(error="shop.Late"), [1, 2], "of an error")
    expect_equal(await found(error="Late"), [1, 2], "of an error without its module")
    expect_equal(await found(error="Never"), [4], "of an error in a module with a long name")
    expect_equal(await found(error="shop"), [], "of what is not an error")
    expect_equal(await found(error="Late", task="shop.*", reason=Reason.FAILED), [2], "of all")


@check("", 62, needs=Capability.RESULTS)
async def known_says_which_messages_are_there(harness: Harness) -> None:
    """Check that a message that waits, runs or is dead is known."""
    await harness.enqueue_count(3)
    leased, failed, done = await harness.reserve()
    await harness.settle(Fail(failed.lease, Reason.FAILED, ERROR), Complete(done.lease))
    ready = await harness.enqueue()
    scheduled = await harness.enqueue(delay=500.0)
    ids = [leased.message.id, failed.message.id, ready.id, scheduled.id]
    expect_equal(await harness.results.known(ids), [True] * 4, "what is known")
    if harness.has(Capability.INSPECT):
        expect_equal(await harness.results.known([harness.message().id]), [False], "a stranger")
    expect_equal(await harness.results.known([]), [], "of no ids")
