"""Messages that the queue has delivered, sorted by what the state store knows about them."""

import logging
from collections import deque
from collections.abc import Sequence

from asynctasq.contracts.capabilities import News
from asynctasq.contracts.capabilities.deaths import Death
from asynctasq.contracts.capabilities.state import Ended, Mark
from asynctasq.drivers.composed.ending import acknowledgement, cancelled, end_of_death, news_of
from asynctasq.drivers.composed.long_leases import copy_delay
from asynctasq.drivers.composed.parts import QueueDriver, StateDriver
from asynctasq.errors import DriverError
from asynctasq.message import Delivery
from asynctasq.settlement import Reason, Release, Settlement

log = logging.getLogger("asynctasq")


async def sort_delivered(
    queue: QueueDriver,
    state: StateDriver,
    deliveries: Sequence[Delivery],
    deaths: Sequence[Death],
    news: deque[News],
) -> list[Delivery]:
    """Return the messages that may run. All others are ended or released, and `news` gets those that died.

    Ends are recorded before the queue removes a message. If the queue cannot remove it now, it is delivered
    again, and its end is known then.

    Raises:
        DriverError: the state store gave no answer. All messages that may run or have expired are released, as
            far as the queue can do it.
    """
    everything = [*deliveries, *(death.delivery for death in deaths)]
    if not everything:
        return []
    reasons = {death.delivery.lease: death for death in deaths}
    try:
        marks = await state.marks([each.message.id for each in everything])
        settlements: list[Settlement] = []
        ends: list[Ended] = []
        kept: list[Delivery] = []
        for delivery, mark in zip(everything, marks, strict=True):
            death = reasons.get(delivery.lease)
            if mark in {Mark.ENDED, Mark.MOVED}:
                settlements.append(acknowledgement(delivery))
            elif mark is Mark.RUNNING:
                settlements.append(Release(delivery.lease, copy_delay(queue)))
            elif death is not None or mark is Mark.FLAGGED:
                ends.append(cancelled(delivery) if death is None else end_of_death(death))
                settlements.append(acknowledgement(delivery))
            else:
                kept.append(delivery)
        if ends:
            recorded = await state.finish(ends)
            news.extend(
                news_of(end)
                for end, is_first in zip(ends, recorded, strict=True)
                if is_first and end.reason
            )
    except DriverError:
        # Released, because a message whose lease ends counts as begun, and what has begun does not expire.
        expired = [death.delivery for death in deaths if death.reason is Reason.EXPIRED]
        await settle_if_possible(queue, [Release(each.lease) for each in (*deliveries, *expired)])
        raise
    await settle_if_possible(queue, settlements)
    return kept


async def settle_if_possible(queue: QueueDriver, settlements: Sequence[Settlement]) -> None:
    """Settle messages of the queue. If that fails, their leases end by themselves."""
    if not settlements:
        return
    try:
        await queue.settle(settlements)
    except DriverError as error:
        log.warning(
            "The queue could not remove or release %d messages, so it delivers them again: %s",
            len(settlements),
            error,
        )
