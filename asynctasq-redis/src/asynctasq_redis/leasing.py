"""Reserving: one script call or several. Records that cannot be read become dead letters."""

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

from asynctasq.contracts.capabilities import NEWS_KEPT, News
from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq.driverkit.packing import damage_info
from asynctasq.driverkit.strays import StraySearch
from asynctasq.errors import BodyCorrupt, DriverError
from asynctasq.message import Delivery, Lease, State
from asynctasq.settlement import LeaseState, Reason
from asynctasq_redis.codec import (
    DAMAGES,
    HEAD,
    queue_name,
    text_bytes,
    token_of,
    unpack_delivery,
    whole_micros,
)
from asynctasq_redis.settling import Packed, pack_damaged, settle_arguments

if TYPE_CHECKING:
    from asynctasq_redis.server import Server

AT_ONCE = 1000
"""Messages that one script call leases."""
_NEWS_FIELDS = 8
_HELD = ord("1")

log = logging.getLogger("asynctasq.redis")


class NewsBuffer:
    """The latest `NEWS_KEPT` news of upkeep, until they are read."""

    def __init__(self) -> None:
        self._news: deque[News] = deque(maxlen=NEWS_KEPT)

    def add(self, *news: News) -> None:
        """Add news."""
        self._news.extend(news)

    def add_rows(self, rows: Sequence[Any]) -> None:
        """Add news as scripts answer with them."""
        for at in range(0, len(rows), _NEWS_FIELDS):
            one, queue, task, state, reason, attempts, lost, owner = rows[at : at + _NEWS_FIELDS]
            self._news.append(
                News(
                    id=one,
                    queue=queue_name(queue),
                    task=queue_name(task),
                    state=State(state.decode()),
                    reason=Reason(reason.decode()) if reason else None,
                    attempts=attempts,
                    lost=lost,
                    owner=queue_name(owner) or None,
                )
            )

    def drain(self) -> Sequence[News]:
        """Return the news, and forget them."""
        if not self._news:
            return ()
        found = list(self._news)
        self._news.clear()
        return found


class Reserve:
    """One call of `Driver.reserve`."""

    def __init__(
        self, server: "Server", offset: int, owner: str, lease: float, news: NewsBuffer
    ) -> None:
        self._server = server
        self._offset = offset
        self._owner = text_bytes(owner)
        self._lease = whole_micros(lease)
        self._news = news

    async def reserve(self, queues: Mapping[str, int], limit: int) -> list[Delivery]:
        """Lease up to `limit` messages."""
        taken: list[Delivery] = []
        left = dict(queues)
        size = 0
        while True:
            asked = min(limit - len(taken), AT_ONCE)
            some, rows = await self._step(left, asked)
            taken += some
            if len(rows) < asked * 2 or len(taken) >= limit or not rows:
                return taken
            size += sum(map(len, rows[1::2]))
            if size >= BYTES_AT_ONCE:
                return taken
            for delivery in some:
                left[delivery.message.queue] -= 1

    async def _step(
        self, queues: Mapping[str, int], limit: int
    ) -> tuple[list[Delivery], list[bytes]]:
        settings = self._server.settings
        named: list[bytes | int] = []
        for name, most in queues.items():
            named += (text_bytes(name), max(most, 0))
        now, rows, mismatches, news = await self._server.run(
            "reserve",
            self._offset,
            max(limit, 0),
            self._lease,
            self._owner,
            whole_micros(settings.dead_letter_ttl),
            settings.dead_letter_limit,
            *named,
        )
        if news:
            self._news.add_rows(news)
        moment = int(now)
        try:
            deliveries = list(map(unpack_delivery, rows[::2], rows[1::2], repeat(moment)))
        except DAMAGES:
            return await self._without_damaged(rows, moment), rows
        for number, since in zip(mismatches[::2], mismatches[1::2], strict=True):
            deliveries[number].mismatched_for = _seconds_since(since, moment)
        return deliveries, rows

    async def _without_damaged(self, rows: list[bytes], now: int) -> list[Delivery]:
        """Return the deliveries that can be read, and make dead letters of the others."""
        deliveries: list[Delivery] = []
        damaged: list[Packed] = []
        news: list[News] = []
        for message_id, value in zip(rows[::2], rows[1::2], strict=True):
            try:
                deliveries.append(unpack_delivery(message_id, value, now))
            except DAMAGES as error:
                log.warning("Message %s in the store is damaged: %s", message_id.hex(), error)
                head = HEAD.unpack_from(value)
                info = damage_info(BodyCorrupt(str(error)))
                damaged.append(pack_damaged(message_id, max(head[2] + 1, now), info))
                queue = queue_name(value[HEAD.size : HEAD.size + head[11]])
                news.append(News(message_id, queue, "", State.DEAD, Reason.UNDECODABLE))
        try:
            await self._server.run("settle", self._offset, *settle_arguments(damaged))
            self._news.add(*news)
        except DriverError as error:  # their leases end, and they are found again
            log.warning("Could not move damaged messages to the dead letters: %s", error)
        return deliveries


def _seconds_since(since: Any, now: int) -> float:
    try:
        return max((now - int(since)) / 1e6, 0.0)
    except (TypeError, ValueError):
        return 0.0


async def extend(
    server: "Server", offset: int, owner: str, leases: Sequence[Lease], lease: float
) -> list[LeaseState]:
    """Renew the leases of an owner, and release those that it does not know of."""
    search, holder = StraySearch(lease), text_bytes(owner)
    named = b"".join(_pack_lease(each.id, token_of(each)) for each in leases)
    held, now, found = await server.run("extend", offset, holder, whole_micros(lease), named)
    # The script has found leases that are not named. The time of the call itself does not count.
    leased_at = {
        _pack_lease(message_id, int(token)): int(at)
        for message_id, token, at in zip(found[::3], found[1::3], found[2::3], strict=True)
    }
    strays = search.strays(leased_at, int(now), ())
    if strays:
        await server.run("give_back", offset, holder, b"".join(strays))
    return [LeaseState.HELD if code == _HELD else LeaseState.LOST for code in held]


def _pack_lease(message_id: bytes, token: int) -> bytes:
    return message_id + token.to_bytes(8, "big")
