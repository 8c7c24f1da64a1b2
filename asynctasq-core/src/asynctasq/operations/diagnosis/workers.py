"""Check: the live workers."""

from collections.abc import Sequence

from asynctasq.contracts.driver import Driver
from asynctasq.operations.diagnosis.finding import Finding, Status, listed, not_checked, ok
from asynctasq.operations.diagnosis.subject import Subject
from asynctasq.operations.hints import list_workers

START = "Start one: asynctasq worker --app MODULE"


async def check_workers(_: Subject, driver: Driver) -> Sequence[Finding]:
    """Count the live workers of each queue, and report those whose heartbeat is late."""
    workers = await list_workers(driver)
    if workers is None:
        return [not_checked("workers", "The driver has no registry of workers.")]
    findings = [
        Finding(
            "workers",
            Status.WARNING,
            f"The last heartbeat of {each.id} was {workers.now - each.seen_at:.0f} s ago.",
            f"Check whether the process {each.pid} on {each.host} runs and reaches the store.",
        )
        for each in workers.late
    ]
    queues = sorted({queue for each in workers.alive for queue in each.queues})
    served = [f"{queue} {len(workers.serving(queue))}" for queue in queues]
    if served:
        findings.append(ok("workers", f"Live workers by queue: {listed(served, 10)}."))
    else:
        findings.append(Finding("workers", Status.WARNING, "There is no live worker.", START))
    return findings
