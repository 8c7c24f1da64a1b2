"""SCHEMA: tables that are brought up to date without losing what they hold."""

from asynctasq.contracts.capabilities import Capability
from asynctasq.testing.conformance.check import check
from asynctasq.testing.conformance.kit import Kit, expect, expect_equal

NEEDS = Capability.SCHEMA


@check("", 38, needs=NEEDS)
async def opened_store_has_the_needed_schema(kit: Kit) -> None:
    state = await kit.schema.schema()
    expect(state.needed >= 1, f"needed version of the schema: {state.needed}")
    expect_equal(state.current, state.needed, "version of the schema after open")


@check("a", 38, needs=NEEDS)
async def migrating_a_current_schema_changes_nothing(kit: Kit) -> None:
    message = await kit.enqueue()
    for _ in range(2):
        expect_equal(list(await kit.schema.migrate()), [], "steps taken when none are needed")
    expect_equal((await kit.lease()).message, message, "the message after migrate")
