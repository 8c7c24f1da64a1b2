"""Calls are bounded in bytes: a worker gets no more at once than it can hold, and misses nothing."""

from collections.abc import Iterable

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import ERROR, Harness, expect, expect_equal
from asynctasq.contracts.capabilities import Capability
from asynctasq.message import Message, State
from asynctasq.settlement import Complete, Fail, Reason

MIB = 1 << 20
MANY = 14
"""Messages of a MiB."""
MOST = 12 * MIB
"""Bytes. The rule says about 8 MB; this is so much that it is another order of magnitude."""


def _expect_bounded(messages: Iterable[Message], call: str) -> None:
    size = sum(len(message.body) for message in messages)
    expect(size <= MOST, f"one {call} gave {size / MIB:.0f} MiB; about 8 are allowed")


async def _large(harness: Harness) -> list[Message]:
    """Small messages before large ones."""
    small = await harness.enqueue_count(3)
    half = MANY // 2
    large = [await harness.enqueue_count(half, body=bytes(MIB)) for _ in range(2)]
    return [*small, *large[0], *large[1]]


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
