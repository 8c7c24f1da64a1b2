"""Reserving: a script call or several, and what becomes of records that cannot be read."""

import logging
from collections.abc import Mapping
from itertools import repeat
from typing import TYPE_CHECKING, Any

from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq.driverkit.packing import damage_info
from asynctasq.errors import BodyCorrupt, DriverError
from asynctasq.message import Delivery
from asynctasq_redis.codec import DAMAGES, HEAD, micros, text_bytes, unpack_delivery
from asynctasq_redis.settling import Packed, pack_damaged, settle_arguments

if TYPE_CHECKING:
    from asynctasq_redis.server import Server

AT_ONCE = 1000
"""Messages that one script call leases."""

log = logging.getLogger("asynctasq.redis")


class Reserve:
    """One call of `Driver.reserve`."""

    def __init__(self, server: "Server", offset: int, owner: str, lease: float) -> None:
        self._server = server
        self._offset = offset
        self._owner = text_bytes(owner)
        self._lease = int(micros(lease))

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
        now, rows, mismatches = await self._server.run(
            "reserve",
            self._offset,
            max(limit, 0),
            self._lease,
            self._owner,
            int(micros(settings.dead_letter_ttl)),
            settings.dead_letter_limit,
            *named,
        )
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
        for message_id, value in zip(rows[::2], rows[1::2], strict=True):
            try:
                deliveries.append(unpack_delivery(message_id, value, now))
            except DAMAGES as error:
                log.warning("Message %s in the store is damaged: %s", message_id.hex(), error)
                token = max(HEAD.unpack_from(value)[2] + 1, now)
                info = damage_info(BodyCorrupt(str(error)))
                damaged.append(pack_damaged(message_id, token, info))
        try:
            await self._server.run("settle", self._offset, *settle_arguments(damaged))
        except DriverError as error:  # their leases end, and they are found again
            log.warning("Could not move damaged messages to the dead letters: %s", error)
        return deliveries


def _seconds_since(since: Any, now: int) -> float:
    try:
        return max((now - int(since)) / 1e6, 0.0)
    except (TypeError, ValueError):
        return 0.0
