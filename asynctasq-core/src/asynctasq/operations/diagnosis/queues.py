"""Checks: queues that no worker serves, and paused queues."""

from collections.abc import Mapping, Sequence

from asynctasq.contracts.capabilities import Capability, SupportsInspect, SupportsPause
from asynctasq.contracts.driver import Driver, QueueCounts
from asynctasq.operations.diagnosis.finding import Finding, Status, listed, not_checked, ok
from asynctasq.operations.diagnosis.subject import Subject
from asynctasq.operations.hints import list_workers
from asynctasq.operations.queues import COUNT_BOUND, count_text


async def check_queues(subject: Subject, driver: Driver) -> Sequence[Finding]:
    """Report each queue with messages that wait and without a live worker, unless it is paused."""
    workers = await list_workers(driver)
    if workers is None:
        return [not_checked("queues", "The driver has no registry of workers.")]
    counts = await _counts(subject, driver)
    paused = await _paused(driver) or frozenset()
    findings = [
        _unserved(name, count, is_resting=bool(workers.serving(name)))
        for name, count in counts.items()
        if (count.ready or count.scheduled) and name not in paused and not workers.taking(name)
    ]
    return findings or [ok("queues", "Each queue with waiting messages is paused or has a worker.")]


async def check_paused(_: Subject, driver: Driver) -> Sequence[Finding]:
    """Report the paused queues."""
    paused = await _paused(driver)
    if paused is None:
        return [not_checked("paused", "The driver cannot pause queues.")]
    if not paused:
        return [ok("paused", "No queue is paused.")]
    names = sorted(paused)
    return [
        Finding(
            "paused",
            Status.WARNING,
            f"Paused: {listed(names)}.",
            f"To resume it: asynctasq queues resume {names[0]}",
        )
    ]


def _unserved(name: str, count: QueueCounts, *, is_resting: bool) -> Finding:
    start = f"Start one: asynctasq worker --app MODULE --queues {name}"
    if is_resting:
        text = f"All workers of {name} are quiet or stopping, and messages wait."
        resume = f"To resume quiet ones: asynctasq workers resume --queue {name}"
        return Finding("queues", Status.WARNING, text, resume)
    if count.ready:
        text = f"No worker serves {name}, in which {count_text(count.ready)} messages are ready."
        return Finding("queues", Status.PROBLEM, text, start)
    text = (
        f"No worker serves {name}, in which {count_text(count.scheduled)} messages are scheduled."
    )
    return Finding("queues", Status.WARNING, text, start)


async def _counts(subject: Subject, driver: Driver) -> Mapping[str, QueueCounts]:
    """Count the messages of all queues; of those that the application names if the driver cannot list queues."""
    if Capability.INSPECT in driver.capabilities and isinstance(driver, SupportsInspect):
        return {
            each.name: QueueCounts(ready=each.ready, scheduled=each.scheduled)
            for each in await driver.queues(bound=COUNT_BOUND)
        }
    return {
        name: await driver.count(name, bound=COUNT_BOUND) for name in sorted(set(subject.queues))
    }


async def _paused(driver: Driver) -> frozenset[str] | None:
    if Capability.PAUSE in driver.capabilities and isinstance(driver, SupportsPause):
        return await driver.paused()
    return None
