"""SCHEMA: tables are brought up to date without losing messages."""

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import Harness, expect, expect_equal
from asynctasq.contracts.capabilities import Capability

NEEDS = Capability.SCHEMA


@check("", 38, needs=NEEDS)
async def opened_store_has_the_needed_schema(harness: Harness) -> None:
    state = await harness.schema.schema()
    expect(state.needed >= 1, f"needed version of the schema: {state.needed}")
    expect_equal(state.current, state.needed, "version of the schema after open")
    expect(
        1 <= state.oldest <= state.needed, f"oldest usable version of the schema: {state.oldest}"
    )


@check("a", 38, needs=NEEDS)
async def migrating_a_current_schema_changes_nothing(harness: Harness) -> None:
    message = await harness.enqueue()
    for _ in range(2):
        planned = list(await harness.schema.migrate(dry_run=True))
        expect_equal(planned, [], "statements planned when none are needed")
        expect_equal(list(await harness.schema.migrate()), [], "steps taken when none are needed")
    expect_equal((await harness.lease()).message, message, "the message after migrate")
