"""Leasing messages and keeping leases."""

import json
import logging
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any
from uuid import UUID

from asynctasq.contracts.capabilities import NEWS_KEPT, News
from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq.driverkit.hints import Hints
from asynctasq.driverkit.packing import ID_BYTES, damage_info, decode_message, salvage
from asynctasq.driverkit.sql import STATES
from asynctasq.driverkit.strays import StraySearch
from asynctasq.driverkit.times import micros
from asynctasq.errors import BodyCorrupt
from asynctasq.message import NO_RESULTS, Delivery, Lease, State
from asynctasq.settlement import Fail, LeaseState, Reason
from asynctasq_postgres.server import Row, Server
from asynctasq_postgres.settling import settle

MOVED, SLOW = -1, -2
"""Values of the column `place` in rows that are no deliveries."""

LARGEST = 1 << 62
"""The largest token in a sound record."""
UPKEEP_SECONDS = 0.5
"""After which the next reserve does a piece of the upkeep, even if a notification has just told of a message."""

log = logging.getLogger("asynctasq.postgres")


class Leasing:
    """The leases of one opened driver, and what its upkeep has moved."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._hints = Hints[tuple[int, int]]()
        """The rank and the due time of the last message found in each queue."""
        self._news: list[News] = []
        self._kept_at = -UPKEEP_SECONDS
        """When a reserve last did a piece of the upkeep."""
        self._died = server.settings.dead_letter_limit
        """Messages that died since dead letters were last counted; at first, as many as may be kept."""

    def note_deaths(self, count: int) -> None:
        """Record that messages became dead letters."""
        self._died += count

    def take_news(self) -> list[News]:
        """Return the news since the last call, and forget them."""
        news, self._news = self._news, []
        return news

    async def reserve(
        self,
        queues: Mapping[str, int],
        *,
        limit: int,
        owner: str,
        lease: float,
        sleeper: UUID | None,
        is_notified: bool,
    ) -> list[Delivery]:
        settings, names, now = self._server.settings, list(queues), monotonic()
        prunes = self._died > settings.dead_letter_limit // 100
        hurries = is_notified and not prunes and now - self._kept_at < UPKEEP_SECONDS
        search = self._hints.search(names)
        places = [(None, None) if place is None else place for place in search.places]
        rows = await self._server.rows(
            "reserve",
            settings.namespace,
            names,
            [min(max(most, 0), 1 << 30) for most in queues.values()],
            min(limit, 1 << 30),
            owner,
            micros(lease),
            self._server.shift,
            micros(settings.dead_letter_ttl),
            min(settings.dead_letter_limit, 1 << 30),
            prunes,
            BYTES_AT_ONCE,
            [rank for rank, _ in places],
            [due_at for _, due_at in places],
            sleeper,
            hurries,
        )
        if not hurries:
            self._kept_at = now
        if prunes:
            self._died = 0
        rows.sort(key=_order)
        deliveries: list[Delivery] = []
        damaged: list[tuple[Row, str, BodyCorrupt]] = []
        for row in rows:
            place = row[0]
            if place > 0:
                name = names[place - 1]
                try:
                    deliveries.append(_delivery(row, name))
                except BodyCorrupt as error:
                    damaged.append((row, name, error))
            elif place == MOVED:
                self._report(row)
        self._hints.learn(
            search,
            slow={names[row[4] - 1] for row in rows if row[0] == SLOW},
            last={names[row[0] - 1]: (row[1], row[2]) for row in rows if row[0] > 0},
        )
        if damaged:
            await self._reject(damaged)
        return deliveries

    async def _reject(self, damaged: Sequence[tuple[Row, str, BodyCorrupt]]) -> None:
        """Make dead letters of damaged messages. If the call fails, `extend` releases them."""
        await settle(
            self._server,
            [
                Fail(Lease(row[3], row[4]), Reason.UNDECODABLE, damage_info(error), attempted=False)
                for row, _, error in damaged
            ],
        )
        self._died += len(damaged)
        for row, name, error in damaged:
            log.warning("A damaged message %s became a dead letter: %s", row[3].hex(), error)
            task = salvage(row[3], name, row[10], b"").task
            self._add(News(row[3], name, task, State.DEAD, Reason.UNDECODABLE, row[5], row[6]))

    def _report(self, row: Row) -> None:
        _, _, _, message_id, state, attempt, lost, _, _, _, profile, words = row
        queue, owner = json.loads(words)
        found = STATES.get(state, State.DEAD)
        reason = None
        if found is State.DEAD:
            self._died += 1
            reason = Reason.EXPIRED if owner is None else Reason.LOST
        task = salvage(message_id, "", profile, b"").task
        self._add(News(message_id, queue or "", task, found, reason, attempt, lost, owner))

    def _add(self, news: News) -> None:
        self._news.append(news)
        del self._news[:-NEWS_KEPT]

    async def extend(
        self, owner: str, leases: Sequence[Lease], *, lease: float
    ) -> list[LeaseState]:
        server, span, search = self._server, micros(lease), StraySearch(lease)
        rows = await server.rows("extend", server.settings.namespace, owner, span, server.shift)
        if not rows:
            return [LeaseState.LOST] * len(leases)
        now, ids, tokens, leased, paused = rows[0]
        held: dict[tuple[bytes, int | str], int] = {
            (ids[at : at + ID_BYTES], token): since
            for at, token, since in zip(
                range(0, len(ids), ID_BYTES), tokens or (), leased or (), strict=True
            )
        }
        named = {(each.id, each.token) for each in leases}
        strays = [] if paused else search.strays(held, now, named)
        if strays:
            await server.rows(
                "give_back",
                server.settings.namespace,
                owner,
                b"".join([message_id for message_id, _ in strays]),
                [token for _, token in strays],
                server.shift,
            )
        return [
            LeaseState.HELD if (each.id, each.token) in held else LeaseState.LOST for each in leases
        ]


def _order(row: Row) -> tuple[Any, ...]:
    """Sort deliveries by queue, rank, due time and ID."""
    return (row[0], row[1], row[2], row[3])


def _delivery(row: Row, queue: str) -> Delivery:
    (
        _, _, due_at, message_id, token, attempt, lost, leases, enqueued_at, mismatched_at, profile, payload,
    ) = row  # fmt: skip
    if token > LARGEST:
        raise BodyCorrupt(f"The token in the stored record is damaged: {token}.")
    return Delivery(
        decode_message(message_id, queue, profile, payload),
        Lease(message_id, token),
        attempt,
        lost,
        enqueued_at / 1e6,
        0.0 if mismatched_at is None else max(token - mismatched_at, 0) / 1e6,
        NO_RESULTS,
        due_at / 1e6,
        leases > 1,
    )
