"""What a worker keeps with the outcome of a message."""

import pytest

from asynctasq.about import About, pack_names, pack_numbers, unpack_about
from asynctasq.message import Delivery, Lease, Message, new_id
from asynctasq.settlement import (
    ABOUT_BYTES,
    Cancelled,
    Complete,
    ErrorInfo,
    Fail,
    Reason,
    Release,
    Retry,
    Settlement,
)
from asynctasq.worker.about_writer import AboutWriter

MESSAGE = Message(new_id(), "mail.high", "shop.orders:Ship", b"body")
LEASE = Lease(MESSAGE.id, 1)
ERROR = ErrorInfo("ValueError", "no", "")


def packed(
    task: str,
    queue: str,
    worker: str,
    enqueued_at: float,
    due_at: float,
    started_at: float,
    ended_at: float,
    attempts: int,
) -> bytes:
    names = pack_names(task, queue, worker)
    assert names is not None
    return pack_numbers(enqueued_at, due_at, started_at, ended_at, attempts) + names


def test_about_comes_back() -> None:
    about = packed("größe", "q", "w-1", 1.5, 2.5, 3.5, 5.0, 7)
    assert unpack_about(about) == About("größe", "q", "w-1", 1.5, 2.5, 3.5, 5.0, 7)
    found = unpack_about(about)
    assert found is not None
    assert found.seconds == 1.5


@pytest.mark.parametrize("cut", range(0, 60, 7))
def test_damaged_bytes_say_nothing(cut: int) -> None:
    about = packed("task", "queue", "worker", 1.0, 1.0, 1.0, 1.0, 1)
    assert unpack_about(about[:cut]) is None or cut >= len(about)
    assert unpack_about(b"\xff" + about[1:]) is None


def test_names_that_are_too_long_are_left_out() -> None:
    assert pack_names("t" * ABOUT_BYTES, "q", "w") is None
    assert pack_names("t" * 70_000, "q", "w") is None


def test_a_huge_number_of_attempts_is_cut() -> None:
    found = unpack_about(packed("t", "q", "w", 1.0, 1.0, 1.0, 1.0, 1 << 20))
    assert found is not None
    assert found.attempts == 0xFFFF


@pytest.mark.parametrize(
    ("settlement", "attempts"),
    [
        (Complete(LEASE), 3),
        (Fail(LEASE, Reason.FAILED, ERROR), 3),
        (Fail(LEASE, Reason.UNDECODABLE, ERROR, attempted=False), 2),
        (Cancelled(LEASE), 2),
    ],
)
def test_settlements_that_end_a_message_say_which(settlement: Settlement, attempts: int) -> None:
    delivery = Delivery(MESSAGE, LEASE, 2, 0, 100.0, due_at=150.0)
    AboutWriter("web-1.example:4711:ab12cd").attach(settlement, delivery, 0.0)
    about: bytes = getattr(settlement, "about")  # noqa: B009 - not every settlement has it
    assert 60 <= len(about) <= 100
    found = unpack_about(about)
    assert found is not None
    assert (found.task, found.queue, found.worker) == (
        "shop.orders:Ship",
        "mail.high",
        "web-1.example:4711:ab12cd",
    )
    assert (found.enqueued_at, found.due_at, found.attempts) == (100.0, 150.0, attempts)
    assert found.started_at == found.ended_at


def test_other_settlements_have_none() -> None:
    delivery = Delivery(MESSAGE, LEASE, 2, 0, 100.0)
    for settlement in (Retry(LEASE, 1.0, ERROR), Release(LEASE)):
        AboutWriter("w").attach(settlement, delivery, 0.0)
        assert not hasattr(settlement, "about")
