"""Making, opening, cloning and closing a driver."""

import asyncio

from asynctasq.conformance.check import check
from asynctasq.conformance.formatting import gave
from asynctasq.conformance.harness import ERROR, LEASE, Harness, expect, expect_equal
from asynctasq.contracts.capabilities import Capability, check_capabilities
from asynctasq.contracts.driver import DRIVER_API_VERSION
from asynctasq.message import Message
from asynctasq.settlement import Complete, Retry


@check("", 48)
async def flags_and_methods_agree(harness: Harness) -> None:
    check_capabilities(harness.driver, harness.driver.capabilities)


@check("", 48)
async def says_what_it_is(harness: Harness) -> None:
    """Check that `api_version`, `description` and `clock_offset` exist and have the right type."""
    expect_equal(harness.driver.api_version, DRIVER_API_VERSION, "api_version")
    expect(harness.driver.description.strip(), "description is empty")
    fresh = harness.driver.clone()
    offset = float(fresh.clock_offset)
    expect(offset in {0.0, harness.elapsed}, f"clock_offset of a fresh clone is {offset}")


@check("", 47)
async def clone_is_unopened(harness: Harness) -> None:
    clone = harness.driver.clone()
    expect(clone is not harness.driver, "clone returned the instance itself")
    expect_equal(type(clone), type(harness.driver), "type of the clone")
    expect_equal(clone.capabilities, harness.driver.capabilities, "capabilities of the clone")
    expect_equal(clone.description, harness.driver.description, "description of the clone")
    await clone.close()  # never opened: nothing to do, and no error
    message = await harness.enqueue()
    await harness.open(clone)
    [delivery] = await clone.reserve({harness.queue: 1}, limit=1, owner=harness.owner, lease=LEASE)
    expect_equal(delivery.message.id, message.id, "what the clone reserves")


@check("", 42)
async def close_is_idempotent_and_harms_no_clone(harness: Harness) -> None:
    [extra] = await harness.open_clones(1)
    await extra.close()
    await extra.close()
    delivery = await harness.enqueue_and_lease()
    await harness.settle(Complete(delivery.lease))
    await harness.expect_counts()


@check("", 42)
async def a_closed_instance_opens_again(harness: Harness) -> None:
    message = await harness.enqueue()
    [extra] = await harness.open_clones(1)
    await extra.close()
    await harness.open(extra)
    [delivery] = await extra.reserve({harness.queue: 1}, limit=1, owner=harness.owner, lease=LEASE)
    expect_equal(delivery.message.id, message.id, "what the reopened instance reserves")


@check("", 47)
async def a_clone_works_in_another_thread(harness: Harness) -> None:
    """Extend leases from a thread with its own loop and clone, as the lease renewer of a worker does."""
    delivery = await harness.enqueue_and_lease()
    clone = harness.driver.clone()

    async def extend_and_enqueue(message: Message) -> list[str]:
        await clone.open()
        clone.clock_offset = harness.elapsed
        try:
            await clone.enqueue([message])
            states = await clone.extend(harness.owner, [delivery.lease], lease=LEASE)
        finally:
            await clone.close()
        return [state.value for state in states]

    other = harness.message()
    states = await asyncio.to_thread(asyncio.run, extend_and_enqueue(other))
    expect_equal(states, ["held"], "answer of extend in the thread")
    again = await harness.lease()
    expect_equal(again.message.id, other.id, "message enqueued from the thread")


@check("", 48)
async def attributes_have_sensible_values(harness: Harness) -> None:
    """Check that `max_message_bytes`, `longest_delay` and `default_lease` are positive, and equal in a clone."""
    driver = harness.driver
    for name in ("max_message_bytes", "longest_delay", "default_lease", "clock_is_movable"):
        value = getattr(driver, name)
        expect_equal(getattr(harness.clone, name), value, f"{name} of a clone")
    expect(driver.default_lease > 0.0, f"default_lease is {driver.default_lease}")
    for limit in (driver.max_message_bytes, driver.longest_delay):
        expect(limit is None or limit >= 0, f"a limit of the driver is {limit}")


@check("a", 47, durable=True)
async def messages_outlive_the_last_open_instance(harness: Harness) -> None:
    """Check that ready and scheduled messages are unchanged when the store is opened again."""
    retried = await harness.enqueue_and_lease(body=b"retried")
    await harness.settle(Retry(retried.lease, 0.0, ERROR))
    scheduled = await harness.enqueue(body=b"scheduled", delay=LEASE / 2)
    await harness.driver.close()
    await harness.clone.close()
    harness.driver, harness.clone = await harness.open_clones(2)
    await harness.expect_counts(ready=1, scheduled=1)
    again = await harness.lease()
    expect_equal(again.message, retried.message, "the ready message after reopening")
    harness.expect_tries(again, attempt=1, lost=0)
    await harness.advance(LEASE * 0.6)
    due = await harness.lease()
    expect_equal(due.message, scheduled, "the scheduled message after reopening")
    await harness.settle(Complete(again.lease), Complete(due.lease))
    await harness.expect_counts()


@check("ab", 47, 61, needs=Capability.DETACHED, durable=True)
async def leases_outlive_their_connection(harness: Harness) -> None:
    """Check that a lease continues when the instance that reserved is closed, and its owner can settle."""
    leased = await harness.enqueue_and_lease(body=b"leased")
    await harness.driver.close()
    await harness.clone.close()
    harness.driver, harness.clone = await harness.open_clones(2)
    await harness.expect_nothing_ready("a leased message was delivered after reopening")
    await harness.expect_counts(leased=1)
    states = await harness.driver.extend(harness.owner, [leased.lease], lease=LEASE)
    expect_equal([state.value for state in states], ["held"], "answer of extend after reopening")
    await harness.settle(Complete(leased.lease))
    await harness.expect_counts()


@check("a", 47, needs=Capability.RESULTS, durable=True)
async def outcomes_outlive_the_last_open_instance(harness: Harness) -> None:
    delivery = await harness.enqueue_and_lease()
    await harness.settle(Complete(delivery.lease, b"result"))
    await harness.driver.close()
    await harness.clone.close()
    [harness.clone] = await harness.open_clones(1)
    [outcome] = await harness.results.results([delivery.message.id])
    expect(
        outcome is not None and outcome.result == b"result",
        gave("the outcome and its result after reopening", outcome),
    )
