"""Ending leases, cancelling, progress."""

from collections.abc import Sequence
from functools import partial

from asynctasq.contracts.capabilities import CancelOutcome
from asynctasq.driverkit.batching import batches
from asynctasq.driverkit.numbers import can_settle
from asynctasq.driverkit.packing import ID_BYTES, check_id, pack_error
from asynctasq.driverkit.sql import BLOCKED, DEAD, LEASED, completions_of
from asynctasq.driverkit.times import kept_for, micros
from asynctasq.message import Lease
from asynctasq.settlement import Cancelled, Complete, Fail, Release, Retry, Settled, Settlement
from asynctasq_mysql.clients import Wire
from asynctasq_mysql.keys import LEAST
from asynctasq_mysql.statements import Fragment, json_of, json_rows, literal
from asynctasq_mysql.steps import Script, Steps
from asynctasq_mysql.store import Store

AT_ONCE = 1000
"""Settlements of one statement."""
BATCH_BYTES = 2 << 20
NO_ID = bytes(ID_BYTES)
"""Looked up instead of an ID of another length, which no message has."""

Cell = int | bytes | None


async def settle(store: Store, settlements: Sequence[Settlement]) -> list[Settled]:
    """Settle items: completions, which are most, with one statement for each batch."""
    answers: list[Settled] = []
    for some in batches(settlements, AT_ONCE):
        if await _complete_all(store, some):
            answers += [Settled.DONE] * len(some)
        else:
            answers += await store.transact(partial(settle_steps, store, some), again=False)
    return answers


async def _complete_all(store: Store, settlements: Sequence[Settlement]) -> bool:
    """Settle items that are all completions of current leases; return False, and change nothing, if they are not."""
    most = min(BATCH_BYTES, store.largest // 2)
    found = completions_of(settlements, most_bytes=most, largest=most)
    if found is None or len({each.lease.id for each in settlements}) < len(settlements):
        return False
    texts = []
    for batch in found:
        pairs = sorted(
            zip(batch.settlements, batch.results, strict=True), key=lambda pair: pair[0].lease.id
        )
        rows = Fragment(",\n".join([_completed_row(store, *pair, batch.stored) for pair in pairs]))
        texts.append(
            store.sql.settle["complete_all"](store.offset, rows=rows, keep=keep(batch.result_ttl))
        )

    async def body(wire: Wire) -> bool:
        _, *answers = await wire.run("START TRANSACTION", *texts)
        is_done = sum(answer.changed for answer in answers) == 2 * len(
            settlements
        )  # an update counts twice
        await wire.run("COMMIT" if is_done else "ROLLBACK")
        return is_done

    return await store.call(body, again=False)


def _completed_row(store: Store, settlement: Complete, result: bytes, stored: bool) -> str:
    about = literal(settlement.about or None)
    payload = literal(result if stored else None)
    lease = settlement.lease
    return (
        f"(x'{lease.id.hex()}',{store.namespace},{_token(lease)},{about},{payload},"
        f"{len(result) if stored else 0},0,0,0,0,0,0,0,0)"
    )


def _token(lease: Lease) -> int:
    return lease.token if type(lease.token) is int and 0 < lease.token < 1 << 63 else -1


def keep(result_ttl: float) -> int:
    """Return for how many microseconds an outcome is kept."""
    return micros(kept_for(result_ttl))


def settle_steps(store: Store, settlements: Sequence[Settlement]) -> Steps[list[Settled]]:
    """Look at each lease, then write the decisions, one statement for each kind."""
    sql, namespace = store.sql.settle, store.namespace
    named = sorted({each.lease.id for each in settlements if len(each.lease.id) == ID_BYTES})
    [found] = yield Script([sql["leases"](store.offset, ids=json_of(named), namespace=namespace)])
    leases = {named[row[0] - 1]: (row[1], bool(row[2])) for row in found.rows}
    now = found.rows[0][3] if found.rows else 0
    answers: list[Settled] = []
    writes: dict[str, list[tuple[Cell, ...]]] = {}
    for settlement in settlements:
        token, flagged = leases.get(settlement.lease.id, (None, False))
        if token is None or token != settlement.lease.token:
            answers.append(Settled.LOST)
        elif not can_settle(settlement) or not _fits(store, settlement):
            answers.append(Settled.REFUSED)
        else:
            del leases[settlement.lease.id]
            query, row = _write(settlement, flagged, now)
            writes.setdefault(query, []).append(row)
            answers.append(Settled.DONE)
    texts = [
        sql[query](
            rows=json_rows(sorted(rows, key=lambda row: row[0] or b"")),
            namespace=namespace,
            now=now,
        )
        if query != "cancelled"
        else sql[query](
            rows=json_rows(sorted(rows, key=lambda row: row[0] or b"")),
            namespace=namespace,
            now=now,
            least=LEAST,
        )
        for query, rows in writes.items()
    ]
    yield Script(texts, is_last=True)
    store.dead_since_prune += len(writes.get("fail", ()))
    return answers


def _fits(store: Store, settlement: Settlement) -> bool:
    size = len(settlement.about) if isinstance(settlement, Complete | Fail | Cancelled) else 0
    if isinstance(settlement, Complete):
        size += len(settlement.result or b"")
    return size <= store.largest


def _write(settlement: Settlement, flagged: bool, now: int) -> tuple[str, tuple[Cell, ...]]:
    """Return the name of the statement that settles one message, and its row."""
    named = settlement.lease.id
    match settlement:
        case Complete(result=result, result_ttl=ttl, about=about):
            return "complete", (named, keep(ttl), about or None, result if ttl > 0.0 else None)
        case Fail(reason=reason, error=error, attempted=attempted, about=about):
            return "fail", (
                named,
                reason.value.encode(),
                pack_error(error),
                attempted,
                about or None,
            )
        case Cancelled(result_ttl=ttl, about=about):
            return "cancelled", (named, keep(ttl), about or None)
        case Retry() | Release() if flagged:
            return "cancelled", (named, None, None)
        case Retry(delay=delay, error=error):
            return "retry", (named, now + max(micros(delay), 0), pack_error(error))
        case Release(delay=delay, mismatched=mismatched, error=error):
            due_at = now + max(micros(delay), 0) if delay > 0.0 else None
            return "release", (named, due_at, mismatched, pack_error(error) if mismatched else None)


async def set_progress(store: Store, updates: Sequence[tuple[Lease, bytes]]) -> None:
    """Store the latest report of each message whose lease is current."""
    last = {
        lease.id: (lease.id, _token(lease), report)
        for lease, report in updates
        if len(lease.id) == ID_BYTES
    }
    for some in batches(
        sorted(last.values()), AT_ONCE, size=lambda row: len(row[2]), most_bytes=BATCH_BYTES
    ):
        await store.run(
            store.sql.settle["set_progress"](rows=json_rows(some), namespace=store.namespace)
        )


def cancel_steps(
    store: Store, ids: Sequence[bytes], *, is_last: bool = True
) -> Steps[list[CancelOutcome]]:
    """Finish waiting messages as cancelled, and flag running ones; commit with `is_last`."""
    sql, namespace = store.sql.settle, store.namespace
    for message_id in ids:
        check_id(message_id)
    named = sorted(set(ids))
    [found] = yield Script([sql["states"](store.offset, ids=json_of(named), namespace=namespace)])
    states = {named[row[0] - 1]: row[1:] for row in found.rows}
    waiting, running = [], []
    answers = []
    for message_id in ids:
        state, alarm_at, now = states.get(message_id, (None, None, 0))
        if state is None:
            answers.append(CancelOutcome.UNKNOWN)
        elif state <= BLOCKED:
            waiting.append(message_id)
            states[message_id] = (DEAD, None, now)
            answers.append(CancelOutcome.CANCELLED)
        elif state == LEASED:
            running.append(message_id)
            answers.append(CancelOutcome.REQUESTED)
        else:
            is_kept = state == DEAD or (alarm_at or 0) > now
            answers.append(CancelOutcome.TOO_LATE if is_kept else CancelOutcome.UNKNOWN)
    texts = []
    if waiting:
        now = found.rows[0][3]
        texts.append(
            store.sql.enqueue["cancel_waiting"](
                ids=json_of(sorted(waiting)), namespace=namespace, now=now, least=LEAST
            )
        )
    if running:
        texts.append(sql["flag"](ids=json_of(sorted(set(running))), namespace=namespace))
    yield Script(texts, is_last=is_last)
    return answers
