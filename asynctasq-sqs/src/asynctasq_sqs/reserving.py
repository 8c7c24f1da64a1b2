"""Making deliveries of received messages. Messages that must not run become dead letters, or wait longer."""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from asynctasq.contracts.capabilities import News
from asynctasq.contracts.capabilities.deaths import Death
from asynctasq.contracts.driver import BYTES_AT_ONCE
from asynctasq.errors import BodyCorrupt, DriverError, DriverUnavailable
from asynctasq.message import Delivery, Lease, State
from asynctasq.records import record
from asynctasq.settlement import Fail, Reason, Release, Settled, Settlement
from asynctasq_sqs.clock import Clock
from asynctasq_sqs.errors import QueueMissing
from asynctasq_sqs.leases import LONGEST_VISIBILITY, Held, Received, Shared, token_of
from asynctasq_sqs.leasing import set_visibility
from asynctasq_sqs.receiving import Polls, most_of_call, receive_many, visibility_of
from asynctasq_sqs.records import Record, unpack
from asynctasq_sqs.returning import Returning
from asynctasq_sqs.settling import Settling

logger = logging.getLogger("asynctasq.sqs")

MOST_ASIDE = 100
"""Messages of a call that become dead letters, or wait longer. The next call goes on with the rest."""
LOOK_SECONDS = 0.1
"""Seconds that `reserve` gives a long poll under way, instead of a call of its own."""
_SKEW = 5.0
"""Seconds by which the clocks of SQS and of this machine may differ."""
_SLACK = 2.0
_SHARE = 0.1
"""Share of a lease that may be over when its owner gets it. The owner extends it long before its end."""


@record
class Sorted:
    """Received messages by what happens to them."""

    deliveries: list[Delivery]
    deaths: list[Death]
    early: list[Settlement]
    damaged: list[Received]


def sort(messages: Sequence[Received], shared: Shared, *, is_fifo: bool, clock: Clock) -> Sorted:
    """Lease messages, and sort out those that must not run."""
    found, now = Sorted([], [], [], []), clock.now()
    for received in messages:
        try:
            item = unpack(received.data or b"", received.queue)
        except BodyCorrupt:
            found.damaged.append(received)
            continue
        again = received.receives - 1
        mismatched_since = item.mismatched_since
        if is_fifo:
            correction = shared.corrections.get(received.sqs_id)
            attempt = max(again - (correction.receives if correction else 0), 0)
            lost, mismatched_since = 0, correction.mismatched_since if correction else None
        else:
            attempt, lost = item.attempt, item.lost + again
        token = token_of(received)
        shared.held[token] = Held(
            received, item, attempt=attempt, lost=lost, ends_at=ends_at(received, clock)
        )
        lease, resumed = Lease(item.message.id, token), item.leased or again > 0
        if item.held and item.due > now:
            found.early.append(Release(lease, item.due - now))
            continue
        delivery = Delivery(
            item.message, lease, attempt, lost, item.enqueued_at,
            0.0 if mismatched_since is None else max(now - mismatched_since, 0.0), due_at=item.due, resumed=resumed,
        )  # fmt: skip
        if lost > item.message.max_lost:
            found.deaths.append(Death(delivery, Reason.LOST))
        elif _has_expired(received, item, now):
            shared.held[token].has_expired = True
            found.deaths.append(Death(delivery, Reason.EXPIRED))
        else:
            found.deliveries.append(delivery)
            if (
                again > 0 and not is_fifo
            ):  # FIFO messages wait for their next attempt at their place
                shared.news.append(_news(delivery, State.READY))
    return found


def _news(delivery: Delivery, state: State, reason: Reason | None = None) -> News:
    message = delivery.message
    return News(
        message.id, message.queue, message.task, state, reason, delivery.attempt, delivery.lost
    )


def _has_expired(received: Received, item: Record, now: float) -> bool:
    """Return whether a message must not begin any more. A message that may have begun does not expire.

    If a process was killed before it could record the end of an expired message, SQS delivers the message again.
    It has not begun, because it had expired when SQS delivered it for the first time.
    """
    expires = item.message.expires
    if expires is None or item.leased or now <= item.due + expires:
        return False
    first = received.first_at
    return received.receives <= 1 or (first is not None and first > item.due + expires + _SKEW)


def ends_at(received: Received, clock: Clock) -> float:
    """Return when SQS delivers a message again in any case, by `Clock.steady`."""
    return clock.steady() - (time.monotonic() - received.at) + LONGEST_VISIBILITY


class Reserving:
    """The calls of `reserve` of one opened driver."""

    def __init__(self, settling: Settling, polls: Polls, returning: Returning) -> None:
        self._settling = settling
        self._client = settling.client
        self._queues = settling.queues
        self._shared = settling.client.shared
        self._polls = polls
        self._returning = returning

    async def reserve(
        self, queues: Mapping[str, int], limit: int, lease: float
    ) -> tuple[list[Delivery], list[Death]]:
        """Lease messages of the queues, in their order.

        An error is raised only if no message was leased.
        """
        self._shared.lease = lease
        self._shared.prune()
        idle = [queue for queue in queues if self._polls.is_polling(queue)]
        if idle and len(idle) == len(queues):
            await self._polls.look(idle, LOOK_SECONDS)
        deliveries, deaths, size, aside = list[Delivery](), list[Death](), 0, 0
        failed: DriverError | None = None
        for queue, most in queues.items():
            room = min(most, limit - len(deliveries))
            self._polls.set_room(queue, room)
            try:
                while room > 0 and size < BYTES_AT_ONCE and aside < MOST_ASIDE:
                    received = await self._receive(queue, room, visibility_of(lease))
                    messages, size = self._bounded(queue, received, size)
                    came = await self._deliver(queue, messages, lease)
                    deliveries += came.deliveries
                    deaths += came.deaths
                    room -= len(came.deliveries)
                    aside += len(received) - len(came.deliveries)
                    if len(received) == len(came.deliveries):
                        break  # none of them was set aside, so the queue has no more
            except DriverUnavailable as error:
                failed = error
                break
            except DriverError as error:  # a queue that is refused must not keep the others
                failed = failed or error
        if failed is not None and not (deliveries or deaths):
            raise failed
        return deliveries, deaths

    async def bury(self, deaths: Sequence[Death]) -> None:
        """Make dead letters of deaths. If that fails, their leases end, and the next reserve tries again."""
        answers = await self._side_work(
            [Fail(each.delivery.lease, each.reason, attempted=False) for each in deaths]
        )
        self._shared.news.extend(
            _news(each.delivery, State.DEAD, each.reason)
            for each, answer in zip(deaths, answers, strict=False)
            if answer is Settled.DONE
        )

    async def _receive(self, queue: str, room: int, visibility: int) -> list[Received]:
        polls = self._polls
        found = polls.take(queue, room)
        if len(found) == room or polls.was_drained(queue) or polls.is_polling(queue):
            return found
        url = await self._queues.source_url(queue, creates=False)
        if url is None:
            return found
        try:
            more = await receive_many(
                self._client,
                url,
                queue,
                room - len(found),
                visibility=visibility,
                most=most_of_call(is_fifo=self._queues.is_fifo(queue)),
            )
        except DriverError as error:
            if isinstance(error, QueueMissing):
                self._queues.forget(queue)
                return found
            if found:
                return found
            raise
        if not more:
            await polls.look([queue], LOOK_SECONDS)
            more = polls.take(queue, room - len(found))
        else:
            polls.note_received(queue)
        return found + more

    def _bounded(
        self, queue: str, messages: list[Received], size: int
    ) -> tuple[list[Received], int]:
        """Return the messages that a call may return; the others stay in the buffer for the next one."""
        for place, each in enumerate(messages):
            if size and size + each.size > BYTES_AT_ONCE:
                self._polls.keep(queue, messages[place:])
                self._shared.hint(queue)
                return messages[:place], BYTES_AT_ONCE
            size += each.size
        return messages, size

    async def _deliver(self, queue: str, messages: Sequence[Received], lease: float) -> Sorted:
        if not messages:
            return Sorted([], [], [], [])
        messages = await self._with_lease(queue, messages, lease)
        found = sort(
            messages, self._shared, is_fifo=self._queues.is_fifo(queue), clock=self._settling.clock
        )
        if found.damaged:
            await self._returning.bury_damaged(queue, found.damaged)
        if found.early:
            await self._side_work(found.early)
        return found

    async def _with_lease(
        self, queue: str, messages: Sequence[Received], lease: float
    ) -> Sequence[Received]:
        """Set the visibility of messages of the buffer that were received for a lease of another length."""
        now, wanted = time.monotonic(), visibility_of(lease)
        least = wanted - max(_SLACK / 2, wanted * _SHARE)
        others = [
            each
            for each in messages
            if not least <= each.at + each.visibility - now <= wanted + _SLACK
        ]
        if not others:
            return messages
        try:
            url = await self._queues.url(queue)
            errors = await set_visibility(
                self._client, url, [(each.handle, wanted) for each in others]
            )
        except DriverError as failure:  # the leases keep their length until they are extended
            errors = [failure] * len(others)
        changed = {each.handle for each, error in zip(others, errors, strict=True) if error is None}
        return [
            replace(each, visibility=wanted + math.floor(now - each.at))
            if each.handle in changed
            else each
            for each in messages
        ]

    async def _side_work(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Settle messages that must not run, and return the answers; none if it fails."""
        try:
            return await self._settling.settle(settlements)
        except DriverError as error:
            logger.warning(
                "Cannot set %d messages aside, which another call will repeat: %s",
                len(settlements),
                error,
            )
            return []
