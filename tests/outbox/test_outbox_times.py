"""A message keeps the times of its dispatch, however long it waits in the outbox."""

import time

import pytest

from asynctasq.dispatch.outbox import as_dispatched_before
from asynctasq.message import Message, new_id


def message(delay: float = 0.0, eta: float | None = None, expires: float | None = None) -> Message:
    return Message(new_id(), "default", "shop.ship", b"", delay=delay, eta=eta, expires=expires)


@pytest.mark.parametrize(
    ("delay", "expires", "age", "left"),
    [
        (0.0, None, 100.0, (0.0, None)),
        (30.0, None, 10.0, (20.0, None)),
        (30.0, None, 31.0, (0.0, None)),
        (0.0, 60.0, 20.0, (0.0, 40.0)),
        (0.0, 60.0, 61.0, (0.0, 0.0)),
        (30.0, 60.0, 20.0, (10.0, 60.0)),
        (30.0, 60.0, 40.0, (0.0, 50.0)),
        (30.0, 60.0, 0.0, (30.0, 60.0)),
    ],
)
def test_times_that_are_left(
    delay: float, expires: float | None, age: float, left: tuple[float, float | None]
) -> None:
    sent = as_dispatched_before(message(delay, expires=expires), age)
    assert (sent.delay, sent.expires) == left


def test_eta_is_kept_and_a_message_that_is_late_expires_earlier() -> None:
    early = message(eta=time.time() + 1000.0, expires=60.0)
    late = message(eta=time.time() - 40.0, expires=60.0)
    assert as_dispatched_before(early, 10.0) == early
    sent = as_dispatched_before(late, 50.0)
    assert sent.eta == late.eta
    assert sent.expires is not None
    assert 0.0 < sent.expires <= 20.0


def test_message_without_times_is_sent_as_it_is() -> None:
    plain = message()
    assert as_dispatched_before(plain, 5.0) is plain
