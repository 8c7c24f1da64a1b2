"""Plans: calls in a transaction of the application. Nothing is repeated or cached in them."""

from collections.abc import Sequence

from asynctasq.contracts.capabilities.transactions import Plan
from asynctasq.contracts.driver import Enqueued
from asynctasq.message import CancelOutcome, Lease, Message
from asynctasq.settlement import Complete, Settled
from asynctasq_mysql.enqueueing import enqueue_steps
from asynctasq_mysql.settling import cancel_steps, settle_steps
from asynctasq_mysql.steps import Steps, plan_of
from asynctasq_mysql.store import Store
from asynctasq_mysql.unique_enqueueing import unique_enqueue_steps


def plan_enqueue(store: Store, messages: Sequence[Message]) -> Plan[list[Enqueued]]:
    """Plan an enqueue."""
    return plan_of(_enqueue(store, messages))


def _enqueue(store: Store, messages: Sequence[Message]) -> Steps[list[Enqueued]]:
    if not messages:
        return []
    names = dict.fromkeys(message.queue for message in messages)
    numbers = store.known_numbers(names)
    unknown = [name for name in names if name not in numbers]
    if unknown:
        # Not remembered: the application may roll back.
        numbers |= yield from store.number_steps(unknown, creates=True)
    has_unique = any(message.unique is not None for message in messages)
    steps = unique_enqueue_steps if has_unique else enqueue_steps
    return (yield from steps(store, messages, numbers))


def plan_cancel(store: Store, ids: Sequence[bytes]) -> Plan[list[CancelOutcome]]:
    """Plan a cancel."""
    return plan_of(cancel_steps(store, ids))


def plan_complete(
    store: Store, lease: Lease, result: bytes | None, result_ttl: float
) -> Plan[Settled]:
    """Plan a settle with one completion."""

    def steps() -> Steps[Settled]:
        [answer] = yield from settle_steps(store, [Complete(lease, result, result_ttl)])
        return answer

    return plan_of(steps())
