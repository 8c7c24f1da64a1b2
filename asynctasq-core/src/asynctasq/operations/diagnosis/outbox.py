"""Check: the outbox in the database of the application."""

from collections.abc import Sequence

from asynctasq.contracts.capabilities.outbox import OUTBOX_BOUND
from asynctasq.operations.diagnosis.finding import Finding, Status, not_checked, ok
from asynctasq.operations.diagnosis.subject import Subject

BACKLOG_SECONDS = 60.0
"""Age of the oldest waiting message from which on the relay is late."""


async def check_outbox(subject: Subject) -> Sequence[Finding]:
    """Report messages that a relay has not sent yet, and those that were set aside."""
    if subject.outbox is None:
        return [not_checked("outbox", "The application has no outbox.")]
    outbox = await subject.outbox.open()
    try:
        state = await outbox.state()
    finally:
        await outbox.close()
    findings: list[Finding] = []
    if state.set_aside:
        findings.append(
            Finding(
                "outbox",
                Status.WARNING,
                f"{_number(state.set_aside)} messages were set aside.",
                "To see them: asynctasq outbox",
            )
        )
    if state.waiting and state.oldest >= BACKLOG_SECONDS:
        findings.append(
            Finding(
                "outbox",
                Status.PROBLEM,
                f"{_number(state.waiting)} messages wait, the oldest for {state.oldest:,.0f} s.",
                "Start a worker of this application: it sends them.",
            )
        )
    return findings or [ok("outbox", f"{_number(state.waiting)} messages wait.")]


def _number(count: int) -> str:
    return f"{count:,}{'+' if count >= OUTBOX_BOUND else ''}"
