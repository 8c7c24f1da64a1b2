"""Ending leases, cancelling, progress."""

from collections.abc import Sequence
from typing import Any

from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.driverkit.numbers import can_settle
from asynctasq.driverkit.packing import ID_BYTES, check_id, pack_error
from asynctasq.driverkit.times import kept_for, micros
from asynctasq.message import Lease
from asynctasq.records import record
from asynctasq.settlement import Cancelled, Complete, Fail, Release, Retry, Settled, Settlement
from asynctasq_postgres.enqueueing import VALUE_LIMIT
from asynctasq_postgres.server import CallContext, Server

COMPLETE, RETRY, FAIL, RELEASE, CANCELLED = range(1, 6)
"""Kinds of settlements as the function `settle` takes them."""
CANCEL_OUTCOMES = (
    CancelOutcome.CANCELLED,
    CancelOutcome.REQUESTED,
    CancelOutcome.TOO_LATE,
    CancelOutcome.UNKNOWN,
)
_TOKENS = 1 << 63


@record
class Answer:
    """The answer to a batch of settlements."""

    settled: list[Settled]
    ended: list[bytes]
    """Messages for whose results a process waits; empty if none does."""
    died: int = 0
    wakes: Sequence[int] = ()
    """Numbers of queues to which messages came back while a process sleeps there."""


async def settle(server: Server, settlements: Sequence[Settlement]) -> Answer:
    """Settle leases in one call."""
    answers = [_refusal(each) for each in settlements]
    seen: set[tuple[bytes, int | str]] = set()
    places: list[int] = []
    for place, (each, answer) in enumerate(zip(settlements, answers, strict=True)):
        lease = (each.lease.id, each.lease.token)
        if answer is not None:
            continue
        if lease in seen:  # only the first of a batch can be current
            answers[place] = Settled.LOST
            continue
        seen.add(lease)
        places.append(place)
    # In the order of IDs, in which all calls lock messages.
    places.sort(key=lambda place: settlements[place].lease.id)
    sent = [settlements[place] for place in places]
    if not sent:
        return Answer([answer or Settled.LOST for answer in answers], [])
    died, wakes = 0, None
    if all(type(each) is Complete for each in sent):
        held, heard = (await server.rows("complete", *completion(server, sent)))[0]
    else:
        held, heard, died, wakes = (await server.rows("settle", *_mixed(server, sent)))[0]
    current = set(range(1, len(sent) + 1)) if held is None else set(held)
    for number, place in enumerate(places, 1):
        answers[place] = Settled.DONE if number in current else Settled.LOST
    ended = [sent[number - 1].lease.id for number in current] if heard else []
    return Answer([answer or Settled.LOST for answer in answers], ended, died, wakes or ())


def _refusal(settlement: Settlement) -> Settled | None:
    """Return the answer to a settlement that is not sent; None for one that is."""
    lease = settlement.lease
    if type(lease.token) is not int or not 0 <= lease.token < _TOKENS or len(lease.id) != ID_BYTES:
        return Settled.LOST
    if not can_settle(settlement):
        return Settled.REFUSED
    if type(settlement) is Complete and len(settlement.result or b"") > VALUE_LIMIT:
        return Settled.REFUSED
    return None


def completion(server: Server | CallContext, sent: Sequence[Any]) -> tuple[Any, ...]:
    """Return the parameters of the function that completes messages."""
    return (
        server.settings.namespace,
        b"".join([each.lease.id for each in sent]),
        [each.lease.token for each in sent],
        [each.result if each.result_ttl > 0.0 else None for each in sent],
        [each.about or None for each in sent],
        [micros(kept_for(each.result_ttl)) for each in sent],
        server.shift,
    )


def _mixed(server: Server, sent: Sequence[Settlement]) -> tuple[Any, ...]:
    columns = list(zip(*map(_columns, sent), strict=True))
    return (
        server.settings.namespace,
        b"".join([each.lease.id for each in sent]),
        [each.lease.token for each in sent],
        *map(list, columns),
        server.shift,
    )


def _columns(settlement: Settlement) -> tuple[Any, ...]:
    """Return kind, span, flag, reason, error, result and `about`."""
    match settlement:
        case Complete(result=result, result_ttl=ttl, about=about):
            kept = result if ttl > 0.0 else None
            return COMPLETE, micros(kept_for(ttl)), None, None, None, kept, about or None
        case Retry(delay=delay, error=error):
            return RETRY, max(micros(delay), 0), None, None, pack_error(error), None, None
        case Fail(reason=reason, error=error, attempted=attempted, about=about):
            return FAIL, 0, attempted, reason.value, pack_error(error), None, about or None
        case Release(delay=delay, mismatched=mismatched, error=error):
            why = pack_error(error) if mismatched and error is not None else None
            return RELEASE, max(micros(delay), 0), mismatched, None, why, None, None
        case Cancelled(result_ttl=ttl, about=about):
            return CANCELLED, micros(kept_for(ttl)), None, None, None, None, about or None


async def set_progress(server: Server, updates: Sequence[tuple[Lease, bytes]]) -> None:
    """Store the latest report of each message whose lease is current."""
    latest = {
        (lease.id, lease.token): report
        for lease, report in updates
        if type(lease.token) is int and len(lease.id) == ID_BYTES
    }
    if latest:
        await server.rows(
            "set_progress",
            server.settings.namespace,
            b"".join([message_id for message_id, _ in latest]),
            [token for _, token in latest],
            list(latest.values()),
        )


def cancel_parameters(server: Server | CallContext, ids: Sequence[bytes]) -> tuple[Any, ...]:
    """Return the parameters of the function that cancels messages, each named once."""
    for message_id in ids:
        check_id(message_id)
    return server.settings.namespace, b"".join(dict.fromkeys(ids)), server.shift


def cancel_answers(ids: Sequence[bytes], answers: Sequence[int]) -> list[CancelOutcome]:
    """Return the answers in the order of the IDs. A message that is named again was cancelled before."""
    by_id = dict(zip(dict.fromkeys(ids), answers, strict=True))
    found: list[CancelOutcome] = []
    for message_id in ids:
        answer = CANCEL_OUTCOMES[by_id[message_id] - 1]
        found.append(answer)
        if answer is CancelOutcome.CANCELLED:
            by_id[message_id] = CANCEL_OUTCOMES.index(CancelOutcome.TOO_LATE) + 1
    return found
