"""The end of leases: those of the queue are recorded in the state store first."""

from collections.abc import Mapping, Sequence

from asynctasq.contracts.capabilities.state import Adopted, Ended
from asynctasq.driverkit.numbers import can_settle
from asynctasq.drivers.composed.ending import acknowledgement, end_of, moved
from asynctasq.drivers.composed.leases import Held, HeldLeases
from asynctasq.drivers.composed.marks import settle_if_possible
from asynctasq.drivers.composed.parts import QueueDriver, StateDriver
from asynctasq.drivers.composed.placing import Limits
from asynctasq.errors import DriverError, DriverUnavailable
from asynctasq.settlement import Settled, Settlement


async def settle_of_queue(
    queue: QueueDriver,
    state: StateDriver,
    held: HeldLeases,
    settlements: Sequence[Settlement],
    *,
    limits: Limits,
    now: float,
) -> list[Settled]:
    """Settle messages of the queue, and answer in order.

    A message that ends, or that the queue cannot hold back for so long, is recorded in the state store. Only then
    the queue removes it. If it cannot, it delivers the message again, and the record is found then. If the queue
    may have a copy of a message, its next attempt is in the state store, too, and the queue drops the copy.

    Raises:
        DriverUnavailable: a store gave no answer. The call may be repeated.
    """
    claimed = [held.begin_settling(each.lease) for each in settlements]
    try:
        return await _settle(queue, state, held, settlements, claimed, limits=limits, now=now)
    finally:
        for each in claimed:
            if each is not None:
                each.is_settling = False


async def _settle(
    queue: QueueDriver,
    state: StateDriver,
    held: HeldLeases,
    settlements: Sequence[Settlement],
    claimed: Sequence[Held | None],
    *,
    limits: Limits,
    now: float,
) -> list[Settled]:
    answers: dict[int, Settled] = {}
    ends: dict[int, Ended] = {}
    moves: dict[int, Adopted] = {}
    others: dict[int, Settlement] = {}
    known: dict[int, Held] = {}
    seen = set[object]()
    for place, (settlement, found) in enumerate(zip(settlements, claimed, strict=True)):
        if found is None or settlement.lease in seen:
            answers[place] = Settled.LOST
            continue
        if not can_settle(settlement):
            answers[place] = Settled.REFUSED
            continue
        seen.add(settlement.lease)
        known[place] = found
        end = end_of(found.delivery, settlement)
        move = moved(found.delivery, settlement, limits, now, may_have_copy=found.may_have_copy)
        if end is not None:
            ends[place] = end
        elif move is not None:
            moves[place] = move
        else:
            others[place] = settlement
    try:
        answers |= await _record(state, ends, moves, known)
        recorded = [
            known[place] for place in (*ends, *moves) if answers[place] is not Settled.REFUSED
        ]
        await settle_if_possible(
            queue, [acknowledgement(each.delivery) for each in recorded if not each.is_noted]
        )
        if others:
            places = list(others)
            found_answers = await queue.settle([others[place] for place in places])
            answers |= dict(zip(places, found_answers, strict=True))
    except BaseException:
        for place in (*ends, *moves):
            known[place].is_unsure = True
        raise
    held.drop(settlements[place].lease for place in known if answers[place] is not Settled.REFUSED)
    return [answers[place] for place in range(len(settlements))]


async def _record(
    state: StateDriver,
    ends: Mapping[int, Ended],
    moves: Mapping[int, Adopted],
    known: Mapping[int, Held],
) -> dict[int, Settled]:
    """Record ends and moves; return the answers by place."""
    answers: dict[int, Settled] = {}
    for place, answer in (await _finish(state, ends, known)).items():
        answers[place] = _answer(answer, known[place])
    if moves:
        places = list(moves)
        done = await state.adopt([moves[place] for place in places])
        for place, answer in zip(places, done, strict=True):
            answers[place] = _answer(answer, known[place])
    return answers


def _answer(is_first: bool | None, held: Held) -> Settled:
    if is_first is None:
        return Settled.REFUSED
    # False means that there is an earlier end: of another copy, or of this call, whose answer was lost.
    return Settled.DONE if is_first or held.is_unsure else Settled.LOST


async def _finish(
    state: StateDriver, ends: Mapping[int, Ended], known: Mapping[int, Held]
) -> dict[int, bool | None]:
    """Return the answers of `finish`; None for an end that the state store refused."""
    if not ends:
        return {}
    places = list(ends)
    try:
        done = await state.finish([ends[place] for place in places])
    except DriverUnavailable:
        raise
    except DriverError:
        if len(places) == 1:
            return {places[0]: None}
        answers: dict[int, bool | None] = {}
        for place in places:  # one of them is refused: find out which
            answers |= await _finish(state, {place: ends[place]}, known)
        return answers
    return dict(zip(places, done, strict=True))
