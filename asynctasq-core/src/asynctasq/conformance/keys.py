"""UNIQUE: keys that are long or strange, compared character by character."""

from collections.abc import Sequence

from asynctasq.conformance.check import check
from asynctasq.conformance.harness import Harness, expect, expect_equal, random_name
from asynctasq.contracts.capabilities import Capability
from asynctasq.errors import DriverError
from asynctasq.message import Unique

NEEDS = Capability.UNIQUE
LONG = 10_000
"""Characters."""


async def _expect_told_apart(harness: Harness, keys: Sequence[str]) -> None:
    """Check that each key belongs to its own message, and that a second message with it learns which."""
    holders = [harness.message(unique=Unique(key)) for key in keys]
    await harness.enqueue_all(holders)
    answers = await harness.clone.enqueue([harness.message(unique=Unique(key)) for key in keys])
    expect_equal(
        [(answer.id, answer.created) for answer in answers],
        [(holder.id, False) for holder in holders],
        "answers for keys that are held",
    )


@check("e", 24, needs=NEEDS)
async def keys_of_ten_thousand_characters(harness: Harness) -> None:
    """Keys that differ in their last character only."""
    base = random_name("key") + "x" * LONG
    await _expect_told_apart(harness, [base, base + "a", base + "b"])


@check("e", 24, needs=NEEDS)
async def keys_with_control_characters_and_in_another_case(harness: Harness) -> None:
    base = random_name("key")
    await _expect_told_apart(
        harness, [base, f"{base}\0", f"{base}\0a", f"{base}\0A", f"{base}\n", f"{base}\x7f"]
    )


@check("e", 24, needs=NEEDS)
async def key_that_is_not_unicode(harness: Harness) -> None:
    """Check that a lone surrogate is stored as it is, or the message refused, without harm to others."""
    key = random_name("key") + "\ud800"
    first, good = harness.message(unique=Unique(key)), await harness.enqueue()
    try:
        await harness.driver.enqueue([first])
    except DriverError:
        await harness.expect_counts(ready=1)
    else:
        [answer] = await harness.driver.enqueue([harness.message(unique=Unique(key))])
        expect_equal(
            (answer.id, answer.created), (first.id, False), "answer for a key that is held"
        )
    expect(
        good.id in {delivery.message.id for delivery in await harness.reserve()},
        "a message beside one with a strange key is not delivered",
    )
