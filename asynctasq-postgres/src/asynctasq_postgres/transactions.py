"""Plans of calls within a transaction of the application."""

from collections.abc import Sequence

from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.contracts.capabilities.transactions import Plan
from asynctasq.contracts.driver import Enqueued
from asynctasq.driverkit.packing import ID_BYTES
from asynctasq.errors import DriverError
from asynctasq.message import Lease, Message
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


def plan_complete(
    context: CallContext, lease: Lease, result: bytes | None, result_ttl: float
) -> Plan[Settled]:
    """Plan the call that completes a message."""
    if type(lease.token) is not int or len(lease.id) != ID_BYTES:
        return Settled.LOST
    sent = [Complete(lease, result, result_ttl)]
    [(held, _, store)] = yield statement(
        context.calls["complete_in_transaction"], completion(context, sent)
    )
    _check_store(context, store)
    return Settled.DONE if held is None else Settled.LOST


def _check_store(context: CallContext, store: str) -> None:
    """Refuse a transaction of another database: a copy of it has the same tables.

    Raises:
        DriverError: the application must roll back.
    """
    if context.store and store != context.store:
        raise DriverError(
            f"The transaction must be one of the database of {context.place}, got one of another database. Roll "
            f"it back, and pass a connection to the database that the driver uses."
        )
