"""Ends, notes and records of messages for the checks of STATE."""

from typing import TYPE_CHECKING

from asynctasq.conformance.harness import ERROR, Harness, expect_equal
from asynctasq.contracts.capabilities import Capability, Outcome
from asynctasq.message import Message, State
from asynctasq.settlement import ABOUT_BYTES, Reason

if TYPE_CHECKING:
    from asynctasq.contracts.capabilities.state import Adopted, Ended, Mark, NoteKind, SupportsState

NEEDS = Capability.STATE
FULL = NEEDS | Capability.RESULTS | Capability.CANCEL | Capability.DEAD_LETTERS


def state_of(harness: Harness) -> "SupportsState":
    from asynctasq.contracts.capabilities.state import SupportsState

    driver = harness.clone
    assert isinstance(driver, SupportsState)  # `check_capabilities` has made sure
    return driver


def completed(message: Message, result: bytes | None = b"result", ttl: float = 500.0) -> "Ended":
    from asynctasq.contracts.capabilities.state import Ended

    return Ended(
        message, State.COMPLETED, enqueued_at=1e9, result=result, result_ttl=ttl, about=b"about"
    )


def cancelled(message: Message) -> "Ended":
    from asynctasq.contracts.capabilities.state import Ended

    return Ended(message, State.CANCELLED, enqueued_at=1e9)


def dead_letter(message: Message) -> "Ended":
    from asynctasq.contracts.capabilities.state import Ended

    return Ended(
        message,
        State.DEAD,
        enqueued_at=1_700_000_000.5,
        reason=Reason.FAILED,
        error=ERROR,
        attempts=3,
        lost=2,
        about=b"\x00" * ABOUT_BYTES,
    )


async def adopted(harness: Harness, message: Message, delay: float = 0.0) -> "Adopted":
    """Return the record of a message that is due after a delay, by the store's clock."""
    from asynctasq.contracts.capabilities.state import Adopted

    [now] = [(await harness.enqueue_and_lease(queue=f"{harness.queue}-clock")).enqueued_at]
    return Adopted(message, now + delay, 1_700_000_000.5, 4, 2, ERROR)


async def expect_marks(harness: Harness, *expected: "tuple[bytes, Mark]") -> None:
    from asynctasq.contracts.capabilities.state import SupportsState

    ids = [message_id for message_id, _ in expected]
    for driver in (harness.driver, harness.clone):
        assert isinstance(driver, SupportsState)
        expect_equal(await driver.marks(ids), [mark for _, mark in expected], "marks")


async def note(
    harness: Harness, message_id: bytes, kind: "NoteKind", value: bytes = b"", ttl: float = 100.0
) -> None:
    from asynctasq.contracts.capabilities.state import Note

    await state_of(harness).note([Note(message_id, kind, value, ttl)])


async def outcomes(harness: Harness, *messages: Message) -> list[Outcome | None]:
    return await harness.results.results([message.id for message in messages])
