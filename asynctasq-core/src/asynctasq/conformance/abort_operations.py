"""The calls that fail at each of their statements."""

import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from asynctasq.conformance.abort_scene import ERROR, SECONDS, Scene, state_of
from asynctasq.conformance.event_operations import publish_events
from asynctasq.conformance.harness import MOMENT
from asynctasq.conformance.schedule_operations import change_schedules, fire_schedules
from asynctasq.contracts.capabilities import Capability, WorkerInfo
from asynctasq.message import Message, OnConflict, State, Unique, UniqueUntil, new_id
from asynctasq.settlement import Cancelled, Complete, Fail, Reason, Release, Retry

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


async def edit_waiting(scene: Scene) -> Any:
    from asynctasq.contracts.capabilities.move import Changes, SupportsMove

    driver: object = scene.driver
    if Capability.MOVE not in scene.driver.capabilities or not isinstance(driver, SupportsMove):
        return None
    scene.queues = ["emails", "moved"]
    ids = [scene.unique.id, scene.expiring.id, scene.leases[1].id, scene.dead[0]]
    await driver.edit([scene.period.id], Changes(priority=9, due_at=1e9))
    return await driver.edit(ids, Changes(queue="moved", priority=1, due_at=1e9, expires=1e6))


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
    state = state_of(scene)
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
    state = state_of(scene)
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
    state = state_of(scene)
    if state is None:
        return None
    from asynctasq.contracts.capabilities.state import Note, NoteKind

    stranger = new_id()
    await state.note([Note(stranger, NoteKind.RUNNING, b"w", 60.0)])
    await state.flag([scene.unique.id, scene.leases[1].id, stranger], ttl=60.0)
    return await state.marks(sorted(scene.ids))


async def request_of_workers(scene: Scene) -> Any:
    driver: object = scene.driver
    if Capability.WORKER_REQUESTS not in scene.driver.capabilities:
        return None
    from asynctasq.contracts.capabilities.worker_requests import (
        SupportsWorkerRequests,
        WorkerRequest,
    )

    assert isinstance(driver, SupportsWorkerRequests)
    worker = WorkerInfo("steered", "h", 1, 0.0, ("emails",), 1, 0, "1", owner="steered/1")
    await scene.driver.record_worker(worker, ttl=60.0)
    for request in (WorkerRequest.QUIET, WorkerRequest.STOP):
        await driver.request_workers(["steered"], request)
    answers = await driver.request_workers(["steered"], WorkerRequest.RUN)
    assert answers == [WorkerRequest.STOP], "a request to stop was replaced"
    assert (await driver.requests("steered/1")).worker is WorkerRequest.STOP
    return None


async def open_again(scene: Scene) -> Any:
    await scene.driver.close()
    await scene.driver.open()


OPERATIONS: tuple[Operation, ...] = (
    enqueue_plain, enqueue_unique, enqueue_replacing, enqueue_extending, enqueue_to_a_new_queue,
    reserve_ready, reserve_what_must_not_run_twice, reserve_after_a_while, reserve_after_the_pause,
    reserve_damaged, extend, end_owner, settle_completions, settle_every_kind, cancel, requeue,
    requeue_edited, delete_dead, edit_waiting, purge, pause_and_resume, tell_of_workers_and_progress, finish_ends, adopt_two, flag_and_note,
    fire_schedules, change_schedules, request_of_workers, publish_events, look, open_again,
)  # fmt: skip
ADDING: dict[Operation, Capability] = {
    finish_ends: Capability.STATE,
    adopt_two: Capability.STATE,
    fire_schedules: Capability.SCHEDULES,
}
"""Operations that add messages if the driver has the flag, beside those whose names begin with `enqueue`."""
LATE: dict[Operation, float] = {
    reserve_after_a_while: 600.0,
    reserve_after_the_pause: 100.0,
    extend: SECONDS + 1.0,
}
"""Seconds by which the clock is moved before an operation."""
