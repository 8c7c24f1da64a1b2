"""Checks that a message comes out as it went in: fields, bodies, names, chunks, repeated IDs."""

import asyncio
import math
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import fields
from typing import overload

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import (
    ERROR,
    LEASE,
    Harness,
    expect,
    expect_equal,
    random_name,
)
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Enqueued
from asynctasq.errors import DriverError
from asynctasq.message import Message, ScheduledRun, Unique, UniqueUntil, new_id
from asynctasq.settlement import Cancelled, Complete, Fail, Reason, Retry

CHUNK = 1000
"""The most that core sends in one chunk."""

OUTCOME_LEAST_TTL = 60.0
"""Seconds for which the id of a finished message is known at least."""

ALMOST_THE_LEAST_TTL = 50.0
"""Seconds: the real clock runs on beside the one that checks move, so that some must be left."""


@check("a", 40, 45)
async def every_field_is_delivered(harness: Harness) -> None:
    message = await harness.enqueue(
        task="shop.orders:Ship.now",
        body=b"\x93\x01\xc0\xff",
        priority=7,
        expires=5000.0,
        max_attempts=17,
        max_lost=9,
        result_ttl=12.5,
        unique=Unique(random_name("key"), UniqueUntil.PERIOD, period=90.5),
        workflow=new_id(),
        schedule=ScheduledRun(random_name("nightly"), 1_700_000_000.25),
        limits=("mail", "customer:17"),
        group="customer-17",
        headers={"trace": "00-4bf9", "": "empty name", "empty value": ""},
        given_id=True,
    )
    delivery = await harness.lease()
    for field in fields(Message):
        got, sent = getattr(delivery.message, field.name), getattr(message, field.name)
        expect_equal(got, sent, f"field {field.name}")
    harness.expect_tries(delivery, attempt=0, lost=0)
    expect_equal(delivery.lease.id, message.id, "id of the lease")
    expect_equal(delivery.mismatched_for, 0.0, "mismatched_for of a new message")


@check("a", 45)
async def plain_message_keeps_its_defaults(harness: Harness) -> None:
    message = await harness.enqueue()
    delivery = await harness.lease()
    expect_equal(delivery.message, message, "a message without options")


@check("a", 45)
async def bodies_are_opaque_bytes(harness: Harness) -> None:
    every_byte = bytes(range(256))
    bodies = [b"", b"\x00", every_byte, every_byte[::-1] * 2, b"\r\n", b"\xff" * 66_000]
    sent = [harness.message(body=body) for body in bodies]
    await harness.enqueue_all(sent)
    got = {d.message.id: d.message.body for d in await harness.reserve()}
    for message in sent:
        expect(
            got.get(message.id) == message.body,
            f"a body of {len(message.body)} bytes ({message.body[:8]!r}…) came back different",
        )


@check("a", 45)
async def largest_body_is_delivered(harness: Harness) -> None:
    """Send a body of 1 MiB, or the largest one that the driver's `max_message_bytes` allows."""
    body = bytes(range(256)) * 4096
    message = await harness.enqueue(body=body[: harness.largest_body])
    delivery = await harness.lease()
    expect(
        delivery.message.body == message.body,
        f"a body of {len(message.body):,} bytes came back different",
    )


@check("a", 45)
async def text_is_unicode(harness: Harness) -> None:
    message = await harness.enqueue(
        task="dépôt.コピー:Ünï",
        group="Müller & Söhne 🧺",
        limits=("size:größe", "size:🚚", "mail"),
        headers={"naïve": "日本語 \U0001f9fa 'quoted' \"double\" \\ back\nline\ttab", "%s": "{}"},
    )
    delivery = await harness.lease()
    expect_equal(delivery.message, message, "a message with text of all kinds")


@check("a", 45)
async def queue_names_are_kept_apart(harness: Harness) -> None:
    """Check that each name is a separate queue, with dots, dashes, underscores, case and common prefixes."""
    base = random_name("q")
    names = [
        base,
        base.upper(),
        f"{base}.high",
        f"{base}-high",
        f"{base}_high",
        f"{base}xhigh",
        f"{base}.",
        f"..{base}",
        base.ljust(80, "z"),
    ]
    sent = {name: await harness.enqueue(queue=name) for name in names}
    for name in names:
        got = await harness.reserve(queue=name)
        expect_equal([d.message.id for d in got], [sent[name].id], f"messages of queue {name!r}")
        expect_equal(got[0].message.queue, name, "name of the queue in the delivery")


@check("", 44)
async def empty_batches_are_allowed(harness: Harness) -> None:
    await harness.enqueue()
    expect_equal(await harness.driver.enqueue([]), [], "enqueue of nothing")
    expect_equal(await harness.driver.settle([]), [], "settle of nothing")
    expect_equal(
        await harness.driver.extend(harness.owner, [], lease=LEASE), [], "extend of nothing"
    )
    nothing = await harness.driver.reserve({}, limit=10, owner=harness.owner, lease=LEASE)
    expect_equal(nothing, [], "reserve from no queue")
    nothing = await harness.driver.reserve(
        {harness.queue: 10}, limit=0, owner=harness.owner, lease=LEASE
    )
    expect_equal(nothing, [], "reserve of at most none")
    nothing = await harness.driver.reserve(
        {harness.queue: 0}, limit=10, owner=harness.owner, lease=LEASE
    )
    expect_equal(nothing, [], "reserve of at most none of the queue")
    await harness.expect_counts(ready=1)


@check("", 44)
async def queue_that_was_never_used_is_empty(harness: Harness) -> None:
    await harness.expect_counts(queue=random_name("never"))
    await harness.expect_nothing_ready("an unused queue delivered something")


@check("a", 20)
async def chunk_of_a_thousand(harness: Harness) -> None:
    """Check that one call enqueues a full chunk, and one reserve delivers it."""
    sent = await harness.enqueue_count(CHUNK)
    await harness.expect_counts(ready=CHUNK)
    got = await harness.reserve(CHUNK)
    expect_equal(
        sorted(d.message.id for d in got), [message.id for message in sent], "ids of the chunk"
    )
    await harness.settle(*(Complete(d.lease) for d in got))
    await harness.expect_counts()


@check("a", 45)
async def equal_messages_are_separate(harness: Harness) -> None:
    """Check that two calls with the same task and body are two messages, settled one by one."""
    await harness.enqueue_count(2, body=b"same")
    first, second = await harness.reserve()
    await harness.settle(Complete(first.lease))
    await harness.expect_counts(leased=1)
    await harness.settle(Retry(second.lease, 0.0, ERROR))
    again = await harness.lease()
    expect_equal(again.message.id, second.message.id, "the one that was not completed")


@check("", 45)
async def enqueue_time_is_the_stores(harness: Harness) -> None:
    early = await harness.enqueue_and_lease()
    await harness.settle(Complete(early.lease))
    await harness.advance(5000)
    late = await harness.enqueue_and_lease()
    between = late.enqueued_at - early.enqueued_at
    expect(4990 < between < 5200, f"enqueued 5000 s apart, but the times differ by {between} s")


@check("g", 19, needs=Capability.IDEMPOTENT)
async def known_id_changes_nothing_while_it_lives(harness: Harness) -> None:
    """Check that a waiting, scheduled or leased message that is enqueued again is not created."""
    waiting = await harness.enqueue(queue=random_name("waiting"))
    scheduled = await harness.enqueue(queue=random_name("scheduled"), delay=LEASE)
    leased = (await harness.enqueue_and_lease(body=b"first")).message
    again = [harness.message(id=m.id, body=b"second") for m in (waiting, scheduled, leased)]
    answers = await harness.clone.enqueue(again)
    expected = [Enqueued(m.id, created=False) for m in (waiting, scheduled, leased)]
    expect_equal(answers, expected, "answers for known ids")
    await harness.expect_counts(leased=1)
    await harness.expect_counts(queue=waiting.queue, ready=1)
    await harness.expect_counts(queue=scheduled.queue, scheduled=1)
    delivery = await harness.lease(queue=waiting.queue)
    expect_equal(delivery.message, waiting, "the message that stands")


@check("g", 19, needs=Capability.IDEMPOTENT)
async def known_id_changes_nothing_when_dead(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.settle(Fail(delivery.lease, Reason.FAILED, ERROR))
    answers = await harness.driver.enqueue([harness.message(id=delivery.message.id)])
    expect_equal(answers, [Enqueued(delivery.message.id, created=False)], "answer for a dead id")
    await harness.expect_counts(dead=1)


async def _ends(harness: Harness, result_ttl: float) -> list[Message]:
    """Messages that have just ended in each way, all with that `result_ttl`."""
    await harness.enqueue_count(2, result_ttl=result_ttl)
    completed, cancelled = await harness.reserve()
    await harness.settle(
        Complete(completed.lease, b"result", result_ttl), Cancelled(cancelled.lease, result_ttl)
    )
    return [completed.message, cancelled.message]


async def _expect_known(harness: Harness, ended: Sequence[Message]) -> None:
    answers = await harness.driver.enqueue([harness.message(id=message.id) for message in ended])
    expected = [Enqueued(message.id, created=False) for message in ended]
    expect_equal(answers, expected, "answers for ids that ended less than a minute ago")
    await harness.expect_counts()
    await harness.expect_nothing_ready("a message that ended was enqueued again")


@check("g", 19, needs=Capability.IDEMPOTENT)
async def known_id_changes_nothing_for_a_minute_after_its_end(harness: Harness) -> None:
    """Check that the ID is known even if no result is kept, and forgotten together with the outcome."""
    ended = [*await _ends(harness, 0.0), *await _ends(harness, 20.0)]
    for _ in range(2):
        await harness.advance(ALMOST_THE_LEAST_TTL / 2)
        await harness.upkeep()
        await _expect_known(harness, ended)
    await harness.advance(OUTCOME_LEAST_TTL * 3)
    await harness.upkeep()
    await harness.enqueue_all(ended)


@check("g", 19, needs=Capability.IDEMPOTENT)
async def known_id_is_kept_as_long_as_its_outcome(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.settle(Complete(delivery.lease, b"result", result_ttl=5000.0))
    await harness.advance(4000)
    await harness.upkeep()
    answers = await harness.driver.enqueue([harness.message(id=delivery.message.id)])
    expect_equal(answers, [Enqueued(delivery.message.id, created=False)], "answer for a kept id")


@check("g", 19, needs=Capability.IDEMPOTENT)
async def same_id_twice_in_a_chunk_is_one_message(harness: Harness) -> None:
    message = harness.message(body=b"first")
    answers = await harness.driver.enqueue(
        [message, harness.message(), harness.message(id=message.id)]
    )
    expect_equal([a.created for a in answers], [True, True, False], "created, item by item")
    expect_equal(answers[2].id, message.id, "id of the duplicate")
    await harness.expect_counts(ready=2)
    got = {d.message.id: d.message.body for d in await harness.reserve()}
    expect_equal(got[message.id], b"first", "body of the one that stands")


@check("g", 19, needs=Capability.IDEMPOTENT)
async def repeated_chunk_adds_only_what_is_new(harness: Harness) -> None:
    """Check that a repeated call that has more messages makes no second copies."""
    sent = await harness.enqueue_count(5)
    more = [harness.message() for _ in range(2)]
    answers = await harness.clone.enqueue([*sent, *more])
    expect_equal([a.created for a in answers], [False] * 5 + [True] * 2, "created, item by item")
    await harness.expect_counts(ready=7)


class _BreaksHalfway(Sequence[Message]):
    """A chunk whose last item raises when it is read."""

    def __init__(self, messages: list[Message]) -> None:
        self._messages = messages

    def __len__(self) -> int:
        return len(self._messages) + 1

    def __iter__(self) -> Iterator[Message]:
        yield from self._messages
        raise ZeroDivisionError("the last message of the chunk is broken")

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Message]: ...
    def __getitem__(self, index: int | slice) -> Message | Sequence[Message]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if index >= len(self._messages) or index == -1:
            raise ZeroDivisionError("the last message of the chunk is broken")
        return self._messages[index]


@check("a", 20, needs=Capability.ATOMIC)
async def chunk_that_breaks_leaves_nothing(harness: Harness) -> None:
    messages = [harness.message() for _ in range(3)]
    try:
        await harness.driver.enqueue(_BreaksHalfway(messages))
    except ZeroDivisionError:
        pass
    else:
        raise AssertionError("a chunk whose last message raises was accepted")
    await harness.expect_counts()
    await harness.expect_nothing_ready("a part of a chunk was stored")
    await harness.enqueue_all(messages)


@check("a", 20, needs=Capability.ATOMIC | Capability.EXACT_COUNT)
async def chunk_appears_at_once(harness: Harness) -> None:
    """Check that another instance never counts a part of a chunk while chunks are enqueued."""

    async def enqueue_chunks() -> None:
        for _ in range(15):
            await harness.enqueue_count(20)

    writing = asyncio.create_task(enqueue_chunks())
    try:
        while not writing.done():
            ready = (await harness.clone.count(harness.queue)).ready or 0
            expect(ready % 20 == 0, f"{ready} messages ready: a part of a chunk was seen")
            await asyncio.sleep(0)
    finally:
        await writing
    await harness.expect_counts(ready=300)


HUGE = 10**400
"""An integer that is larger than every float."""


@check("a", 54)
async def message_with_a_number_that_is_not_finite_is_refused(harness: Harness) -> None:
    """Check that the error names the field, and that the store is unchanged."""
    bad: list[tuple[str, Message]] = [
        ("delay", harness.message(delay=math.nan)),
        ("delay", harness.message(delay=math.inf)),
        ("eta", harness.message(eta=math.inf)),
        ("expires", harness.message(expires=math.nan)),
        ("result_ttl", harness.message(result_ttl=math.inf)),
        ("delay", harness.message(delay=10**30)),
        ("eta", harness.message(eta=-(10**30))),
        ("max_lost", harness.message(max_lost=10**30)),
        ("max_attempts", harness.message(max_attempts=HUGE)),
    ]
    for field, message in bad:
        await _expect_refused(harness.driver.enqueue([harness.message(), message]), field)
    if harness.has(Capability.ATOMIC):
        await harness.expect_nothing_ready("a part of a chunk that was refused was delivered")
        await harness.expect_counts()
    await harness.enqueue()


@check("b", 54)
async def lease_that_is_not_finite_is_refused(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.enqueue()
    for lease in (math.nan, math.inf, HUGE):
        await _expect_refused(harness.reserve(lease=lease), "lease")
        await _expect_refused(
            harness.clone.extend(harness.owner, [delivery.lease], lease=lease), "lease"
        )
    await harness.expect_counts(ready=1, leased=1)
    await harness.settle(Complete(delivery.lease))


async def _expect_refused(call: Awaitable[object], field: str) -> None:
    try:
        await call
    except DriverError as error:
        expect(field in str(error), f"an error that does not name {field}: {error}")
    else:
        raise AssertionError(f"a call with a {field} that is not finite was accepted")
