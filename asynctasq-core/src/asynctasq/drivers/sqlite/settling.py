"""Ending leases, cancelling, progress."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import orjson

from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.driverkit.numbers import can_settle
from asynctasq.driverkit.packing import ID_BYTES, pack_error
from asynctasq.driverkit.sql import (
    BLOCKED,
    DEAD,
    LEASED,
    BatchMismatch,
    Completions,
    completions_of,
)
from asynctasq.driverkit.times import kept_for, micros
from asynctasq.drivers.sqlite.codec import BLOB_LIMIT, VALUE_LIMIT, join_ids
from asynctasq.drivers.sqlite.damage import NUMBER_LIMIT
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.rows import as_micros
from asynctasq.drivers.sqlite.session import Session
from asynctasq.drivers.sqlite.steps import Steps
from asynctasq.message import Lease
from asynctasq.records import record
from asynctasq.settlement import Cancelled, Complete, Fail, Release, Retry, Settled, Settlement

NO_ID = bytes(ID_BYTES)
"""Looked up instead of an ID of another length, which no message has."""
ABOUT_BITS, RESULT_BITS = 10, 27
"""How the sizes of `Complete.about` and of a result are packed into one number with their place."""
ABOUT_LIMIT, RESULT_LIMIT = 1 << ABOUT_BITS, (1 << RESULT_BITS) - 1
"""Completions with more bytes are written one by one."""

Parameters: TypeAlias = dict[str, Any]

_SQL = queries("settle")
_STATES = queries("inspect")["states"]
_CANCEL_WAITING = queries("enqueue")["cancel_waiting"]


class Settle:
    """The operation behind `Driver.settle`.

    Completions, which are most, are written by one statement. If it does not find all of them
    leased, the operation is rolled back and looks at each.
    """

    def __init__(self, settlements: Sequence[Settlement]) -> None:
        self.settlements = settlements
        self.batches = _completions(settlements)

    def __call__(self, session: Session) -> list[Settled]:
        if session.item_by_item or self.batches is None:
            return _settle_each(session, self.settlements)
        done = sum(session.run(_SQL["complete_all"], batch) for batch in self.batches)
        if done < len(self.settlements):
            raise BatchMismatch
        return [Settled.DONE] * len(self.settlements)


def _parameters(batch: Completions) -> Parameters | None:
    """Return completions as the statement takes them; None if it cannot take one of them."""
    parts: list[bytes] = []
    index: list[str] = []
    place = 1
    first_token = batch.settlements[0].lease.token
    if type(first_token) is not int or not 0 <= first_token < NUMBER_LIMIT:
        return None
    for settlement, result in zip(batch.settlements, batch.results, strict=True):
        lease, about = settlement.lease, settlement.about
        before, size = len(about), len(result)
        if before >= ABOUT_LIMIT or type(lease.token) is not int:
            return None
        index.append(
            f'"{lease.token - first_token}":{place << RESULT_BITS + ABOUT_BITS | size << ABOUT_BITS | before}'
        )
        parts += lease.id, about, result
        place += ID_BYTES + before + size
    return {
        "blob": b"".join(parts),
        "index": f"{{{','.join(index)}}}",
        "first_token": first_token,
        "keep": _keep(batch.result_ttl),
        "stored": batch.stored,
    }


def _completions(settlements: Sequence[Settlement]) -> list[Parameters] | None:
    """Return the parameters of a statement for each batch; None if there is anything but completions."""
    batches = completions_of(settlements, most_bytes=BLOB_LIMIT, largest=RESULT_LIMIT)
    if batches is None:
        return None
    found = [_parameters(batch) for batch in batches]
    return [one for one in found if one is not None] if None not in found else None


def _keep(result_ttl: float) -> int:
    """Return for how many microseconds an outcome is kept."""
    return micros(kept_for(result_ttl))


def _settle_each(session: Session, settlements: Sequence[Settlement]) -> list[Settled]:
    """Look at each lease, then write the decisions, one statement for each kind."""
    named = [settlement.lease.id for settlement in settlements]
    ids, index = join_ids([one if len(one) == ID_BYTES else NO_ID for one in named])
    row = session.rows(_SQL["leases"], {"ids": ids, "index": index})[0]
    leases = {key: (n, token, bool(flagged)) for key, n, token, flagged in orjson.loads(row[0])}
    answers: list[Settled] = []
    writes: dict[str, list[Parameters]] = {}
    settled: set[int] = set()
    for place, settlement in enumerate(settlements):
        n, token, flagged = leases.get(place, (0, None, False))
        is_named = len(named[place]) == ID_BYTES
        if token is None or token != settlement.lease.token or n in settled or not is_named:
            answers.append(Settled.LOST)
            continue
        if not _is_storable(settlement):
            answers.append(Settled.REFUSED)
            continue
        settled.add(n)
        query, parameters = _write(session, settlement, flagged)
        writes.setdefault(query, []).append({"n": n, **parameters})
        answers.append(Settled.DONE)
    for query, each in writes.items():
        session.run_each(_SQL[query], each)
    session.dead_since_prune += len(writes.get("fail", ()))
    return answers


def _write(session: Session, settlement: Settlement, flagged: bool) -> tuple[str, Parameters]:
    """Return the name of the statement that settles one message, and its parameters."""
    match settlement:
        case Complete():
            return _completion(settlement)
        case Fail(reason=reason, error=error, attempted=attempted):
            return "fail", {
                "reason": reason.value,
                "error": pack_error(error),
                "counted": attempted,
                "about": settlement.about or None,
            }
        case Cancelled(result_ttl=ttl, about=about):
            return "cancelled", {"keep": _keep(ttl), "about": about or None}
        case Retry() | Release() if flagged:
            return "cancelled", {"keep": None, "about": None}
        case Retry(delay=delay, error=error):
            return "retry", {"due_at": _due(session, delay), "error": pack_error(error)}
        case Release(delay=delay, mismatched=mismatched, error=error):
            due_at = _due(session, delay) if delay > 0.0 else None
            why = pack_error(error) if mismatched and error is not None else None
            return "release", {"due_at": due_at, "mismatched": mismatched, "error": why}


def _is_storable(settlement: Settlement) -> bool:
    is_short = not isinstance(settlement, Complete) or len(settlement.result or b"") <= VALUE_LIMIT
    return is_short and can_settle(settlement)


def _completion(settlement: Complete) -> tuple[str, Parameters]:
    ttl = settlement.result_ttl
    kept = settlement.result if ttl > 0.0 else None
    return "complete", {"keep": _keep(ttl), "result": kept, "about": settlement.about or None}


def _due(session: Session, delay: float) -> int:
    return session.now + max(micros(delay), 0)


@record
class SetProgress:
    """The operation behind `SupportsProgress.set_progress`."""

    updates: Sequence[tuple[Lease, bytes]]

    def __call__(self, session: Session) -> None:
        session.run_each(
            _SQL["set_progress"],
            [
                {"id": lease.id, "token": lease.token, "progress": word}
                for lease, word in self.updates
            ],
        )


@record
class Cancel:
    """The operation behind `SupportsCancel.cancel`."""

    ids: Sequence[bytes]

    def __call__(self, session: Session) -> list[CancelOutcome]:
        return session.follow(cancel_all(self.ids, session.now))


def cancel_all(ids: Sequence[bytes], now: int) -> Steps[list[CancelOutcome]]:
    """Cancel messages that wait, and flag those that run."""
    joined, index = join_ids(ids)
    rows = yield _STATES, {"ids": joined, "index": index}
    states = {key: (state, forget_at) for key, state, forget_at in rows}
    cancelled: set[bytes] = set()
    answers = []
    for place, message_id in enumerate(ids):
        if message_id in cancelled:
            answers.append(CancelOutcome.TOO_LATE)
            continue
        answer = yield from _cancel(message_id, states.get(place), now)
        if answer is CancelOutcome.CANCELLED:
            cancelled.add(message_id)
        answers.append(answer)
    return answers


def _cancel(message_id: bytes, found: tuple[Any, Any] | None, now: int) -> Steps[CancelOutcome]:
    if found is None or type(found[0]) is not int:
        return CancelOutcome.UNKNOWN
    state, forget_at = found
    here: Mapping[str, Any] = {"id": message_id}
    if state <= BLOCKED:
        yield _CANCEL_WAITING, here
        return CancelOutcome.CANCELLED
    if state == LEASED:
        yield _SQL["flag"], here
        return CancelOutcome.REQUESTED
    if state == DEAD or as_micros(forget_at) > now:
        return CancelOutcome.TOO_LATE
    return CancelOutcome.UNKNOWN


def complete_one(settlement: Complete) -> Steps[Settled]:
    """Complete one message, if its lease is current."""
    lease = settlement.lease
    if len(lease.id) != ID_BYTES:
        return Settled.LOST
    ids, index = join_ids([lease.id])
    [(found,)] = yield _SQL["leases"], {"ids": ids, "index": index}
    for _, n, token, _flagged in orjson.loads(found):
        if token is None or token != lease.token:
            break
        if not _is_storable(settlement):
            return Settled.REFUSED
        query, parameters = _completion(settlement)
        yield _SQL[query], {"n": n, **parameters}
        return Settled.DONE
    return Settled.LOST
