"""Keeping leases, and ending them from outside."""

import asyncio
from collections.abc import Container, Sequence
from itertools import count

from asynctasq.driverkit.strays import StraySearch
from asynctasq.driverkit.times import micros
from asynctasq.message import Lease
from asynctasq.settlement import LeaseState
from asynctasq_mysql.clients import Wire
from asynctasq_mysql.connections import PAUSES
from asynctasq_mysql.hinting import NEVER
from asynctasq_mysql.marking import needs_mark, stored_mark, write_mark
from asynctasq_mysql.statements import json_rows
from asynctasq_mysql.store import Store, name_bytes
from asynctasq_mysql.upkeep import BOUND, Moved, report


async def extend(
    store: Store, owner: str, leases: Sequence[Lease], lease: float
) -> list[LeaseState]:
    """Renew the leases of an owner, and release those that it does not know of."""
    sql, namespace, name, span = store.sql.lease, store.namespace, name_bytes(owner), micros(lease)

    async def body(wire: Wire) -> tuple[dict[tuple[bytes, int], int], int, bool]:
        # The mark first: what it says of an outage must not depend on this renewal.
        [look] = await wire.run(
            sql["look"](
                store.offset, namespace=namespace, owner=name, since=NEVER, dead_letter_ttl=0
            )
        )
        now, *_, at, paused_until, _ = look.rows[0]
        mark = stored_mark(at, paused_until)
        if mark is None or needs_mark(mark, now=now, lease=span):
            mark = await write_mark(wire, store, span)
        _, held = await wire.run(
            sql["renew_by_extend"](store.offset, namespace=namespace, owner=name, lease=span),
            sql["held"](store.offset, namespace=namespace, owner=name),
        )
        answered_at = held.rows[0][3] if held.rows else now
        leased_at = {(bytes(row[0]), row[1]): row[2] for row in held.rows}
        return leased_at, answered_at, mark.is_paused(now)

    search = StraySearch(lease)
    held, now, is_paused = await store.call(body)
    strays = search.strays(held, now, {(one.id, one.token) for one in leases})
    if strays and not is_paused:
        await _give_back(store, strays)
    leased: Container[tuple[bytes, int | str]] = held
    return [LeaseState.HELD if (one.id, one.token) in leased else LeaseState.LOST for one in leases]


async def _give_back(store: Store, leases: Sequence[tuple[bytes, int]]) -> None:
    """Release leases, uncounted."""

    async def body(wire: Wire) -> None:
        _, found, time = await wire.run(
            "START TRANSACTION",
            store.sql.lease["lock_leases"](
                leases=json_rows(sorted(leases)), namespace=store.namespace
            ),
            store.sql.enqueue["now"](store.offset),
        )
        moved = Moved()
        moved.take_back(found.rows, counted=False)
        await wire.run(*moved.texts(store, time.rows[0][0], counted=False), "COMMIT")

    await store.call(body)


async def end_owner(store: Store, owner: str) -> None:
    """End all leases of an owner and count them as lost, a bounded number at a time."""
    sql, name = store.sql.lease, name_bytes(owner)

    async def body(wire: Wire) -> Moved:
        _, time, found = await wire.run(
            "START TRANSACTION",
            store.sql.enqueue["now"](store.offset),
            sql["leases_of_owner"](namespace=store.namespace, owner=name, bound=BOUND),
        )
        leases = json_rows(sorted((bytes(row[0]), row[1]) for row in found.rows))
        [locked] = await wire.run(sql["lock_leases"](leases=leases, namespace=store.namespace))
        moved = Moved()
        moved.take_back(locked.rows, counted=True, owner=owner)
        texts = moved.texts(store, time.rows[0][0], counted=True)
        texts.append(sql["delete_owner"](namespace=store.namespace, owner=name))
        await wire.run(*texts, "COMMIT")
        return moved

    for attempt in count(1):
        moved = await store.call(body)
        await report(store, moved.news, counted=True)
        [rows] = await store.run(sql["owner"](namespace=store.namespace, owner=name))
        if not rows:
            return
        if not moved.news:
            await asyncio.sleep(PAUSES.pause(attempt))


async def cancel_requests(store: Store, owner: str) -> list[Lease]:
    """Return the leases of an owner whose messages are flagged."""
    [rows] = await store.run(
        store.sql.lease["flagged"](namespace=store.namespace, owner=name_bytes(owner))
    )
    return [Lease(bytes(row[0]), row[1]) for row in rows]
