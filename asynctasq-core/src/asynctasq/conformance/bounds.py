"""Calls are bounded in bytes: a worker receives no more at once than it can hold, and misses no message."""

from collections.abc import Iterable

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import ENVELOPE, ERROR, MIB, Harness, expect, expect_equal
from asynctasq.contracts.capabilities import Capability
from asynctasq.contracts.driver import Enqueued, EnqueuedPartly
from asynctasq.errors import DriverError
from asynctasq.message import Message, State
from asynctasq.settlement import Complete, Fail, Reason

MANY = 14
"""Messages of a MiB."""
MOST = 12 * MIB
"""Bytes. The rule says about 8 MB; this is another order of magnitude."""


def _expect_bounded(messages: Iterable[Message], call: str) -> None:
    size = sum(len(message.body) for message in messages)
    expect(size <= MOST, f"one {call} gave {size / MIB:.0f} MiB; about 8 are allowed")


async def _large(harness: Harness) -> list[Message]:
    """Small messages before large ones."""
    small = await harness.enqueue_count(3)
    large = [await harness.enqueue(body=bytes(harness.largest_body)) for _ in range(MANY)]
    return [*small, *large]


@check("k", 50)
async def reserve_is_bounded_in_bytes(harness: Harness) -> None:
    sent = await _large(harness)
    got: list[bytes] = []
    while deliveries := await harness.reserve():
        _expect_bounded((delivery.message for delivery in deliveries), "reserve")
        got += [delivery.message.id for delivery in deliveries]
        await harness.settle(*(Complete(delivery.lease) for delivery in deliveries))
    expect_equal(sorted(got), [message.id for message in sent], "messages delivered in all")


@check("ak", 50)
async def message_above_the_bound_is_delivered_alone(harness: Harness) -> None:
    if harness.driver.max_message_bytes is not None and harness.driver.max_message_bytes < 10 * MIB:
        return  # the driver refuses it: see below
    huge = await harness.enqueue(body=bytes(9 * MIB))
    await harness.enqueue()
    first = await harness.reserve()
    expect_equal([delivery.message.id for delivery in first], [huge.id], "the first reserve")
    expect_equal(len(first[0].message.body), 9 * MIB, "bytes of its body")
    expect_equal(len(await harness.reserve()), 1, "messages of the second reserve")


@check("k", 50, needs=Capability.INSPECT)
async def listings_are_bounded_in_bytes(harness: Harness) -> None:
    sent = [message.id for message in await _large(harness)]
    found: list[bytes] = []
    cursor = None
    while True:
        page = await harness.inspect.browse(
            State.READY, queue=harness.queue, limit=100, cursor=cursor
        )
        _expect_bounded((snapshot.message for snapshot in page.items), "browse")
        found += [snapshot.message.id for snapshot in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    expect_equal(sorted(found), sent, "messages in all pages")
    snapshots = await harness.inspect.find(sent)
    expect_equal([s and s.message.id for s in snapshots], sent, "ids that find gives")


@check("jk", 50, needs=Capability.DEAD_LETTERS)
async def dead_letters_are_bounded_in_bytes(harness: Harness) -> None:
    sent = [message.id for message in await _large(harness)]
    while deliveries := await harness.reserve():
        await harness.settle(*(Fail(each.lease, Reason.FAILED, ERROR) for each in deliveries))
    found: list[bytes] = []
    cursor = None
    while True:
        page = await harness.dead.dead_letters(queue=harness.queue, limit=100, cursor=cursor)
        _expect_bounded((letter.message for letter in page.items), "dead_letters")
        found += [letter.message.id for letter in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    expect_equal(sorted(found), sent, "dead letters in all pages")
    expect_equal(await harness.dead.requeue(sent), [True] * len(sent), "answers of requeue")


@check("k", 50, needs=Capability.RESULTS)
async def large_results_are_all_answered(harness: Harness) -> None:
    await harness.enqueue_count(MANY)
    deliveries = await harness.reserve()
    for number, delivery in enumerate(deliveries):
        await harness.settle(Complete(delivery.lease, bytes([number]) * MIB))
    outcomes = await harness.results.results([delivery.message.id for delivery in deliveries])
    firsts = [outcome and outcome.result and outcome.result[0] for outcome in outcomes]
    expect_equal([first or 0 for first in firsts], list(range(MANY)), "results, by first byte")


@check("", 60)
async def message_beyond_the_limit_is_refused(harness: Harness) -> None:
    """Check that a message larger than `max_message_bytes` is refused, and that no part of it is stored."""
    most = harness.driver.max_message_bytes
    if most is None:
        return
    expect(most > 2 * ENVELOPE, f"max_message_bytes is {most}, too little for any task")
    huge = harness.message(body=bytes(most + 1))
    try:
        await harness.driver.enqueue([huge])
    except DriverError:
        pass
    else:
        raise AssertionError(f"a body of {most + 1:,} bytes was accepted")
    await harness.expect_counts()
    await harness.expect_nothing_ready("a message that was refused was delivered")


@check("", 20, 59, 60)
async def chunk_with_a_message_beyond_the_limit(harness: Harness) -> None:
    """With ATOMIC no message of the chunk is stored; otherwise the error has the outcome of each message."""
    most = harness.driver.max_message_bytes
    if most is None:
        return
    chunk = [harness.message(), harness.message(body=bytes(most + 1)), harness.message()]
    accepted: list[bytes] = []
    try:
        await harness.driver.enqueue(chunk)
    except EnqueuedPartly as error:
        expect(not harness.has(Capability.ATOMIC), "a driver with ATOMIC raised EnqueuedPartly")
        expect_equal(len(error.answers), len(chunk), "answers of EnqueuedPartly")
        expect(
            isinstance(error.answers[1], DriverError), "a message that is too large was accepted"
        )
        accepted = [answer.id for answer in error.answers if isinstance(answer, Enqueued)]
    except DriverError:
        pass
    else:
        raise AssertionError(f"a body of {most + 1:,} bytes was accepted")
    await harness.expect_delivered(accepted, "messages of a chunk that was refused in part")
