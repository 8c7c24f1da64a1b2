"""Leasing messages."""

import asyncio
from collections.abc import Mapping, Sequence

from asynctasq.contracts.capabilities import News
from asynctasq.driverkit.packing import pack_error
from asynctasq.driverkit.times import micros
from asynctasq.message import Delivery, State
from asynctasq.settlement import Reason
from asynctasq_mysql.claiming import Claims, chosen, large_limit
from asynctasq_mysql.clients import Answer, Row, Wire
from asynctasq_mysql.connections import PAUSES
from asynctasq_mysql.hinting import Place, condition
from asynctasq_mysql.marking import is_refresh, needs_mark, stored_mark, write_mark
from asynctasq_mysql.repairing import repair
from asynctasq_mysql.rows import as_bytes, task_of
from asynctasq_mysql.statements import Fragment, in_list, json_rows
from asynctasq_mysql.store import Store, name_bytes
from asynctasq_mysql.upkeep import FORGET_INTERVAL, Due, Move, begin_moves, forget, report

RENEWED_SHARE = 3 / 4
"""A reserve that finds nothing renews the leases of its owner if less than this share of their length is left."""
DAMAGED_AT_MOST = 20
"""How often a reserve that found nothing but damaged messages looks again."""

MOVES_TRIED = 3
"""How often a reserve tries to do the upkeep that is due, while another worker is at it."""


class Reserve:
    """The call behind `Driver.reserve`."""

    def __init__(
        self, store: Store, queues: Mapping[str, int], limit: int, owner: str, lease: float
    ) -> None:
        self._store = store
        self._numbers: Mapping[str, int] = {}
        self._queues = {name: max(min(most, limit), 0) for name, most in queues.items()}
        self._limit = limit
        self._owner = owner
        self._name = name_bytes(owner)
        self._lease = micros(lease)
        self._claims = Claims(0)
        self._lookout = store.hints.lookout(())
        self._refreshes = False
        """True if nothing was found, and the mark is to be refreshed."""

    async def __call__(self) -> list[Delivery]:
        """Do the upkeep that is due, then lease messages."""
        store = self._store
        self._numbers = await store.numbers(self._queues)
        due = await store.call(self._unless_upkeep_is_due)
        if due is not None:
            await self._after_upkeep(due)
        elif self._refreshes:
            await store.call(lambda wire: write_mark(wire, store, self._lease))
            await repair(store)
        for _ in range(DAMAGED_AT_MOST):
            self._report_damage()
            if self._claims.deliveries or not self._claims.damaged:
                break
            await store.call(self._in_any_case)
        return self._claims.deliveries

    async def _after_upkeep(self, due: Due) -> None:
        """Do a bounded piece of the upkeep that is due, then lease messages."""
        store = self._store
        mark = await store.call(lambda wire: write_mark(wire, store, self._lease))
        if due.repair:
            await repair(store)
        if due.forget:
            await store.call(lambda wire: forget(wire, store))
        reclaims = due.leases and not mark.is_paused(mark.at)
        if due.messages or reclaims:
            moved = await store.call(lambda wire: self._after_moves(wire, reclaims=reclaims))
            await report(store, moved, counted=True)
        else:
            await store.call(self._in_any_case)

    async def _after_moves(self, wire: Wire, *, reclaims: bool) -> list[Move]:
        """Move messages, and lease some in the same transaction, before other workers see them."""
        for attempt in range(1, MOVES_TRIED + 1):
            begun = await begin_moves(wire, self._store, self._owner, reclaims=reclaims)
            if begun is not None:
                moved, texts = begun
                _, owner, rows = await self._look(wire, *texts)
                await self._take(wire, owner, rows)
                return moved
            await asyncio.sleep(PAUSES.pause(attempt))
        await self._in_any_case(wire)
        return []

    def _report_damage(self) -> None:
        store = self._store
        for row, queue, _ in self._claims.damaged:
            task = task_of(row[9])
            news = News(bytes(row[0]), queue, task, State.DEAD, Reason.UNDECODABLE, row[3], row[4])
            store.news.append(news)
            store.dead_since_prune += 1

    async def _in_any_case(self, wire: Wire) -> None:
        _, owner, rows = await self._look(wire, "START TRANSACTION")
        await self._take(wire, owner, rows)

    async def _unless_upkeep_is_due(self, wire: Wire) -> Due | None:
        """Lease messages; if upkeep is due, return its kinds instead."""
        store = self._store
        look, owner, rows = await self._look(wire, "START TRANSACTION")
        now, due, expired, ended, forget, at, paused_until, _ = look
        is_due = due is not None or expired is not None
        mark = stored_mark(at, paused_until)
        forgets = forget is not None and abs(now - store.forgot_at) >= FORGET_INTERVAL
        reclaims = ended is not None and not (mark is not None and mark.is_paused(now))
        is_stale = needs_mark(mark, now=now, lease=self._lease)
        self._refreshes = is_stale and not rows and is_refresh(mark, now=now, lease=self._lease)
        must_mark = is_stale and not self._refreshes
        if must_mark or is_due or forgets or reclaims:
            await wire.run("ROLLBACK")
            if forgets:
                store.forgot_at = now
            return Due(is_due, ended is not None, forgets, is_stale)
        await self._take(wire, owner, rows)
        return None

    async def _look(
        self, wire: Wire, *before: str
    ) -> tuple[Row, Answer, Sequence[tuple[str, Row]]]:
        """Look for upkeep, lock the owner, and lock the next messages of each queue.

        Args:
            wire: the connection.
            before: statements to execute first, in the same round trip.
        """
        store, sql = self._store, self._store.sql.lease
        ttl = micros(store.settings.dead_letter_ttl)
        lookout = self._lookout = store.hints.lookout(tuple(self._numbers))
        answers = await wire.run(
            *before,
            sql["look"](
                store.offset,
                namespace=store.namespace,
                owner=self._name,
                since=lookout.since,
                dead_letter_ttl=ttl,
            ),
            sql["paused_queues"](queues=in_list(self._numbers.values())),
            sql["lock_owner"](namespace=store.namespace, owner=self._name),
            *(
                self._claim(number, self._queues[name], place)
                for (name, number), place in zip(self._numbers.items(), lookout.places, strict=True)
            ),
        )
        look, paused, owner, *found = answers[len(before) :]
        lookout.note(
            look.rows[0],
            [
                (name, self._queues[name], answer.rows)
                for name, answer in zip(self._numbers, found, strict=True)
            ],
        )
        self._claims = Claims(look.rows[0][0])
        stopped = {row[0] for row in paused.rows}
        rows = [
            (name, row)
            for (name, number), answer in zip(self._numbers.items(), found, strict=True)
            if number not in stopped
            for row in answer.rows
        ]
        return look.rows[0], owner, chosen(rows, self._limit)

    def _claim(self, queue: int, limit: int, place: Place | None) -> str:
        return self._store.sql.lease["claim"](
            self._store.offset,
            queue=queue,
            place=condition(place),
            limit=limit,
            large=large_limit(self._limit),
        )

    async def _take(self, wire: Wire, owner: Answer, rows: Sequence[tuple[str, Row]]) -> None:
        """Lease the rows, and commit."""
        store, sql, claims = self._store, self._store.sql.lease, self._claims
        large = [row for _, row in rows if row[10] is None]
        payloads: dict[bytes, bytes] = {}
        if large:
            answers = await wire.run(
                *(sql["payload"](id=bytes(row[0]), namespace=row[1]) for row in large)
            )
            payloads = {
                row[0]: as_bytes(answer.rows[0][0])
                for row, answer in zip(large, answers, strict=True)
            }
        for name, row in rows:
            claims.add(row, name, payloads[row[0]] if row[10] is None else bytes(row[10]))
        texts = [*self._renewals(owner), *self._leases(owner)]
        if claims.damaged:
            damaged = json_rows(
                (bytes(row[0]), pack_error(error)) for row, _, error in claims.damaged
            )
            texts.append(
                store.sql.damage["make_dead_letters"](
                    rows=damaged,
                    namespace=store.namespace,
                    now=claims.now,
                    reason=Reason.UNDECODABLE.value.encode(),
                )
            )
        await wire.run(*texts, "COMMIT")
        self._lookout.learn(rows)

    def _renewals(self, owner: Answer) -> list[str]:
        """Return the statement that renews the leases of the owner, if there is a reason."""
        sql, deadline = self._store.sql.lease, self._claims.now + self._lease
        if owner.rows:
            number, until = owner.rows[0]
            if self._claims.deliveries or until < self._claims.now + self._lease * RENEWED_SHARE:
                return [sql["renew_locked"](deadline=deadline, owner=number)]
        elif self._claims.deliveries:
            return [
                sql["add_owner"](
                    namespace=self._store.namespace, owner=self._name, deadline=deadline
                )
            ]
        return []

    def _leases(self, owner: Answer) -> list[str]:
        if not self._claims.deliveries:
            return []
        number = owner.rows[0][0] if owner.rows else Fragment("LAST_INSERT_ID()")
        return [
            self._store.sql.lease["lease"](
                ids=in_list(sorted(delivery.message.id for delivery in self._claims.deliveries)),
                namespace=self._store.namespace,
                owner=number,
                now=self._claims.now,
            )
        ]
