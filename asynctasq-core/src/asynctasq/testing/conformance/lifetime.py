"""Making, opening, cloning and closing a driver."""

import asyncio

from asynctasq.contracts.capabilities import Capability, check_capabilities
from asynctasq.contracts.driver import DRIVER_API_VERSION
from asynctasq.message import Message
from asynctasq.settlement import Complete, Retry
from asynctasq.testing.conformance.check import check
from asynctasq.testing.conformance.kit import ERROR, LEASE, Kit, expect, expect_equal
from asynctasq.testing.conformance.showing import gave


@check("", 48)
async def flags_and_methods_agree(kit: Kit) -> None:
    check_capabilities(kit.driver, kit.driver.capabilities)


@check("", 48)
async def says_what_it_is(kit: Kit) -> None:
    """`api_version`, `description` and `clock_offset` are there, and of the right kind."""
    expect_equal(kit.driver.api_version, DRIVER_API_VERSION, "api_version")
    expect(kit.driver.description.strip(), "description is empty")
    fresh = kit.driver.clone()
    offset = float(fresh.clock_offset)
    expect(offset in {0.0, kit.elapsed}, f"clock_offset of a fresh clone is {offset}")


@check("", 47)
async def clone_is_an_unopened_twin(kit: Kit) -> None:
    twin = kit.driver.clone()
    expect(twin is not kit.driver, "clone returned the instance itself")
    expect_equal(type(twin), type(kit.driver), "type of the clone")
    expect_equal(twin.capabilities, kit.driver.capabilities, "capabilities of the clone")
    expect_equal(twin.description, kit.driver.description, "description of the clone")
    await twin.close()  # never opened: nothing to do, and no error
    message = await kit.enqueue()
    await kit.open(twin)
    [delivery] = await twin.reserve({kit.queue: 1}, limit=1, owner=kit.owner, lease=LEASE)
    expect_equal(delivery.message.id, message.id, "what the twin reserves")


@check("", 42)
async def close_is_idempotent_and_harms_no_twin(kit: Kit) -> None:
    [extra] = await kit.open_twins(1)
    await extra.close()
    await extra.close()
    delivery = await kit.enqueue_and_lease()
    await kit.settle(Complete(delivery.lease))
    await kit.expect_counts()


@check("", 42)
async def a_closed_instance_opens_again(kit: Kit) -> None:
    message = await kit.enqueue()
    [extra] = await kit.open_twins(1)
    await extra.close()
    await kit.open(extra)
    [delivery] = await extra.reserve({kit.queue: 1}, limit=1, owner=kit.owner, lease=LEASE)
    expect_equal(delivery.message.id, message.id, "what the reopened instance reserves")


@check("", 47)
async def a_twin_works_in_another_thread(kit: Kit) -> None:
    """The worker's keeper extends leases from a thread with a loop and a twin of its own."""
    delivery = await kit.enqueue_and_lease()
    twin = kit.driver.clone()

    async def extend_and_enqueue(message: Message) -> list[str]:
        await twin.open()
        twin.clock_offset = kit.elapsed
        try:
            await twin.enqueue([message])
            states = await twin.extend(kit.owner, [delivery.lease], lease=LEASE)
        finally:
            await twin.close()
        return [state.value for state in states]

    other = kit.message()
    states = await asyncio.to_thread(asyncio.run, extend_and_enqueue(other))
    expect_equal(states, ["held"], "answer of extend in the thread")
    again = await kit.lease()
    expect_equal(again.message.id, other.id, "message enqueued from the thread")


@check("a", 47, durable=True)
async def messages_outlive_the_last_open_instance(kit: Kit) -> None:
    """Ready, scheduled and leased messages are there, as they were, when the store is opened again."""
    leased = await kit.enqueue_and_lease(body=b"leased")
    retried = await kit.enqueue_and_lease(body=b"retried")
    await kit.settle(Retry(retried.lease, 0.0, ERROR))
    scheduled = await kit.enqueue(body=b"scheduled", delay=LEASE / 2)
    await kit.driver.close()
    await kit.twin.close()
    [reopened] = await kit.open_twins(1)
    kit.twin = reopened
    await kit.open(kit.driver)
    await kit.expect_counts(ready=1, scheduled=1, leased=1)
    again = await kit.lease()
    expect_equal(again.message, retried.message, "the ready message after reopening")
    kit.expect_tries(again, attempt=1, lost=0)
    await kit.advance(LEASE * 0.6)
    due = await kit.lease()
    expect_equal(due.message, scheduled, "the scheduled message after reopening")
    await kit.settle(Complete(leased.lease), Complete(again.lease), Complete(due.lease))
    await kit.expect_counts()


@check("a", 47, needs=Capability.RESULTS, durable=True)
async def outcomes_outlive_the_last_open_instance(kit: Kit) -> None:
    delivery = await kit.enqueue_and_lease()
    await kit.settle(Complete(delivery.lease, b"result"))
    await kit.driver.close()
    await kit.twin.close()
    [kit.twin] = await kit.open_twins(1)
    [outcome] = await kit.results.results([delivery.message.id])
    expect(
        outcome is not None and outcome.result == b"result",
        gave("the outcome and its result after reopening", outcome),
    )
