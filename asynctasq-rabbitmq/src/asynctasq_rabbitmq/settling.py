"""Settle and extend: how leases end, and how they go on."""

import asyncio
from collections.abc import Sequence

from asynctasq.driverkit.numbers import can_settle
from asynctasq.driverkit.strays import StraySearch
from asynctasq.driverkit.times import micros
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.message import Lease
from asynctasq.settlement import (
    Cancelled,
    Complete,
    Fail,
    LeaseState,
    Release,
    Retry,
    Settled,
    Settlement,
)
from asynctasq_rabbitmq.broker import Broker
from asynctasq_rabbitmq.leases import Held, acknowledge, renew
from asynctasq_rabbitmq.publishing import Letter
from asynctasq_rabbitmq.wire.channel import Channel
from asynctasq_rabbitmq.wire.errors import ChannelClosed, ConnectionLost


class Settle:
    """One call of `settle`: copies are confirmed before their originals are acknowledged."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._now = broker.now()
        self._finished: list[tuple[int, Held]] = []
        self._copies: list[tuple[int, Held, Letter]] = []
        self._unsure: list[tuple[int, Channel]] = []
        """Items of an earlier call, whose acknowledgements the broker may not have read."""

    async def __call__(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """End leases, and return the answers.

        Raises:
            DriverUnavailable: a copy could not be published, or the broker may not have read an
                acknowledgement. The call can be repeated.
        """
        answers = [self._sort(place, each) for place, each in enumerate(settlements)]
        acknowledging = [held for _, held in self._finished]
        for held in acknowledging:
            self._broker.leases.end(held)
        acknowledge(acknowledging)
        failed: DriverUnavailable | None = None
        if self._copies:
            failed = await self._publish(answers)
        failed = await self._synchronize(settlements, answers) or failed
        if failed is not None:
            self._remember(settlements, answers)
            raise failed
        return answers

    def _sort(self, place: int, settlement: Settlement) -> Settled:
        """Note what a settlement needs, and return its answer if that succeeds."""
        if not can_settle(settlement):
            return Settled.REFUSED
        held = self._broker.leases.find(settlement.lease)
        if held is None or held.is_settling:
            channel = self._broker.unsure.pop(settlement.lease, None)
            if channel is not None:
                self._unsure.append((place, channel))
                return Settled.DONE
            return self._broker.answered.pop(settlement.lease, Settled.LOST)
        if isinstance(settlement, Complete | Cancelled):
            self._finished.append((place, held))
        else:
            try:
                self._copies.append((place, held, self._letter(held, settlement)))
            except DriverError:
                return Settled.REFUSED
        held.is_settling = True
        return Settled.DONE

    def _letter(self, held: Held, settlement: Retry | Release | Fail) -> Letter:
        known, now = held.known, self._now
        known = known.changed(started=held.started, lost=held.lost)
        if isinstance(settlement, Fail):
            known = known.changed(attempt=known.attempt + settlement.attempted)
            return self._broker.returns.dead_letter(known, settlement.reason, settlement.error)
        due_at = now + settlement.delay if settlement.delay > 0 else known.due_at
        if isinstance(settlement, Retry):
            changed = known.changed(
                attempt=known.attempt + 1,
                due_at=now + max(settlement.delay, 0.0),
                mismatched_at=None,
                error=settlement.error,
            )
        elif settlement.mismatched:
            first = known.mismatched_at
            changed = known.changed(
                due_at=due_at,
                mismatched_at=now if first is None else first,
                error=settlement.error or known.error,
            )
        else:
            changed = known.changed(due_at=due_at)
        return self._broker.publisher.copy(changed, now)

    async def _publish(self, answers: list[Settled]) -> DriverUnavailable | None:
        """Publish the copies; return the error if one of them has to be repeated."""
        try:
            errors = await self._broker.publisher.send([letter for _, _, letter in self._copies])
        finally:  # the call may be cancelled
            for _, held, _ in self._copies:
                held.is_settling = False
        failed: DriverUnavailable | None = None
        done: list[Held] = []
        for (place, held, _), error in zip(self._copies, errors, strict=True):
            if error is None:
                if not held.incoming.channel.is_open:
                    answers[place] = Settled.LOST
                done.append(held)
                self._broker.leases.end(held)
                self._finished.append((place, held))
            elif isinstance(error, DriverUnavailable):
                failed = error
                answers[place] = Settled.LOST  # of the repeated call, unless it succeeds
            else:
                answers[place] = Settled.REFUSED
        acknowledge(done)
        return failed

    async def _synchronize(
        self, settlements: Sequence[Settlement], answers: list[Settled]
    ) -> DriverUnavailable | None:
        """Wait until the broker has read the acknowledgements, which it never confirms; return the error, if any.

        If a channel has been closed before that, its messages are gone or ready again, and the broker cannot say
        which of the two. So the call fails, and the lease is lost when it is repeated.
        """
        ended = [(place, held.incoming.channel) for place, held in self._finished]
        ended += self._unsure
        channels = list({channel for place, channel in ended if answers[place] is Settled.DONE})
        found = await asyncio.gather(
            *(channel.synchronize() for channel in channels), return_exceptions=True
        )
        errors = {
            channel: error
            for channel, error in zip(channels, found, strict=True)
            if isinstance(error, BaseException)
        }
        if not errors:
            return None
        for error in errors.values():
            if not isinstance(error, ChannelClosed | ConnectionLost):
                raise error
        for place, channel in ended:
            if channel in errors:
                answers[place] = Settled.LOST  # of the repeated call
                if channel.is_open:
                    self._broker.unsure[settlements[place].lease] = channel
        return DriverUnavailable(
            f"The broker at {self._broker.place} may not have read all acknowledgements "
            f"({next(iter(errors.values()))})."
        )

    def _remember(self, settlements: Sequence[Settlement], answers: Sequence[Settled]) -> None:
        """Keep the answers for the repeated call."""
        for settlement, answer in zip(settlements, answers, strict=True):
            if answer is Settled.DONE:
                self._broker.answered[settlement.lease] = answer


async def extend(
    broker: Broker, owner: str, leases: Sequence[Lease], lease: float
) -> list[LeaseState]:
    """Renew the leases of an owner, and release those that it does not know of."""
    now = broker.now()
    search = StraySearch(lease)
    may_release = broker.outages.note_call(now=now, lease=lease, deadlines=broker.leases.deadlines)
    owned = broker.leases.of(owner)
    for held in owned:
        renew(held, now, lease)
    if may_release:
        leased_at = {held.token: micros(held.leased_at) for held in owned if not held.is_settling}
        named = {each.token for each in leases}
        by_token = {held.token: held for held in owned}
        for token in search.strays(leased_at, micros(now), named):
            broker.release(by_token[token], now)
        await broker.returns.flush()
    found = [broker.leases.find(each) for each in leases]
    return [
        LeaseState.HELD if held is not None and held.owner == owner else LeaseState.LOST
        for held in found
    ]
