"""What a worker keeps with the outcome of a message."""

import time

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
from asynctasq.worker.in_flight import InFlightMessage

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


@pytest.mark.parametrize("attempts", [0xFFFF, 1 << 63, -7])
def test_numbers_of_attempts_that_do_not_fit_are_cut_by_the_writer(attempts: int) -> None:
    settlement = Complete(LEASE)
    held = InFlightMessage(Delivery(MESSAGE, LEASE, attempts, 0, 100.0))
    AboutWriter("w").attach([(held, settlement)])
    found = unpack_about(settlement.about)
    assert found is not None
    assert found.attempts == 0xFFFF


def test_times_of_the_run_are_those_of_the_wall_clock() -> None:
    settlement = Complete(LEASE)
    held = InFlightMessage(Delivery(MESSAGE, LEASE, 0, 0, 100.0))
    held.started_at = time.monotonic()
    held.ended_at = held.started_at + 2.0
    before = time.time()
    AboutWriter("w").attach([(held, settlement)])
    found = unpack_about(settlement.about)
    assert found is not None
    assert abs(found.started_at - before) < 60.0
    assert found.seconds == pytest.approx(2.0, abs=1e-5)


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
    AboutWriter("web-1.example:4711:ab12cd").attach([(InFlightMessage(delivery), settlement)])
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
        AboutWriter("w").attach([(InFlightMessage(delivery), settlement)])
        assert not hasattr(settlement, "about")
