"""Finding messages that damage would strand: leases of no owner, and messages in no state.

This runs each time the mark of a call is written: a few times in the length of a lease.
"""

from asynctasq.driverkit.packing import damage_info, pack_error
from asynctasq.errors import BodyCorrupt
from asynctasq.message import State
from asynctasq.settlement import Reason
from asynctasq_mysql.clients import Wire
from asynctasq_mysql.statements import json_rows
from asynctasq_mysql.store import Store
from asynctasq_mysql.upkeep import Move, Moved, report

BOUND = 100
"""Messages that one call repairs at most, of each kind."""


async def repair(store: Store) -> None:
    """Make stranded messages ready, or dead letters."""
    moved = await store.call(lambda wire: _repair(wire, store))
    await report(store, moved, counted=True)


async def _repair(wire: Wire, store: Store) -> list[Move]:
    sql, namespace = store.sql.damage, store.namespace
    _, time, strays, stateless = await wire.run(
        "START TRANSACTION",
        store.sql.enqueue["now"](store.offset),
        sql["strays"](namespace=namespace, bound=BOUND),
        sql["in_no_state"](namespace=namespace, bound=BOUND),
    )
    now: int = time.rows[0][0]
    moved, texts = Moved(), []
    if strays.rows:
        leases = json_rows(sorted((bytes(row[0]), row[1]) for row in strays.rows))
        [locked] = await wire.run(
            store.sql.lease["lock_leases"](leases=leases, namespace=namespace)
        )
        moved.take_back(locked.rows, counted=True)
        texts += moved.texts(store, now, counted=True)
    if stateless.rows:
        error = pack_error(
            damage_info(BodyCorrupt("The state of a message in the store is damaged."))
        )
        texts.append(
            sql["make_dead_letters"](
                rows=json_rows(sorted((bytes(row[0]), error) for row in stateless.rows)),
                namespace=namespace,
                now=now,
                reason=Reason.UNDECODABLE.value.encode(),
            )
        )
    await wire.run(*texts, "COMMIT")
    lost = [Move(row, State.DEAD, Reason.UNDECODABLE, None) for row in stateless.rows]
    return [*moved.news, *lost]
