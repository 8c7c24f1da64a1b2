"""The end of a message of the queue: what is recorded in the state store, before the queue removes it."""

from asynctasq.contracts.capabilities import News
from asynctasq.contracts.capabilities.deaths import Death
from asynctasq.contracts.capabilities.state import Adopted, Ended
from asynctasq.drivers.composed.placing import Limits
from asynctasq.message import Delivery, State
from asynctasq.settlement import Cancelled, Complete, Fail, Release, Retry, Settlement


def end_of(delivery: Delivery, settlement: Settlement) -> Ended | None:
    """Return the end that a settlement gives to a message; None if it will run again."""
    message, counted = delivery.message, delivery.attempt + 1
    match settlement:
        case Complete(result=result, result_ttl=ttl, about=about):
            return Ended(
                message,
                State.COMPLETED,
                delivery.enqueued_at,
                result,
                ttl,
                attempts=counted,
                lost=delivery.lost,
                about=about,
            )
        case Cancelled(result_ttl=ttl, about=about):
            return cancelled(delivery, ttl=ttl, about=about)
        case Fail(reason=reason, error=error, attempted=attempted, about=about):
            return Ended(
                message,
                State.DEAD,
                delivery.enqueued_at,
                result_ttl=message.result_ttl,
                reason=reason,
                error=error,
                attempts=counted if attempted else delivery.attempt,
                lost=delivery.lost,
                about=about,
            )
        case _:
            return None


def cancelled(delivery: Delivery, *, ttl: float | None = None, about: bytes = b"") -> Ended:
    """Return the end of a message that is cancelled."""
    message = delivery.message
    return Ended(
        message,
        State.CANCELLED,
        delivery.enqueued_at,
        result_ttl=message.result_ttl if ttl is None else ttl,
        attempts=delivery.attempt,
        lost=delivery.lost,
        about=about,
    )


def end_of_death(death: Death) -> Ended:
    """Return the dead letter of a message that the queue must not deliver."""
    delivery = death.delivery
    return Ended(
        delivery.message,
        State.DEAD,
        delivery.enqueued_at,
        result_ttl=delivery.message.result_ttl,
        reason=death.reason,
        attempts=delivery.attempt,
        lost=delivery.lost,
    )


def news_of(end: Ended) -> News:
    """Return the report of a message that died without a worker."""
    message = end.message
    return News(
        message.id, message.queue, message.task, end.state, end.reason, end.attempts, end.lost
    )


def moved(
    delivery: Delivery,
    settlement: Settlement,
    limits: Limits,
    now: float,
    *,
    may_have_copy: bool,
) -> Adopted | None:
    """Return the record of a message that moves into the state store; None if it stays in the queue.

    Args:
        delivery: the message, as the queue delivered it.
        settlement: of its lease.
        limits: of the queue.
        now: seconds since the Unix epoch.
        may_have_copy: the queue may have another copy, which must not run beside the next attempt.
    """
    if not isinstance(settlement, Retry | Release):
        return None
    if limits.fits_delay(settlement.delay) and not may_have_copy:
        return None
    return Adopted(
        delivery.message,
        now + settlement.delay,
        delivery.enqueued_at,
        delivery.attempt + isinstance(settlement, Retry),
        delivery.lost,
        settlement.error,
    )


def acknowledgement(delivery: Delivery) -> Complete:
    """Return the settlement by which the queue removes a message."""
    return Complete(delivery.lease, None, 0.0)
