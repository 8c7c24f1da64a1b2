"""Reserve: which of the delivered messages a worker gets, and the upkeep of leases."""

from collections.abc import Mapping

from asynctasq.contracts.capabilities.deaths import Death
from asynctasq.contracts.capabilities.news import News
from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq.driverkit.selection import is_too_late
from asynctasq.errors import BodyCorrupt, DriverError, DriverUnavailable
from asynctasq.message import Delivery
from asynctasq.records import record
from asynctasq.settlement import Reason
from asynctasq_rabbitmq.broker import Broker
from asynctasq_rabbitmq.consuming import Consumer
from asynctasq_rabbitmq.leases import Held, renew
from asynctasq_rabbitmq.names import UNIT
from asynctasq_rabbitmq.records import unpack_record
from asynctasq_rabbitmq.returning import COUNT
from asynctasq_rabbitmq.wire.errors import ChannelClosed, ConnectionLost

_ROUNDS = 3


@record
class Reserved:
    """The answer to a reserve."""

    deliveries: list[Delivery]
    deaths: list[Death]
    news: list[News]


class Reserve:
    """One call of `reserve`."""

    def __init__(
        self, broker: Broker, *, limit: int, owner: str, lease: float, with_deaths: bool
    ) -> None:
        self._broker = broker
        self._room = limit
        self._owner = owner
        self._lease = lease
        self._with_deaths = with_deaths
        self._bytes = 0
        self._now = broker.now()
        self._deliveries: list[Delivery] = []
        self._deaths: list[Death] = []

    async def __call__(self, queues: Mapping[str, int]) -> Reserved:
        """Return the messages that were leased."""
        broker = self._broker
        may_reclaim = broker.outages.note_call(
            now=self._now, lease=self._lease, deadlines=broker.leases.deadlines
        )
        for held in broker.leases.of(self._owner):
            if held.until < self._now + self._lease:
                renew(held, self._now, self._lease)
        if may_reclaim:
            broker.reclaim(broker.leases.ended(self._now, self._owner), self._now)
        await broker.returns.flush()
        failed: Exception | None = None
        for queue, most in queues.items():
            wanted = min(most, self._room)
            if wanted <= 0:
                continue
            try:
                await self._from(broker.consumer(queue), wanted)
            except (ConnectionLost, DriverUnavailable) as error:
                failed = error
                break
            except (ChannelClosed, DriverError) as error:
                # A queue that cannot be consumed must not keep the messages of the others.
                failed = failed or error
        if failed is not None and not (self._deliveries or self._deaths):
            raise failed
        if len(broker.returns):
            await broker.returns.flush()
        news, broker.news = broker.news, []
        return Reserved(self._deliveries, self._deaths, news)

    async def _from(self, consumer: Consumer, wanted: int) -> None:
        left = self._take(consumer, wanted)
        for _ in range(_ROUNDS):
            consumer.note_request()
            if left <= 0 or self._is_full:
                return
            if not await self._broker.make_room(consumer, left):
                return
            if len(self._broker.returns):
                await self._broker.returns.flush()
            if consumer.is_doubtful:
                await consumer.catch_up(left)
            before, left = left, self._take(consumer, left)
            if left == before and not len(self._broker.returns):
                return

    @property
    def _is_full(self) -> bool:
        return self._bytes >= BYTES_AT_ONCE

    def _take(self, consumer: Consumer, wanted: int) -> int:
        """Lease messages that were delivered; return how many are still wanted."""
        now = self._now = self._broker.now()
        consumer.take_due(now)
        while wanted > 0 and not self._is_full:
            held = consumer.take()
            if held is None:
                break
            size = len(held.incoming.body)
            if self._bytes and self._bytes + size > BYTES_AT_ONCE:
                consumer.put_back(held)
                self._bytes = BYTES_AT_ONCE
                break
            if self._judge(consumer, held):
                self._broker.leases.grant(held, self._owner, now, self._lease)
                self._deliveries.append(held.delivery(now))
                self._bytes += size
                self._room -= 1
                wanted -= 1
        return wanted

    def _judge(self, consumer: Consumer, held: Held) -> bool:
        """Return whether a message may run now; otherwise put it where it belongs."""
        broker, now = self._broker, self._now
        if held.record is None:
            try:
                held.record = unpack_record(held.incoming.body)
            except BodyCorrupt as corrupt:
                broker.returns.add_unread(held, corrupt)
                return False
            if held.incoming.redelivered and not self._count_losses(held):
                return False
            held.lost += held.known.lost
        known = held.known
        if known.due_at > now:
            if known.due_at - now < 2 * UNIT:
                consumer.keep_early(held)
            else:
                broker.returns.add_copy(held, known.changed(lost=held.lost), now)
            return False
        if not (known.started or held.incoming.redelivered) and is_too_late(known, now):
            self._bury(held, Reason.EXPIRED)
            return False
        if held.lost > known.message.max_lost:
            self._bury(held, Reason.LOST)
            return False
        return True

    def _count_losses(self, held: Held) -> bool:
        """Count the lost leases of a redelivered message.

        A classic queue only says that there were some. So a copy that counts one is published, and comes again.
        """
        count = held.incoming.headers().get(COUNT)
        if isinstance(count, int):
            held.lost = count
            return True
        known = held.known
        lost = known.lost + 1
        if lost > known.message.max_lost:
            held.lost = 1
            return True
        self._broker.returns.add_copy(held, known.changed(lost=lost, started=True), self._now)
        self._broker.report(held, lost, None)
        return False

    def _bury(self, held: Held, reason: Reason) -> None:
        broker, now = self._broker, self._now
        if self._with_deaths:
            held.has_expired = reason is Reason.EXPIRED
            broker.leases.grant(held, self._owner, now, self._lease)
            self._deaths.append(Death(held.delivery(now), reason))
            return
        known = held.known.changed(lost=held.lost)
        broker.returns.add(held, broker.returns.dead_letter(known, reason, known.error))
        broker.report(held, held.lost, reason)
