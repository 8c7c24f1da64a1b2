"""Plans of calls within a transaction of the application."""

from collections.abc import Sequence

from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.contracts.capabilities.transactions import Plan
from asynctasq.contracts.driver import Enqueued
from asynctasq.driverkit.numbers import can_settle
from asynctasq.driverkit.packing import ID_BYTES, check_id
from asynctasq.driverkit.sql import STATES, other_database
from asynctasq.message import Message, State
from asynctasq.settlement import Complete, Settled
from asynctasq_postgres.enqueueing import Chunk
from asynctasq_postgres.queries import statement
from asynctasq_postgres.server import CallContext
from asynctasq_postgres.settling import cancel_answers, cancel_parameters, completion


def plan_enqueue(context: CallContext, messages: Sequence[Message]) -> Plan[list[Enqueued]]:
    """Plan the call that adds messages: one statement, whatever their number."""
    if not messages:
        return []
    chunk = Chunk(messages)
    [(known, holders, _, store)] = yield statement(
        context.calls["enqueue_in_transaction"],
        chunk.parameters(context.settings.namespace, context.shift),
    )
    _check_store(context, store)
    return chunk.answers(known, None if holders is None else bytes(holders))


def plan_cancel(context: CallContext, ids: Sequence[bytes]) -> Plan[list[CancelOutcome]]:
    """Plan the call that cancels messages."""
    if not ids:
        return []
    [(answers, _, store)] = yield statement(
        context.calls["cancel_in_transaction"], cancel_parameters(context, ids)
    )
    _check_store(context, store)
    return cancel_answers(ids, answers)


def plan_complete(context: CallContext, settlement: Complete) -> Plan[Settled]:
    """Plan the call that completes a message."""
    lease = settlement.lease
    if type(lease.token) is not int or len(lease.id) != ID_BYTES:
        return Settled.LOST
    if not can_settle(settlement):
        return Settled.REFUSED
    [(held, _, store)] = yield statement(
        context.calls["complete_in_transaction"], completion(context, [settlement])
    )
    _check_store(context, store)
    return Settled.DONE if held is None else Settled.LOST


def plan_states(context: CallContext, ids: Sequence[bytes]) -> Plan[list[State | None]]:
    """Plan a look at messages and outcomes."""
    if not ids:
        return []
    rows = yield statement(
        context.calls["states_in_transaction"],
        (context.settings.namespace, _joined(ids), context.shift),
    )
    states: list[State | None] = [None] * len(ids)
    for n, state, store in rows:
        _check_store(context, store)
        if n:
            states[n - 1] = STATES.get(state, State.READY)
    return states


def _check_store(context: CallContext, store: str) -> None:
    """Refuse a transaction of another database: a copy of it has the same tables.

    Raises:
        TransactionError: the application must roll back.
    """
    if context.store and store != context.store:
        raise other_database(context.place, "another database")


def _joined(ids: Sequence[bytes]) -> bytes:
    for message_id in ids:
        check_id(message_id)
    return b"".join(ids)
