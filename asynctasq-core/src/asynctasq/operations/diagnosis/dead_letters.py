"""Check: dead letters."""

from collections.abc import Sequence

from asynctasq.contracts.capabilities import Capability, SupportsInspect
from asynctasq.contracts.driver import Driver
from asynctasq.operations.diagnosis.finding import Finding, Status, listed, not_checked, ok
from asynctasq.operations.diagnosis.subject import Subject
from asynctasq.operations.queues import COUNT_BOUND, count_text


async def check_dead_letters(subject: Subject, driver: Driver) -> Sequence[Finding]:
    """Count the dead letters of each queue."""
    if Capability.DEAD_LETTERS not in driver.capabilities:
        return [not_checked("dead-letters", "The driver keeps no dead letters.")]
    counts: list[tuple[str, int | None]]
    if Capability.INSPECT in driver.capabilities and isinstance(driver, SupportsInspect):
        counts = [(each.name, each.dead) for each in await driver.queues(bound=COUNT_BOUND)]
    else:
        counts = [
            (name, (await driver.count(name, bound=COUNT_BOUND)).dead)
            for name in sorted(set(subject.queues))
        ]
    some = [f"{name} {count_text(dead)}" for name, dead in counts if dead]
    if not some:
        return [ok("dead-letters", "There are none.")]
    return [
        Finding(
            "dead-letters",
            Status.WARNING,
            f"Dead letters by queue: {listed(some)}.",
            "To see them: asynctasq dead",
        )
    ]
