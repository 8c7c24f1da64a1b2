"""Plans: calls in a transaction of the application. Nothing is repeated or cached in them."""

from collections.abc import Sequence
from typing import TypeVar

from asynctasq.contracts.capabilities.transactions import Plan
from asynctasq.contracts.driver import Enqueued
from asynctasq.driverkit.packing import check_id
from asynctasq.driverkit.sql import STATES, other_database
from asynctasq.message import CancelOutcome, Message, State
from asynctasq.settlement import Complete, Settled
from asynctasq_mysql.enqueueing import enqueue_steps
from asynctasq_mysql.settling import cancel_steps, settle_steps
from asynctasq_mysql.statements import json_of
from asynctasq_mysql.steps import Script, Steps, plan_of
from asynctasq_mysql.store import Store
from asynctasq_mysql.unique_enqueueing import unique_enqueue_steps

T = TypeVar("T")


def plan_enqueue(store: Store, messages: Sequence[Message]) -> Plan[list[Enqueued]]:
    """Plan an enqueue."""
    return plan_of(_in_store(store, _enqueue(store, messages)))


def _enqueue(store: Store, messages: Sequence[Message]) -> Steps[list[Enqueued]]:
    if not messages:
        return []
    names = dict.fromkeys(message.queue for message in messages)
    numbers = store.known_numbers(names)
    unknown = [name for name in names if name not in numbers]
    if unknown:
        # Not remembered: the application may roll back.
        numbers |= yield from store.number_steps(unknown)
    has_unique = any(message.unique is not None for message in messages)
    steps = unique_enqueue_steps if has_unique else enqueue_steps
    return (yield from steps(store, messages, numbers))


def plan_cancel(store: Store, ids: Sequence[bytes]) -> Plan[list[CancelOutcome]]:
    """Plan a cancel."""
    return plan_of(_in_store(store, cancel_steps(store, ids)))


def plan_complete(store: Store, settlement: Complete) -> Plan[Settled]:
    """Plan a settle with one completion."""

    def steps() -> Steps[Settled]:
        [answer] = yield from settle_steps(store, [settlement])
        return answer

    return plan_of(_in_store(store, steps()))


def plan_states(store: Store, ids: Sequence[bytes]) -> Plan[list[State | None]]:
    """Plan a look at messages and outcomes."""
    return plan_of(_in_store(store, _states(store, ids)))


def _states(store: Store, ids: Sequence[bytes]) -> Steps[list[State | None]]:
    for message_id in ids:
        check_id(message_id)
    text = store.sql.inspect["states"](store.offset, ids=json_of(ids), namespace=store.namespace)
    [answer] = yield Script([text])
    states: list[State | None] = [None] * len(ids)
    for n, state in answer.rows:
        states[int(n) - 1] = STATES.get(int(state), State.READY)
    return states


def _in_store(store: Store, steps: Steps[T]) -> Steps[T]:
    """Make sure that the transaction is one of this database, before anything is changed.

    Raises:
        TransactionError: it is not.
    """
    [answer] = yield Script([store.sql.store["identity"]()])
    if [bytes(row[0]) for row in answer.rows] != [store.identity]:
        steps.close()
        raise other_database(store.connections.description, "another database")
    return (yield from steps)
