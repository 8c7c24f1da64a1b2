"""An error at each statement of each call: nothing is lost or stranded, whether the call is repeated or not.

For drivers whose calls are several statements or commands, such as transactions or scripts. Your test says how a
statement fails:

    @pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
    async def test_aborts(operation, tmp_path):
        await check_aborts(operation, lambda name: MyDriver(URL, namespace=name), MySaboteur())

The driver needs all flags of `FULL_STORE`.
"""

import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from zlib import crc32

from asynctasq.conformance.full_store import FullStore
from asynctasq.conformance.harness import MOMENT
from asynctasq.conformance.schedule_operations import change_schedules, fire_schedules, schedules_of
from asynctasq.contracts.capabilities import Capability, WorkerInfo
from asynctasq.contracts.driver import Driver
from asynctasq.errors import DriverError
from asynctasq.message import (
    Delivery,
    Lease,
    Message,
    OnConflict,
    State,
    Unique,
    UniqueUntil,
    new_id,
)
from asynctasq.settlement import Cancelled, Complete, ErrorInfo, Fail, Reason, Release, Retry

if TYPE_CHECKING:
    from asynctasq.contracts.capabilities.state import SupportsState

__all__ = ["OPERATIONS", "FullStore", "Operation", "Saboteur", "Scene", "check_aborts"]

ERROR = ErrorInfo("shop.OutOfStock", "no more", "Traceback")
SECONDS = 30.0


class Saboteur(Protocol):
    """Makes one statement of a driver fail."""

    def arm(self, statement: int) -> None:
        """Let the statement with this number fail, counted from 1 and from now."""
        ...

    def disarm(self) -> bool:
        """Let every statement pass; return whether the one that was to fail has been reached."""
        ...


class Scene:
    """A store with messages in every state, and an owner that has leases."""

    def __init__(self, driver: FullStore) -> None:
        self.driver = driver
        self.ids: set[bytes] = set()
        """All messages that were accepted, or may have been."""
        self.queues = ["emails"]
        """Queues that may have messages."""
        self.leases: list[Lease] = []
        self.dead: list[bytes] = []
        self.gone: set[bytes] = set()
        """Messages that may have been deleted."""
        self.first, self.second = self.message(), self.message()
        """Arguments of the operation."""

    def message(self, **fields: Any) -> Message:
        message = Message(new_id(), "emails", "app.send", b"body", **fields)
        self.ids.add(message.id)
        return message

    def message_of(self, lease: Lease) -> Message:
        """Return a message with the ID of a lease."""
        return Message(lease.id, "emails", "app.send", b"body")

    async def reserve(self, limit: int = 100, *, owner: str = "w") -> list[Delivery]:
        queues = dict.fromkeys(self.queues, limit)
        return await self.driver.reserve(queues, limit=limit, owner=owner, lease=SECONDS)

    async def prepare(self) -> None:
        driver = self.driver
        self.ids -= {self.first.id, self.second.id}
        waiting = [self.message(max_lost=99) for _ in range(14)]
        await driver.enqueue(waiting)
        self.leases = [delivery.lease for delivery in await self.reserve(12)]
        self.stray = self.leases.pop()  # the answer of its reserve was lost
        await driver.cancel([self.leases[0].id])
        self.dead = [lease.id for lease in self.leases[8:]]
        await driver.settle([Fail(lease, Reason.FAILED, ERROR) for lease in self.leases[8:]])
        self.leases = self.leases[:8]
        self.unique = self.message(delay=500.0, unique=Unique("key"))
        self.period = self.message(
            delay=500.0, unique=Unique("period", UniqueUntil.PERIOD, period=900.0)
        )
        self.expiring = self.message(expires=50.0)
        await driver.enqueue([self.unique, self.period, self.expiring])

    async def expect_all_accounted_for(self) -> None:
        """Check that each message is in one state, and that the counts agree with the states."""
        ids = sorted(self.ids - self.gone)
        snapshots = await self.driver.find(ids)
        outcomes = await self.driver.results(ids)
        lost = [
            one
            for one, snapshot, outcome in zip(ids, snapshots, outcomes, strict=True)
            if snapshot is None and outcome is None
        ]
        assert not lost
        counts = await self.driver.count("emails")
        all_found = await self.driver.find(sorted(self.ids))
        states = [snapshot.state for snapshot in all_found if snapshot is not None]
        for state in (State.READY, State.SCHEDULED, State.LEASED, State.DEAD):
            assert getattr(counts, state.value) == states.count(state), state

    async def expect_nothing_stranded(self) -> None:
        """Check that every message that is not dead can be run to its end once all leases have ended."""
        await self.driver.resume("emails")
        self.driver.clock_offset += 1000.0
        for lease in (MOMENT, SECONDS):
            await self.driver.reserve({"none": 1}, limit=1, owner="other", lease=lease)
        while deliveries := await self.reserve(owner="last"):
            await self.driver.settle([Complete(delivery.lease) for delivery in deliveries])
        for queue in self.queues:
            counts = await self.driver.count(queue)
            assert (counts.ready, counts.scheduled, counts.leased) == (0, 0, 0)
        outcomes = await self.driver.results(sorted(self.ids - self.gone))
        assert all(outcome is not None for outcome in outcomes)
        keys = [Unique("key"), Unique("period", UniqueUntil.PERIOD, period=900.0)]
        answers = await self.driver.enqueue([self.message(unique=unique) for unique in keys])
        assert [answer.created for answer in answers] == [True, True], "a unique key is stranded"


Damage: TypeAlias = Callable[[Driver, bytes], Awaitable[None]]
Operation: TypeAlias = Callable[[Scene], Coroutine[Any, Any, Any]]
"""Each is called twice: it makes its messages with the ids that it made the first time."""


async def enqueue_plain(scene: Scene) -> Any:
    return await scene.driver.enqueue([scene.first, scene.second])


async def enqueue_unique(scene: Scene) -> Any:
    return await scene.driver.enqueue(
        [
            scene.first,
            Message(scene.second.id, "emails", "t", b"", unique=Unique("other key")),
        ]
    )


async def enqueue_replacing(scene: Scene) -> Any:
    unique = Unique("key", on_conflict=OnConflict.REPLACE)
    scene.ids.discard(scene.second.id)
    return await scene.driver.enqueue([Message(scene.first.id, "emails", "t", b"", unique=unique)])


async def enqueue_extending(scene: Scene) -> Any:
    unique = Unique("period", UniqueUntil.PERIOD, OnConflict.EXTEND, 800.0)
    newcomer = Message(scene.first.id, "emails", "t", b"", delay=100.0, unique=unique)
    scene.ids -= {scene.first.id, scene.second.id}
    return await scene.driver.enqueue([newcomer])


async def enqueue_to_a_new_queue(scene: Scene) -> Any:
    scene.ids -= {scene.first.id, scene.second.id}
    return await scene.driver.enqueue([Message(scene.first.id, "new", "t", b"")])


async def reserve_ready(scene: Scene) -> Any:
    return await scene.reserve()


async def reserve_what_must_not_run_twice(scene: Scene) -> Any:
    await scene.driver.enqueue([Message(scene.first.id, "emails", "t", b"", max_lost=0)])
    return await scene.reserve()


async def reserve_after_a_while(scene: Scene) -> Any:
    """Promotes, expires, and finds an outage."""
    return await scene.reserve(owner="another")


async def reserve_after_the_pause(scene: Scene) -> Any:
    """Reclaims."""
    for lease in (MOMENT, SECONDS):
        await scene.driver.reserve({"none": 1}, limit=1, owner="other", lease=lease)


async def reserve_damaged(scene: Scene) -> Any:
    return await scene.reserve()


async def extend(scene: Scene) -> Any:
    return await scene.driver.extend("w", scene.leases, lease=SECONDS)


async def end_owner(scene: Scene) -> Any:
    return await scene.driver.end_owner("w")


async def settle_completions(scene: Scene) -> Any:
    return await scene.driver.settle(
        [Complete(lease, b"result", about=b"about") for lease in scene.leases]
    )


async def settle_every_kind(scene: Scene) -> Any:
    first, *rest = scene.leases
    return await scene.driver.settle(
        [
            Release(first),  # flagged
            Complete(rest[0], b"result"),
            Retry(rest[1], 0.0, ERROR),
            Retry(rest[2], 5.0, ERROR),
            Fail(rest[3], Reason.FAILED, ERROR, about=b"about"),
            Release(rest[4], 5.0, mismatched=True),
            Cancelled(rest[5], about=b"about"),
            Complete(rest[5]),  # lost
        ]
    )


async def cancel(scene: Scene) -> Any:
    return await scene.driver.cancel([scene.unique.id, scene.leases[1].id, new_id()])


async def requeue(scene: Scene) -> Any:
    return await scene.driver.requeue(scene.dead)


async def requeue_edited(scene: Scene) -> Any:
    message = Message(scene.dead[0], "emails", "t", b"new", unique=Unique("a key"), priority=9)
    return await scene.driver.requeue_edited(message)


async def delete_dead(scene: Scene) -> Any:
    scene.gone |= set(scene.dead)
    return await scene.driver.delete_dead(scene.dead)


async def purge(scene: Scene) -> Any:
    found = await scene.driver.find(sorted(scene.ids))
    scene.gone |= {s.message.id for s in found if s and s.state is not State.LEASED}
    return await scene.driver.purge("emails", states=[State.READY, State.SCHEDULED, State.DEAD])


async def pause_and_resume(scene: Scene) -> Any:
    await scene.driver.pause("emails")
    assert "emails" in await scene.driver.paused()
    await scene.driver.resume("emails")


async def tell_of_workers_and_progress(scene: Scene) -> Any:
    worker = WorkerInfo("w", "host", 1, 0.0, ("emails",), 1, 0, "1")
    await scene.driver.record_worker(worker, ttl=60.0)
    await scene.driver.set_progress([(lease, b"half") for lease in scene.leases])
    assert await scene.driver.workers() == [worker]
    await scene.driver.forget_worker("w")


async def look(scene: Scene) -> Any:
    for state in (State.READY, State.SCHEDULED, State.RUNNING, State.DEAD):
        await scene.driver.browse(state, task="app.*", limit=3)
    await scene.driver.dead_letters(task="app.send", error="OutOfStock", limit=3)
    await scene.driver.queues(bound=5)
    await scene.driver.known(sorted(scene.ids))
    await scene.driver.cancel_requests("w")
    return await scene.driver.results(sorted(scene.ids))


async def finish_ends(scene: Scene) -> Any:
    state = _state_of(scene)
    if state is None:
        return None
    from asynctasq.contracts.capabilities.state import Ended

    return await state.finish(
        [
            Ended(scene.first, State.COMPLETED, 1e9, b"result", about=b"about"),
            Ended(scene.second, State.DEAD, 1e9, reason=Reason.FAILED, error=ERROR, about=b"about"),
            Ended(scene.message_of(scene.leases[0]), State.CANCELLED, 1e9),  # it runs here
        ]
    )


async def adopt_two(scene: Scene) -> Any:
    state = _state_of(scene)
    if state is None:
        return None
    from asynctasq.contracts.capabilities.state import Adopted, Note, NoteKind

    await state.note([Note(scene.first.id, NoteKind.PROGRESS, b"half", 60.0)])
    return await state.adopt(
        [
            Adopted(scene.first, 1e9, 1e9, 1, 1, ERROR),
            Adopted(scene.second, time.time() + 500.0, 1e9),
        ]
    )


async def flag_and_note(scene: Scene) -> Any:
    state = _state_of(scene)
    if state is None:
        return None
    from asynctasq.contracts.capabilities.state import Note, NoteKind

    stranger = new_id()
    await state.note([Note(stranger, NoteKind.RUNNING, b"w", 60.0)])
    await state.flag([scene.unique.id, scene.leases[1].id, stranger], ttl=60.0)
    return await state.marks(sorted(scene.ids))


def _state_of(scene: Scene) -> "SupportsState | None":
    """Return the driver if it has the flag STATE. Without it, nothing is checked."""
    from asynctasq.contracts.capabilities.state import SupportsState

    driver: object = scene.driver
    has_state = Capability.STATE in scene.driver.capabilities
    return driver if has_state and isinstance(driver, SupportsState) else None


async def open_again(scene: Scene) -> Any:
    await scene.driver.close()
    await scene.driver.open()


OPERATIONS: tuple[Operation, ...] = (
    enqueue_plain, enqueue_unique, enqueue_replacing, enqueue_extending, enqueue_to_a_new_queue,
    reserve_ready, reserve_what_must_not_run_twice, reserve_after_a_while, reserve_after_the_pause,
    reserve_damaged, extend, end_owner, settle_completions, settle_every_kind, cancel, requeue,
    requeue_edited, delete_dead, purge, pause_and_resume, tell_of_workers_and_progress, finish_ends, adopt_two, flag_and_note,
    fire_schedules, change_schedules, look, open_again,
)  # fmt: skip
ADDING: frozenset[Operation] = frozenset({finish_ends, adopt_two, fire_schedules})
"""Operations that add messages, beside those whose names begin with `enqueue`."""


def _adds(scene: Scene, operation: Operation) -> bool:
    """Return whether an operation adds the messages that are its arguments."""
    if operation is fire_schedules:
        return schedules_of(scene) is not None
    if operation in ADDING:
        return _state_of(scene) is not None
    return operation.__name__.startswith("enqueue")


LATE: dict[Operation, float] = {
    reserve_after_a_while: 600.0,
    reserve_after_the_pause: 100.0,
    extend: SECONDS + 1.0,
}
"""Seconds by which the clock is moved before an operation."""


async def stage(driver: FullStore, operation: Operation, damage: Damage | None) -> Scene:
    """Prepare an empty store."""
    await driver.open()
    scene = Scene(driver)
    await scene.prepare()
    if _adds(scene, operation):
        scene.ids |= {scene.first.id, scene.second.id}
    if operation is reserve_what_must_not_run_twice:
        scene.ids.add(scene.first.id)
        await driver.enqueue([Message(scene.first.id, "emails", "t", b"", max_lost=0)])
    if operation is reserve_damaged and damage is not None:
        for snapshot in await driver.find(sorted(scene.ids)):
            if snapshot is not None and snapshot.state is State.READY:
                await damage(driver, snapshot.message.id)
    driver.clock_offset += LATE.get(operation, 0.0)
    if operation is extend:  # in a pause, it would release nothing
        await driver.reserve({"none": 1}, limit=1, owner="w", lease=MOMENT)
    return scene


async def check_aborts(
    operation: Operation,
    make_driver: Callable[[str], FullStore],
    saboteur: Saboteur,
    *,
    damage: Damage | None = None,
    every: int = 1,
) -> None:
    """Let statements of one operation fail, each in its own namespace.

    Args:
        operation: one of `OPERATIONS`.
        make_driver: returns an unopened driver for a namespace.
        saboteur: lets statements fail.
        damage: makes the record of a message unreadable, for `reserve_damaged`.
        every: the step between statements that fail. Each operation begins with another statement.

    Raises:
        AssertionError: a message is lost or stranded, or a count is wrong.
    """
    statement = 1 + crc32(operation.__name__.encode()) % every - every
    while True:
        statement += every
        scene = await stage(make_driver(f"{operation.__name__}-{statement}"), operation, damage)
        saboteur.arm(statement)
        try:
            await operation(scene)
        except DriverError:
            failed = True
        else:
            failed = False
        reached = saboteur.disarm()
        try:
            if failed:
                await scene.driver.open()
                if not operation.__name__.startswith("enqueue") and operation not in ADDING:
                    await scene.expect_all_accounted_for()
                await operation(scene)
            await scene.expect_all_accounted_for()
            await scene.expect_nothing_stranded()
        except Exception as error:
            error.add_note(f"{operation.__name__}, statement {statement}")
            raise
        finally:
            await scene.driver.close()
        if not reached:
            return
