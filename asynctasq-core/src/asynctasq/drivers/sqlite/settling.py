"""Ending leases, cancelling, progress."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import orjson

from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.driverkit.numbers import can_settle
from asynctasq.driverkit.packing import ID_BYTES
from asynctasq.drivers.sqlite.codec import (
    BLOCKED,
    DEAD,
    LEASED,
    SIZE_BITS,
    VALUE_LIMIT,
    join_ids,
    micros,
    pack_error,
)
from asynctasq.drivers.sqlite.enqueueing import BLOB_LIMIT
from asynctasq.drivers.sqlite.queries import queries
from asynctasq.drivers.sqlite.rows import as_micros
from asynctasq.drivers.sqlite.session import BatchMismatch, Session
from asynctasq.message import Lease
from asynctasq.records import record
from asynctasq.settlement import Cancelled, Complete, Fail, Release, Retry, Settled, Settlement

NO_ID = bytes(ID_BYTES)
"""Asked for in place of an id of another length, which no message has."""
OUTCOME_TTL_LEAST = 60.0
"""Seconds for which every outcome is kept, so that a repeated enqueue finds its id known."""

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
        if session.careful or self.batches is None:
            return _settle_each(session, self.settlements)
        for batch in self.batches:
            if session.run(_SQL["complete_all"], batch.parameters()) < len(batch.index):
                raise BatchMismatch
        return [Settled.DONE] * len(self.settlements)


class _Batch:
    """Completions that one statement writes."""

    __slots__ = ("index", "keep", "parts", "place", "stored")

    def __init__(self, keep: int, stored: bool) -> None:
        self.keep = keep
        self.stored = stored
        self.parts: list[bytes] = []
        self.index: list[str] = []
        self.place = 1

    def parameters(self) -> Parameters:
        return {
            "blob": b"".join(self.parts),
            "index": f"{{{','.join(self.index)}}}",
            "keep": self.keep,
            "stored": self.stored,
        }


def _completions(settlements: Sequence[Settlement]) -> list[_Batch] | None:
    """The batches of a list of nothing but completions; None if there is anything else in it."""
    batches: dict[tuple[float, bool], _Batch] = {}
    full: list[_Batch] = []
    for settlement in settlements:
        if type(settlement) is not Complete:
            return None
        lease = settlement.lease
        result = _kept_result(settlement)
        size = 0 if result is None else len(result)
        if type(lease.token) is not int or len(lease.id) != ID_BYTES or size > VALUE_LIMIT:
            return None
        key = (settlement.result_ttl, result is not None)
        batch = batches.get(key)
        if batch is None:
            if not can_settle(settlement):
                return None
            batches[key] = batch = _Batch(_keep(settlement.result_ttl), key[1])
        elif batch.place + size > BLOB_LIMIT:
            full.append(batch)
            batches[key] = batch = _Batch(batch.keep, batch.stored)
        batch.index.append(f'"{lease.token}":{batch.place << SIZE_BITS | size}')
        batch.parts.append(lease.id)
        if result:
            batch.parts.append(result)
        batch.place += ID_BYTES + size
    return [*full, *batches.values()]


def _kept_result(settlement: Complete) -> bytes | None:
    return settlement.result if settlement.result_ttl > 0.0 else None


def _keep(result_ttl: float) -> int:
    """How long an outcome is kept."""
    return micros(max(result_ttl, OUTCOME_TTL_LEAST))


def _settle_each(session: Session, settlements: Sequence[Settlement]) -> list[Settled]:
    """Look at each lease, then write what was decided, one statement for each kind."""
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
        if not can_settle(settlement):
            answers.append(Settled.REFUSED)
            continue
        if isinstance(settlement, Complete) and len(settlement.result or b"") > VALUE_LIMIT:
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
    """The statement that settles one message, and its parameters."""
    match settlement:
        case Complete(result_ttl=ttl):
            return "complete", {"keep": _keep(ttl), "result": _kept_result(settlement)}
        case Fail(reason=reason, error=error, attempted=attempted):
            return "fail", {
                "reason": reason.value,
                "error": pack_error(error),
                "counted": attempted,
            }
        case Cancelled(result_ttl=ttl):
            return "cancelled", {"keep": _keep(ttl)}
        case Retry() | Release() if flagged:
            return "cancelled", {"keep": None}
        case Retry(delay=delay, error=error):
            return "retry", {"due_at": _due(session, delay), "error": pack_error(error)}
        case Release(delay=delay, mismatched=mismatched, error=error):
            due_at = _due(session, delay) if delay > 0.0 else None
            why = pack_error(error) if mismatched and error is not None else None
            return "release", {"due_at": due_at, "mismatched": mismatched, "error": why}


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
        ids, index = join_ids(self.ids)
        rows = session.rows(_STATES, {"ids": ids, "index": index})
        states = {key: (state, forget_at) for key, state, forget_at in rows}
        cancelled: set[bytes] = set()
        answers = []
        for place, message_id in enumerate(self.ids):
            if message_id in cancelled:
                answers.append(CancelOutcome.TOO_LATE)
                continue
            answer = _cancel(session, message_id, states.get(place))
            if answer is CancelOutcome.CANCELLED:
                cancelled.add(message_id)
            answers.append(answer)
        return answers


def _cancel(session: Session, message_id: bytes, found: tuple[Any, Any] | None) -> CancelOutcome:
    if found is None or type(found[0]) is not int:
        return CancelOutcome.UNKNOWN
    state, forget_at = found
    here: Mapping[str, Any] = {"id": message_id}
    if state <= BLOCKED:
        session.run(_CANCEL_WAITING, here)
        return CancelOutcome.CANCELLED
    if state == LEASED:
        session.run(_SQL["flag"], here)
        return CancelOutcome.REQUESTED
    if state == DEAD or as_micros(forget_at) > session.now:
        return CancelOutcome.TOO_LATE
    return CancelOutcome.UNKNOWN
